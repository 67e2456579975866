"""Workers that take whatever is queued in the ledger, on this machine or any that shares it.

`supervise` keeps some processes of `python -m geolab.jobs.serving` alive; each claims one run after
another, highest priority first. Told to end (SIGTERM, Ctrl-C, a terminal that hangs up), a worker
gives back what it has not begun, and stops what it has: that is queued again for others.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from typing import Any

from geolab import settings as settings_module
from geolab.errors import GeolabError, LedgerError
from geolab.jobs import environment, folders, gpus, logs, processes, record, warm, workplace
from geolab.jobs.attempt import Attempt
from geolab.jobs.ledger import Ledger, open_ledger
from geolab.jobs.reconcile import reconcile
from geolab.jobs.record import Record
from geolab.settings import Settings

POLL_S = 0.5  # how soon a queued run is taken
RECONCILE_EVERY_S = 10.0
END_S = 30.0  # for a worker to end its run
UNUSABLE = 2  # exit code of a worker that can do no run at all

_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_PR_SET_PDEATHSIG = 1  # linux/prctl.h

_log = logging.getLogger(__name__)


class Server:
    """A process that does one run after another, until it is told to end."""

    def __init__(self, settings: Settings, *, template: Any = None):
        self.settings, self.template = settings, template
        self.ledger: Ledger = open_ledger(settings)
        self.me = processes.owner(host=settings.host)
        self.gpus = gpus.count()
        self.ending = threading.Event()
        self.doing: Attempt | None = None
        self._reconciled = float("-inf")

    def serve(self, *, once: bool = False) -> int:
        """How many runs were done. once: end when nothing is left to do."""
        count = 0
        with workplace.on_signal(self.end, *_ENDING):
            while not self.ending.is_set():
                run = self._claim()
                if run is not None:
                    count += self._do(run)
                elif once and not self._later():
                    break
                else:
                    self.ending.wait(POLL_S)
        return count

    def end(self, why: str) -> None:
        """End after what is being done now was stopped."""
        self.ending.set()
        if self.doing is not None:
            self.doing.interrupt(f"interrupted: its worker was told to end ({why})")

    def _claim(self) -> Record | None:
        try:
            if time.monotonic() - self._reconciled > RECONCILE_EVERY_S:
                reconcile(self.settings, self.ledger)
                self._reconciled = time.monotonic()
            return self.ledger.claim_next(owner=self.me, lease_s=self.settings.lease_s, gpus=self.gpus)
        except LedgerError as problem:
            _log.warning("%s; trying again", problem)
            self.ending.wait(self.settings.heartbeat_s)
            return None

    def _later(self) -> bool:
        """Whether a run waits for its next attempt."""
        try:
            waiting = self.ledger.runs(states=("queued",))
        except LedgerError:
            return True
        return any(run.waiting and run.not_before > 0 and not run.pipeline for run in waiting)

    def _do(self, run: Record) -> bool:
        """Whether the run was done; it is given back when this process ends or can't."""
        missing = folders.missing(self.settings, run)
        self.doing = Attempt(self.settings, self.ledger, run, template=self.template)
        try:
            if self.ending.is_set() or missing:
                self.ledger.update(run.id, partial(record.give_back, owner=self.me, started=run.started))
                if missing:
                    raise missing
                return False
            state = self.doing.do()
        finally:
            self.doing = None
        _log.info("%s %s: %s", run.notebook, run.id, state, extra={"run_id": run.id})
        return True


def main(once: str = "") -> int:
    """The exit code of one worker process, which ends with the process that started it."""
    _end_with_parent()
    logs.configure()
    settings = settings_module.load()
    try:
        with warm.start(settings) as template:
            from geolab.jobs import execute  # noqa: F401 - papermill, before the first run needs it

            Server(settings, template=template).serve(once=bool(once))
    except GeolabError as problem:
        _log.error("%s", problem)
        return UNUSABLE
    return 0


def _end_with_parent() -> None:
    parent = os.getppid()
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:  # Linux
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(0)


# ---------------------------------------------------------------- several


def supervise(settings: Settings, *, workers: int = 1, once: bool = False) -> int:
    """The exit code after so many worker processes have ended; one that dies is followed by another."""
    open_ledger(settings)  # what is wrong with it is said once, before anything starts
    ending = threading.Event()
    slots = [_Slot(settings, number, workers, once=once) for number in range(workers)]

    def end(_: str) -> None:
        ending.set()
        for slot in slots:
            slot.tell()

    with workplace.on_signal(end, *_ENDING):
        for slot in slots:
            slot.start()
        while any(slot.lives(restart=not ending.is_set()) for slot in slots):
            ending.wait(POLL_S) if not ending.is_set() else time.sleep(POLL_S / 5)
    return max(slot.code for slot in slots)


class _Slot:
    """The place of one worker process."""

    def __init__(self, settings: Settings, number: int, workers: int, *, once: bool):
        self.settings, self.once = settings, once
        self.devices = gpus.visible()[number::workers]
        self.process: subprocess.Popen[bytes] | None = None
        self.code = 0
        self.told: float | None = None

    def start(self) -> None:
        mine = {"CUDA_VISIBLE_DEVICES": ",".join(map(str, self.devices))} if gpus.visible() else {}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "geolab.jobs.serving", *(["once"] if self.once else [])],
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the supervisor, who tells its workers
            env=os.environ | environment.of_worker(self.settings) | mine,
        )

    def tell(self) -> None:
        """Tell the worker to end."""
        if self.told is None and self.process is not None:
            self.told = time.monotonic()
            self.process.terminate()

    def lives(self, *, restart: bool) -> bool:
        """Whether there is, or will be, a worker here."""
        assert self.process is not None
        code = self.process.poll()
        if code is None:
            if self.told is not None and time.monotonic() - self.told > END_S:
                processes.kill_tree(self.process.pid, itself=True)
            return True
        if code in (0, UNUSABLE) or not restart:
            self.code = code if code == UNUSABLE else 0
            return False
        _log.warning("a worker ended with code %d; another takes its place", code)
        self.start()
        return True


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
