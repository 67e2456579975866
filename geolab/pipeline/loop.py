"""The loop of a driver: look at the ledger, queue what is ready, push what is queued, hear what has ended."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from geolab.errors import EngineError, GeolabError, LedgerError, NotFound, StorageError, WorkerLost
from geolab.jobs import ids, record, references, submission
from geolab.jobs.ledger import Ledger
from geolab.jobs.record import Record
from geolab.pipeline import watch
from geolab.pipeline.board import Board
from geolab.pipeline.engines import Engine
from geolab.pipeline.keeper import Keeper
from geolab.pipeline.lead import Lead
from geolab.pipeline.nodes import Node
from geolab.settings import Settings

if TYPE_CHECKING:
    from geolab.pipeline.model import Pipeline
    from geolab.pipeline.watch import Figures

TICK_S = 0.2  # how soon a change made by others is noticed
SHOW_S = 1.0  # between figures
STOP_S = 4.0  # for runs to end themselves when the pipeline is stopped
AGAIN_S = 1.0  # before a run that could not be claimed is pushed once more
QUEUED = 64  # runs that wait in the ledger at most, or four for each worker
TRIES = 5  # of a run that fails before it is claimed; within about a minute


class Loop:
    """One driver at work. Holds the futures of what it pushed; all else can be read again."""

    def __init__(
        self,
        pipeline: Pipeline,
        settings: Settings,
        ledger: Ledger,
        engine: Engine,
        board: Board,
        led: Lead,
        keeper: Keeper,
        again: bool,
    ):
        self.pipeline, self.settings, self.ledger = pipeline, settings, ledger
        self.engine, self.board, self.led, self.keeper = engine, board, led, keeper
        self.again = again  # what had failed before is tried again
        self.active: dict[str, Record] = {}  # queued and running, by id
        self.flying: dict[str, Future[str]] = {}  # pushed, by id of the run
        self.later: dict[str, float] = {}  # pushed in vain: not again before
        self.tries: dict[str, int] = {}
        self.ready: Iterator[Node] = iter(())
        self.asked: set[str] = set()  # slots, since the board was refreshed
        self.stale = True  # the board is older than the ledger
        self.refreshed = (0.0, 0.0)  # when the board was refreshed, and how long that took
        self.refused: set[str] = set()  # slots that can't be asked for
        self.elsewhere: dict[str, str] = {}  # slot -> run that does the same work for somebody else
        self.began = ledger.now()
        self.shown = False
        self.full = ""  # what a run said that ended for want of disk space

    def run(self) -> Iterator[Figures]:
        """Figures while there is something to do."""
        shown = reached = time.monotonic()
        try:
            while True:
                try:
                    if self._is_over():
                        return
                    reached = time.monotonic()
                    if reached - shown > SHOW_S or not self.shown:
                        self._refresh_if_due()
                        yield watch.figures(self.pipeline, self.settings, self.board)
                        shown, self.shown = time.monotonic(), True
                except LedgerError:
                    if not self._bears(time.monotonic() - reached):
                        raise
                self._wait()
        except (KeyboardInterrupt, GeneratorExit):
            self._stop()
            raise

    def _is_over(self) -> bool:
        """Whether nothing is left to do, after a look at all and a push of what can be."""
        if self._state() == "stopped":
            self._stop()
            return True
        self._look()
        self._start()
        return self._over()

    def _bears(self, away_s: float) -> bool:
        """Whether a ledger may be out of reach for so long: a server for a lease, a file not at all."""
        return not self.settings.ledger_url.startswith("sqlite") and away_s < self.settings.lease_s

    def _state(self) -> str:
        """What is wanted of the pipeline: active, paused or stopped."""
        self.led.check()
        self.engine.check()
        self.keeper.check()
        control = self.ledger.control(self.pipeline.name)
        return control.state if control else "stopped"

    # ------------------------------------------------------------ what the ledger says

    def _look(self) -> None:
        """Read what is queued and running, and hear of what has ended since."""
        found = self.ledger.runs(states=record.ACTIVE, pipeline=self.pipeline.name)
        now = {run.id: run for run in found}
        ended = self.active.keys() - now.keys()
        self.stale = self.stale or bool(ended) or not now.keys() <= self.active.keys()
        self.active = now
        for run_id in ended:
            self._ended(run_id)
            if run_id in self.flying:
                self.flying[run_id].cancel()  # a Dask task that nobody is left to answer would stay for ever
        for slot, run_id in list(self.elsewhere.items()):
            if not self.ledger.get(run_id).active:
                del self.elsewhere[slot]
                self.stale = True
        self.later = {run_id: when for run_id, when in self.later.items() if run_id in now}

    def _ended(self, run_id: str) -> None:
        with suppress(NotFound):
            run = self.ledger.get(run_id)
            self.keeper.ended(run)
            if run.state == "failed" and run.cause == "disk full":
                self.full = _without_remedy(run.error.splitlines()[0])

    def _refresh(self) -> None:
        began = time.monotonic()
        self.board.refresh()
        self.refreshed = (began, time.monotonic() - began)
        self.ready, self.stale = self.board.ready(), False
        self.asked.clear()

    def _refresh_if_due(self) -> None:
        """Refresh the board: at once when workers run short of work, else only so often as it is cheap."""
        when, took = self.refreshed
        short = len(self.active) <= self.engine.slots()
        if self.stale and (short or time.monotonic() - when > 10 * took):
            self._refresh()

    # ------------------------------------------------------------ new work

    def _start(self) -> None:
        """Queue what is ready and push what is queued, as far as there is room."""
        if self._state() != "active" or self.full:
            return
        self._refresh_if_due()
        self._queue()
        self._push()

    def _queue(self) -> None:
        room = max(4 * self.engine.slots(), QUEUED) - sum(
            run.state == "queued" for run in self.active.values()
        )
        with references.remembered():
            while room > 0 and (node := next(self.ready, None)) is not None:
                if node.slot not in self.asked and self._may(node):
                    self._ask(node)
                    room -= 1

    def _may(self, node: Node) -> bool:
        """Whether limits leave room, and it is not in vain; what is held back comes with the next board."""
        if node.slot in self.refused or node.slot in self.elsewhere:
            return False
        of_stage = sum(run.slot.split("/", 1)[0] == node.stage.name for run in self.active.values())
        in_stage = not node.stage.limit or of_stage < node.stage.limit
        return in_stage and (not self.pipeline.limit or len(self.active) < self.pipeline.limit)

    def _ask(self, node: Node) -> None:
        """Put a node into the ledger; one that can't be asked for has failed."""
        self.asked.add(node.slot)
        self.stale = True
        try:
            run_id = self._enqueue(node)
        except StorageError as problem:
            if not problem.full:
                raise
            self.full = _without_remedy(str(problem))
            return
        except (EngineError, LedgerError):
            raise
        except GeolabError as problem:
            self._refuse(node, str(problem))
            return
        with suppress(NotFound):
            run = self.ledger.get(run_id)
            if run.active and (run.pipeline, run.slot) == (self.pipeline.name, node.slot):
                self.active[run.id] = run
            elif run.active:
                self.elsewhere[node.slot] = run.id

    def _enqueue(self, node: Node) -> str:
        stage, resolved = node.stage, self.board.resolve(node)
        return submission.enqueue(
            stage.notebook,
            resolved.values,
            settings=self.settings,
            needs=resolved.needs,
            pipeline=self.pipeline.name,
            slot=node.slot,
            priority=stage.priority,
            retries=stage.retries,
            backoff_s=stage.backoff_s,
            timeout_s=stage.timeout_s,
            memory_mb=stage.memory_mb,
            gpu=stage.gpu,
            not_before=self._not_before(node),
        ).run_id

    def _not_before(self, node: Node) -> float:
        """When the next attempt may start: later with each failure, unless people asked for it."""
        past = self.ledger.runs(pipeline=self.pipeline.name, slot=node.slot, limit=20)
        if not past or not _failed(past[0]) or (self.again and (past[0].finished or 0) < self.began):
            return 0
        failures = sum(_failed(run) for run in past if run.key == past[0].key)
        return (past[0].finished or 0) + record.backoff(past[0], failures)

    def _refuse(self, node: Node, why: str) -> None:
        """Write down as failed what can't be asked for, so that the rest goes on and people see why."""
        self.refused.add(node.slot)
        now = self.ledger.now()
        run = Record(ids.new(), node.stage.notebook.stem, _digest(node.slot, why), state="failed", error=why)
        placed = replace(run, created=now, finished=now, pipeline=self.pipeline.name, slot=node.slot)
        self.ledger.put(placed)

    # ------------------------------------------------------------ the engine

    def _push(self) -> None:
        """Give the engine what waits for anyone, by priority, and a little more than it can hold."""
        room = 2 * max(self.engine.slots(), 1) - len(self.flying)  # a cluster may grow with its first task
        now, clock = self.ledger.now(), time.monotonic()
        waiting = [
            run
            for run in self.active.values()
            if run.waiting and not run.cancel and run.not_before <= now and run.id not in self.flying
        ]
        for run in sorted(waiting, key=lambda run: (-run.priority, run.id)):
            if room <= 0:
                return
            if self.later.get(run.id, 0) <= clock and self.engine.takes(run):
                self.flying[run.id] = self.engine.push(run)
                room -= 1

    def _wait(self) -> None:
        """Wait until something has ended, or for a moment."""
        if not self.flying:
            time.sleep(TICK_S)
            return
        wait(self.flying.values(), timeout=TICK_S, return_when=FIRST_COMPLETED)
        for run_id, future in list(self.flying.items()):
            if future.done():
                del self.flying[run_id]
                self._landed(run_id, future)

    def _landed(self, run_id: str, future: Future[str]) -> None:
        """Hear what a worker says; the ledger says whether it is true."""
        self.stale = True
        try:
            if not future.result():
                self.later[run_id] = time.monotonic() + AGAIN_S
        except (WorkerLost, CancelledError):
            self.keeper.look()
        except EngineError:
            raise
        except Exception as problem:  # noqa: BLE001 - raised when it happens again
            self._stumbled(run_id, problem)

    def _stumbled(self, run_id: str, problem: Exception) -> None:
        """Count what goes wrong outside of notebooks; it is no fault of a run, and does not mend itself."""
        self.keeper.look()
        self.tries[run_id] = self.tries.get(run_id, 0) + 1
        self.later[run_id] = time.monotonic() + AGAIN_S * 2 ** self.tries[run_id]
        if self.tries[run_id] >= TRIES:
            raise EngineError(f"run {run_id} can't be performed: {problem!r}") from problem

    # ------------------------------------------------------------ the end

    def _over(self) -> bool:
        """Whether nothing runs, waits or can be started."""
        if self.full and not any(run.state == "running" for run in self.active.values()):
            raise EngineError(f"{self.full}; free some, then the same command with --retry-failed goes on")
        if self.active or self.flying or self._state() != "active":
            return False
        if self.stale:
            self._refresh()
        return not self.elsewhere and all(node.slot in self.refused for node in self.board.ready())

    def _stop(self) -> None:
        """Ask all runs to end, wait for them a little, then end the engine with all that it started."""
        deadline = time.monotonic() + STOP_S
        for future in self.flying.values():
            future.cancel()
        while time.monotonic() < deadline:
            found = self.ledger.runs(states=record.ACTIVE, pipeline=self.pipeline.name)
            for run in found:
                if not run.cancel:
                    self.ledger.update(run.id, record.ask_to_cancel)
            if not any(run.state == "running" for run in found):
                break
            time.sleep(TICK_S)
        self.engine.close(kill=True)
        self.keeper.look_now()


def _failed(run: Record) -> bool:
    """Whether a run failed through a fault of its own."""
    return run.state == "failed" and run.cause != "kernel died"


def _digest(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def _without_remedy(text: str) -> str:
    """What a full disk was found by; the driver has a remedy of its own."""
    return text.rsplit(";", 1)[0]
