"""What executes runs: an executor, chosen by a URL. It is told ids; what became of them the ledger says.

""                     a pool of worker processes on this machine
tcp://scheduler:8786   any Dask scheduler (tls://, ws://, ... as well), however its workers were started
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from geolab.errors import BadInput
from geolab.jobs.record import Record
from geolab.pipeline import devices, poolworker
from geolab.pipeline.pool import Pool
from geolab.settings import Settings

if TYPE_CHECKING:
    from distributed import Client


class Engine(Protocol):
    """An executor as the driver of a pipeline sees it."""

    dashboard: str  # address of a page that shows its work; empty if there is none

    def push(self, run: Record) -> Future[str]:
        """The future of this run, performed somewhere if it can still be claimed then."""
        ...

    def takes(self, run: Record) -> bool:
        """Whether it has the GPUs that this run needs, now."""
        ...

    def slots(self) -> int:
        """How many runs it can do at once, now."""
        ...

    def gpus(self) -> int:
        """How many GPUs its workers offer, now."""
        ...

    def check(self) -> None:
        """Raise EngineError if it is lost."""
        ...

    def close(self, *, kill: bool) -> None:
        """Take back what has not begun. kill: end what has begun, as far as it lives on this machine."""
        ...


@contextmanager
def executor(given: str | Client, settings: Settings, workers: int = 0) -> Iterator[Engine]:
    """The engine that a URL names; it ends with the context, at once when that ends by an exception.

    given: a URL, or a client of distributed that is connected already and stays so. workers: processes of
    the pool of this machine; a Dask cluster brings its own. Raises EngineError.
    """
    engine = _open(given, settings, workers)
    kill = True
    try:
        yield engine
        kill = False
    finally:
        engine.close(kill=kill)


def _open(given: str | Client, settings: Settings, workers: int) -> Engine:
    if not given:
        return LocalEngine(settings, workers)
    if isinstance(given, str) and "://" not in given:
        expected = "a Dask scheduler such as tcp://127.0.0.1:8786, or nothing for this machine"
        raise BadInput("--engine", found=given, expected=expected)
    from geolab.pipeline.dask import DaskEngine  # distributed loads with it

    return DaskEngine(given, settings)


def name_of(given: str | Client) -> str:
    """The URL of an engine; empty for the pool of this machine."""
    return given if isinstance(given, str) else str(given.scheduler_info()["address"])


class LocalEngine:
    """A pool of processes on this machine."""

    dashboard = ""

    def __init__(self, settings: Settings, workers: int = 0):
        self.pool = Pool(settings, workers)
        self.devices = devices.Devices(devices.visible())

    def push(self, run: Record) -> Future[str]:
        mine = self.devices.take(run.gpu)
        future = self.pool.submit(poolworker.perform, run.id, mine)
        future.add_done_callback(lambda _: self.devices.give_back(mine))
        return future

    def takes(self, run: Record) -> bool:
        return run.gpu <= self.devices.free

    def slots(self) -> int:
        return self.pool.workers

    def gpus(self) -> int:
        return self.devices.count

    def check(self) -> None:
        return

    def close(self, *, kill: bool) -> None:
        if kill:
            self.pool.kill()
        self.pool.shutdown(cancel_futures=True)


def task_name(run: Record) -> str:
    """The name under which a Dask dashboard shows the run: stage-cell-<hash>, another for each push."""
    where = run.slot.replace("/", "-") or run.notebook
    return f"{where}-{secrets.token_hex(4)}"
