"""What a driver does beside driving, in threads of its own because it may take long.

The ledger is made true again where a worker has died, and the outputs of runs that ended on another
machine are put into this workspace's catalogue.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from geolab import catalog
from geolab.errors import LedgerError, NotFound
from geolab.jobs import folders, outputs, processes
from geolab.jobs.ledger import Ledger
from geolab.jobs.reconcile import reconcile
from geolab.jobs.record import Record
from geolab.pipeline.model import Pipeline
from geolab.settings import Settings

LOOK_S = 2.0  # between looks for runs whose owner is gone
PATIENCE_S = 60.0  # for the announcements that are left when all runs have ended


class Keeper:
    """Two threads beside a driver, as long as the context lasts."""

    def __init__(self, pipeline: Pipeline, settings: Settings, ledger: Ledger):
        self.pipeline, self.settings, self.ledger = pipeline, settings, ledger
        self._here = processes.owner(host=settings.host).host
        self._wake, self._over = threading.Event(), threading.Event()
        self._ended: queue.SimpleQueue[Record | None] = queue.SimpleQueue()
        self._problem: BaseException | None = None
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._guarded, args=(one,), name=one.__name__, daemon=True)
            for one in (self._reconcile, self._announce)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._wake.set()
        self._ended.put(None)
        for thread in self._threads:
            thread.join(0 if kind else PATIENCE_S)

    def check(self) -> None:
        """Raise what went wrong in the threads."""
        if self._problem is not None:
            raise self._problem

    def look(self) -> None:
        """Look soon: a worker has died."""
        self._wake.set()

    def look_now(self) -> None:
        """Make the ledger true before this returns."""
        with self._lock:
            reconcile(self.settings, self.ledger)

    def ended(self, run: Record) -> None:
        """Hear of a run that has ended; if that was elsewhere, its outputs are announced here."""
        if run.state == "succeeded" and run.owner.host != self._here:
            self._ended.put(run)

    # ------------------------------------------------------------ the threads

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as problem:  # noqa: BLE001 - the driver raises it
            self._problem = problem

    def _reconcile(self) -> None:
        while not self._over.is_set():
            self._wake.clear()
            with suppress(LedgerError):  # the driver meets it too, and knows how long to be patient
                self.look_now()
            self._wake.wait(LOOK_S)

    def _announce(self) -> None:
        for run in self.ledger.newest(self.pipeline.name):  # of before this driver, or of its predecessor
            if self._over.is_set():
                return
            self.ended(run)
        while (run := self._ended.get()) is not None:
            if not self._known(Path(run.folder)):
                outputs.announce(self.settings, Path(run.folder))

    def _known(self, folder: Path) -> bool:
        """Whether the catalogue has the outputs of a run already, or there are none."""
        report = folders.read_report(folder) or {}
        items = report.get("outputs", [])
        known = catalog.open_catalog(self.settings) if items else None
        return all(known is not None and _is_in(known, item) for item in items)


def _is_in(known: catalog.Catalog, item: dict[str, Any]) -> bool:
    try:
        found = known.get(item["id"])
    except NotFound:
        return False
    return found["properties"].get("geolab:run") == item["properties"].get("geolab:run")
