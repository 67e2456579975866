"""Make the ledger true again: runs whose owner is gone, folders nobody works in, a lost ledger."""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from geolab.errors import NotFound
from geolab.jobs import failure, folders, ids, outputs, processes, record
from geolab.jobs.ledger import Ledger
from geolab.jobs.record import Record
from geolab.settings import Settings


def reconcile(settings: Settings, ledger: Ledger) -> None:
    """Settle every run that nobody works on any more, and tidy what it left.

    A run that had written its report is published, as its own process was about to do; any other is
    lost. Called before every listing and submission; costs a query when there is nothing to do.
    """
    abandoned = partial(record.abandoned, now=ledger.now(), host=settings.host)
    gone = [run for run in ledger.held() if abandoned(run)]
    if any(not (run.waiting or processes.is_dead(run.owner, host=settings.host)) for run in gone):
        time.sleep(2 * settings.heartbeat_s)  # after a suspended night a living owner renews its lease first
    for run in gone:
        _settle(settings, ledger, run)
    _tidy_leftovers(settings, ledger)


def _settle(settings: Settings, ledger: Ledger, run: Record) -> None:
    now = ledger.now()
    if not record.abandoned(ledger.get(run.id), now, host=settings.host):
        return
    if processes.is_here(run.owner, host=settings.host):
        processes.kill_owner(run.owner, host=settings.host)  # silent but alive it hangs, and must not write
        processes.kill_leftovers(folders.private(settings, run.id) / folders.DESCRIBED)
    settled = ledger.update(run.id, partial(_settled, settings, now))
    if settled is not None:
        done = settled.state == "succeeded"
        outputs.announce(settings, Path(settled.folder) if done else folders.private(settings, run.id))


def _settled(settings: Settings, now: float, run: Record) -> Record | None:
    """The run as its files show it, published if it was complete; under the ledger's lock."""
    own, final = folders.private(settings, run.id), folders.published(settings, run)
    settle = partial(record.settle, run, now=now, host=settings.host)
    if settle(state="lost", folder="", error="") is None:
        return None
    if _is_of(run, own) and not run.cancel:
        folders.publish(settings, run)
    if _is_of(run, final):
        return settle(state="succeeded", folder=str(final), error="")
    state = "cancelled" if run.cancel else "lost"
    error = "cancelled" if run.cancel else failure.of_lost(run.id)
    return settle(state=state, folder=str(folders.attempt(settings, run)), error=error)


def _is_of(run: Record, folder: Path) -> bool:
    report = folders.read_report(folder)
    return report is not None and report.get("run_id") == run.id


# ---------------------------------------------------------------- leftovers


def _tidy_leftovers(settings: Settings, ledger: Ledger) -> None:
    """Put away the private folders of runs that are over."""
    root = folders.private_root(settings)
    found = sorted(root.iterdir()) if root.is_dir() else []
    active = ledger.active() if found else set()
    for folder in found:
        if folder.name in active:
            continue
        try:
            run = ledger.get(folder.name)
        except NotFound:
            _remove_unknown(settings, folder)
            continue
        if not run.active:
            retire(settings, ledger, run)


def _remove_unknown(settings: Settings, folder: Path) -> None:
    """Remove a private folder whose run is in no ledger, once nobody can be about to enter it."""
    with suppress(FileNotFoundError):  # its process found the same work in progress, and gave the folder up
        if time.time() - folder.stat().st_mtime > 2 * settings.lease_s + 60:
            shutil.rmtree(folder, ignore_errors=True)


def retire(settings: Settings, ledger: Ledger, run: Record) -> None:
    """Put what a run that is over left in its private folder with the attempts."""
    shutil.rmtree(folders.runtime(run.id), ignore_errors=True)
    if not folders.private(settings, run.id).is_dir():
        return
    left = from_report(folders.private(settings, run.id)) or run
    target = folders.attempt(settings, left)
    if left.id != run.id:  # this run was forced, and took the place of an older one
        try:
            ledger.update(left.id, lambda older: replace(older, folder=str(target)))
        except NotFound:
            ledger.put(replace(left, folder=str(target)))
    folders.tidy(settings, run, target)


# ---------------------------------------------------------------- a lost ledger


def rebuild(settings: Settings, ledger: Ledger) -> int:
    """How many finished runs were read from the folders into the ledger; those it knows stay."""
    known = {run.id for run in ledger.runs()}
    count = 0
    for path in sorted(settings.runs.glob(f"*/*/{folders.REPORT}")):
        run = from_report(path.parent)
        if run is not None and run.id not in known:
            ledger.put(run)
            count += 1
    return count


def from_report(folder: Path) -> Record | None:
    """The finished run that a published folder holds."""
    report = folders.read_report(folder)
    if report is None or not ids.PATTERN.fullmatch(str(report.get("run_id"))):
        return None
    return Record(
        id=report["run_id"],
        notebook=report["notebook"],
        key=report["key"],
        parameters=report["parameters"],
        state="succeeded",
        attempt=report["attempt"],
        created=_seconds(report["created"]) or 0.0,
        started=_seconds(report["started"]),
        finished=_seconds(report["finished"]),
        folder=str(folder),
    )


def _seconds(text: Any) -> float | None:
    return datetime.fromisoformat(text).timestamp() if text else None
