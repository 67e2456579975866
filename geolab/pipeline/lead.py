"""One driver per pipeline at a time: who leads is written in the ledger, and renewed by heartbeat."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from geolab.errors import EngineError, LedgerError, PipelineError
from geolab.jobs import processes
from geolab.jobs.ledger import Control, Ledger
from geolab.jobs.processes import Owner
from geolab.jobs.record import NOBODY
from geolab.pipeline.model import Pipeline
from geolab.settings import Settings


@contextmanager
def lead(pipeline: Pipeline, settings: Settings, ledger: Ledger, engine: str = "") -> Iterator[Lead]:
    """The lead of a pipeline, as long as the context lasts. A stopped pipeline is active again.

    A driver that is dead or silent is taken over; raises PipelineError, naming it, if it lives.
    """
    me = processes.owner(host=settings.host)
    now = ledger.now()

    def take(found: Control | None) -> Control | None:
        before = found or Control(pipeline.name)
        if _lives(before, settings, now):
            return None
        state = "paused" if before.state == "paused" else "active"
        given = dict(pipeline.given)
        return replace(
            before, state=state, file=str(pipeline.path), parameters=given, engine=engine, driver=me, beat=now
        )

    if ledger.change_control(pipeline.name, take) is None:
        raise _refusal(pipeline, ledger)
    led = Lead(pipeline, settings, ledger, me)
    led.thread.start()
    try:
        yield led
    finally:
        led.over.set()
        led.thread.join()
        with suppress(LedgerError):  # then the beat ends, which says the same
            ledger.change_control(pipeline.name, _if_led_by(me, lambda mine: replace(mine, driver=NOBODY)))


def _lives(control: Control, settings: Settings, now: float) -> bool:
    """Whether the pipeline has a driver that was heard of within the time of a lease."""
    if control.driver == NOBODY or processes.is_dead(control.driver, host=settings.host):
        return False
    return control.beat + settings.lease_s >= now


def _refusal(pipeline: Pipeline, ledger: Ledger) -> PipelineError:
    control = ledger.control(pipeline.name)
    who = control.driver if control else NOBODY
    return PipelineError(
        pipeline.path.name,
        f"pipeline {pipeline.name} is being run already, by process {who.pid} on {who.name}; "
        f"watch it with `geolab pipeline status`, end it with `geolab pipeline stop`",
    )


class Lead:
    """The lead, kept by a thread that says so at each heartbeat."""

    def __init__(self, pipeline: Pipeline, settings: Settings, ledger: Ledger, me: Owner):
        self.pipeline, self.settings, self.ledger, self.me = pipeline, settings, ledger, me
        self.over = threading.Event()
        self._taken = ""
        self.thread = threading.Thread(target=self._keep, name="lead", daemon=True)

    def check(self) -> None:
        """Raise EngineError if another driver has taken over."""
        if self._taken:
            raise EngineError(self._taken)

    def set_dashboard(self, dashboard: str) -> None:
        """Tell where the engine shows its work."""
        self._change(lambda mine: replace(mine, dashboard=dashboard))

    def _keep(self) -> None:
        while not self.over.wait(self.settings.heartbeat_s):
            with suppress(LedgerError):  # the driver itself finds that out, and ends if it lasts
                now = self.ledger.now()
                self._change(lambda mine, now=now: replace(mine, beat=now))

    def _change(self, change: Callable[[Control], Control]) -> None:
        """Change what the ledger says, if this driver still leads."""
        change_mine = _if_led_by(self.me, change)
        if self.ledger.change_control(self.pipeline.name, change_mine) is None:
            self._taken = (
                f"pipeline {self.pipeline.name} was taken over by another driver while this one was silent"
            )


def _if_led_by(me: Owner, change: Callable[[Control], Control]) -> Callable[[Control | None], Control | None]:
    return lambda found: change(found) if found and found.driver == me else None
