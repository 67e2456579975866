"""Further attempts at the same work: by themselves after a failure, or asked for."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from geolab import settings as settings_module
from geolab.errors import BadInput, NotFound
from geolab.jobs import events, folders, ids, record
from geolab.jobs.ledger import Ledger, open_ledger
from geolab.jobs.processes import Owner
from geolab.jobs.reconcile import reconcile
from geolab.jobs.record import NOBODY, Record
from geolab.jobs.submission import Submitted, describe, enqueue, submit
from geolab.settings import Settings

_log = logging.getLogger(__name__)


def after_failure(settings: Settings, ledger: Ledger, failed: Record, *, retrier: Owner) -> Record | None:
    """The attempt that follows a failure after a wait, if one is allowed; not yet queued.

    retrier: who will make it; nobody: anyone may. Pipelines decide themselves when they try again.
    """
    new = _anew(settings, failed) if failed.retries > 0 else None
    if new is None:
        return None
    now = ledger.now()
    lease = now + settings.lease_s if retrier != NOBODY else 0.0
    at, backoff_s = now + record.backoff(failed, 1), record.backoff(failed, 2)
    return replace(
        new, retries=failed.retries - 1, backoff_s=backoff_s, not_before=at, owner=retrier, lease_until=lease
    )


def after_interruption(settings: Settings, interrupted: Record) -> Record | None:
    """The same work for anyone, because the worker that had it must end; not yet queued."""
    return _anew(settings, interrupted)


def _anew(settings: Settings, run: Record) -> Record | None:
    """A run of its own for the same work, with a folder; None where it can't be had here."""
    old = folders.private(settings, run.id)
    if run.pipeline or not (old / folders.SOURCE).is_file():
        return None
    new = Record(ids.new(), run.notebook, run.key, run.parameters, created=time.time())
    kept = ("force", "timeout_s", "priority", "retries", "backoff_s", "memory_mb", "gpu")
    new = replace(new, **{name: getattr(run, name) for name in kept})
    folder = folders.private(settings, new.id)
    try:
        folder.mkdir(parents=True)
        shutil.copyfile(old / folders.SOURCE, folder / folders.SOURCE)
        describe(folder, new, json.loads((old / folders.DESCRIBED).read_bytes())["inputs"])
        asked = _asked(old)
        events.append(folder, "asked", notebook=asked.get("notebook", ""), needs=asked.get("needs", ()))
        (folder / folders.LOG).touch()
    except OSError as problem:
        _log.warning("no further attempt: %s", problem)
        shutil.rmtree(folder, ignore_errors=True)
        return None
    return new


def retry(run_id: str, *, settings: Settings | None = None) -> Submitted:
    """The work of a run that did not succeed, started once more with the notebook as it is now.

    One of a pipeline keeps its place there. Raises NotFound for a notebook that is no longer where it
    was, BadInput for a run that succeeded or is in progress.
    """
    settings = settings or settings_module.load()
    return _once_more(run_id, settings, submit)


def ask_again(run_id: str, *, settings: Settings | None = None) -> Submitted:
    """The same, put into the ledger for whoever takes it: a driver or a worker. Nothing is started."""
    settings = settings or settings_module.load()
    return _once_more(run_id, settings, enqueue)


def _once_more(run_id: str, settings: Settings, ask: Callable[..., Submitted]) -> Submitted:
    ledger = open_ledger(settings)
    reconcile(settings, ledger)
    run = ledger.get(run_id)
    if run.active or run.state == "succeeded":
        raise BadInput("run", found=f"{run.id}, which is {run.state}", expected="one that did not succeed")
    asked = _asked(Path(run.folder)) if run.folder else {}
    return ask(
        _notebook_of(run, asked),
        run.parameters,
        settings=settings,
        needs=asked.get("needs", ()),
        timeout_s=run.timeout_s,
        memory_mb=run.memory_mb,
        pipeline=run.pipeline,
        slot=run.slot,
    )


def _notebook_of(run: Record, asked: dict[str, Any]) -> str:
    path = str(asked.get("notebook", ""))
    if path and not Path(path).is_file():
        remedy = f"run {run.id} was made of it; give its new place to geolab run"
        raise NotFound("notebook", path, remedy=remedy)
    return path or run.notebook


def _asked(folder: Path) -> dict[str, Any]:
    """What was asked for: the notebook's file, and the keys of the runs that were needed."""
    return next((event for event in events.read(folder) if event["event"] == "asked"), {})


def to_retry(*, settings: Settings | None = None) -> list[str]:
    """The newest run of each piece of work whose last attempt failed or was lost, oldest first."""
    settings = settings or settings_module.load()
    ledger = open_ledger(settings)
    reconcile(settings, ledger)
    newest: dict[str, Record] = {}
    for run in ledger.runs():
        newest.setdefault(run.key, run)  # newest first
    return sorted(run.id for run in newest.values() if run.state in ("failed", "lost"))
