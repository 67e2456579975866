"""Processes that do runs: one run each (`python -m geolab.jobs.worker RUN_ID`), or one after another.

Such a process owns its run in the ledger: claims it, renews its lease, executes the notebook in a
kernel of its own, decides the state and publishes. Whoever asked only watches, and may go away.
"""

from __future__ import annotations

import shutil
import signal
import sys
import time
from functools import partial
from typing import Any

from geolab import settings as settings_module
from geolab.errors import LedgerError
from geolab.jobs import folders, processes, record, workplace
from geolab.jobs.attempt import POLL_S, Attempt
from geolab.jobs.ledger import Ledger, open_ledger
from geolab.jobs.processes import Owner
from geolab.jobs.record import NOBODY, Record
from geolab.settings import Settings


def main(run_id: str) -> None:
    """Do the run with this id, if it still waits to be done; and again after failures that allow it."""
    settings = settings_module.load()
    ledger, me = open_ledger(settings), processes.owner(host=settings.host)
    while run_id and _wait(settings, ledger, run_id, me):
        run = ledger.claim(run_id, owner=me, lease_s=settings.lease_s)
        run_id = attempt(settings, ledger, run, retrier=me).next_id if run else ""


def perform(run_id: str, *, settings: Settings | None = None, template: Any = None) -> str:
    """The state in which the run ended, executed in this process; empty if it can't be claimed.

    For a process that does many runs, one at a time: it is afterwards as it was before. A run that
    hangs even when its kernel is dead ends the process with exit code 1. template: to fork the
    kernel from.
    """
    settings = settings or settings_module.load()
    if template is not None:
        template.prepare()  # before the run: what is there then is none of its processes
    ledger = open_ledger(settings)
    run = ledger.claim(run_id, owner=processes.owner(host=settings.host), lease_s=settings.lease_s)
    return attempt(settings, ledger, run, template=template).state if run else ""


def attempt(
    settings: Settings, ledger: Ledger, run: Record, *, template: Any = None, retrier: Owner = NOBODY
) -> Attempt:
    """The finished attempt at a run that this process has claimed; SIGTERM stops it."""
    made = Attempt(settings, ledger, run, template=template, retrier=retrier)
    with workplace.on_signal(lambda name: made.cancel(f"stopped by {name}"), signal.SIGTERM):
        made.do()
    return made


def _wait(settings: Settings, ledger: Ledger, run_id: str, me: Owner) -> bool:
    """Whether the run may start, once its time has come; its lease is renewed meanwhile."""
    renewed = time.monotonic()
    while (run := ledger.get(run_id)).state == "queued" and run.not_before > ledger.now():
        if run.cancel:
            _withdraw(settings, ledger, run, me)
            return False
        if time.monotonic() - renewed > settings.heartbeat_s:
            _keep(settings, ledger, run, me)
            renewed = time.monotonic()
        time.sleep(POLL_S)
    return run.state == "queued"


def _keep(settings: Settings, ledger: Ledger, run: Record, me: Owner) -> None:
    try:
        lease = ledger.now() + settings.lease_s
        ledger.update(run.id, partial(record.keep, owner=me, lease_until=lease))
    except LedgerError:
        return  # the next look says whether it is still ours


def _withdraw(settings: Settings, ledger: Ledger, run: Record, me: Owner) -> None:
    if ledger.update(run.id, partial(record.withdraw, owner=me, now=ledger.now())):
        shutil.rmtree(folders.private(settings, run.id), ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1])
