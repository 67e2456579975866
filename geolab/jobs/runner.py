"""Run notebooks as jobs: submit, wait, cancel, kill.

A run has a process of its own, which survives the one that asked for it. Whoever waits only
watches the ledger.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from geolab import settings as settings_module
from geolab.jobs import folders, ids, processes, record, worker
from geolab.jobs.keys import key as key_of
from geolab.jobs.ledger import Ledger, open_ledger
from geolab.jobs.listing import View, show
from geolab.jobs.notebook import find_notebook
from geolab.jobs.parameters import contract, parse
from geolab.jobs.reconcile import from_report, reconcile
from geolab.jobs.record import Record
from geolab.jobs.references import Input, inputs
from geolab.settings import Settings

POLL_S = 0.1
RECONCILE_EVERY_S = 2.0


@dataclass(frozen=True)
class Outcome:
    """How a run ended. folder: of its results, or of what is left of an attempt without any."""

    run_id: str
    state: str
    key: str
    folder: Path | None
    reused: bool  # this call executed nothing: the same work was finished or in progress
    results: dict[str, Any]
    error: str = ""


@dataclass(frozen=True)
class Submitted:
    """A run that was asked for. reused: it was there before."""

    run_id: str
    reused: bool


def run(
    name: str | Path,
    parameters: Mapping[str, Any] | None = None,
    *,
    settings: Settings | None = None,
    force: bool = False,
    timeout_s: float | None = None,
) -> Outcome:
    """The outcome of the notebook run with these parameters, executed only if it never was.

    parameters: texts or typed values; the others have their defaults. force: execute again; the old
    results stay until the new ones take their place in one step. Ctrl-C cancels what this call started.
    Raises a GeolabError, before anything starts, for whatever is wrong with notebook or parameters.
    """
    settings = settings or settings_module.load()
    while True:
        submitted = submit(name, parameters, settings=settings, force=force, timeout_s=timeout_s)
        try:
            outcome = wait(submitted.run_id, settings=settings, reused=submitted.reused)
        except KeyboardInterrupt:
            if not submitted.reused:
                cancel(submitted.run_id, settings=settings)
            raise
        if not (submitted.reused and outcome.state in ("cancelled", "lost")):
            return outcome  # else: somebody else's run was stopped; do it ourselves


def submit(
    name: str | Path,
    parameters: Mapping[str, Any] | None = None,
    *,
    settings: Settings | None = None,
    force: bool = False,
    timeout_s: float | None = None,
) -> Submitted:
    """The run of this notebook with these parameters, started in a process of its own if need be.

    A finished run with the same key is returned (unless forced), and so is one that is in progress.
    """
    settings = settings or settings_module.load()
    path = find_notebook(name)
    agreed = contract(path)
    values = parse(agreed, parameters or {}, settings=settings)
    found = inputs(agreed.parameters, values, settings)
    new = _new_record(agreed.name, key_of(path, values, found), values, settings, force, timeout_s)

    ledger = open_ledger(settings)
    reconcile(settings, ledger)
    finished = None if force else _finished(settings, ledger, new)
    if finished is not None:
        return Submitted(finished.id, reused=True)
    _prepare(settings, new, path, found)
    queued = ledger.enqueue(new)
    if queued.id != new.id:
        shutil.rmtree(folders.private(settings, new.id))
        return Submitted(queued.id, reused=True)
    _start(settings, ledger, new)
    return Submitted(new.id, reused=False)


def _new_record(
    name: str, key: str, values: dict[str, Any], settings: Settings, force: bool, timeout_s: float | None
) -> Record:
    now = time.time()
    owner, lease = processes.owner(), now + settings.lease_s
    return Record(
        ids.new(),
        name,
        key,
        values,
        owner=owner,
        lease_until=lease,
        created=now,
        force=force,
        timeout_s=timeout_s,
    )


def _finished(settings: Settings, ledger: Ledger, new: Record) -> Record | None:
    """The published run with the same key: it exists exactly when its report does."""
    done = from_report(folders.published(settings, new))
    if done is None or done.key != new.key:
        return None
    if done.id not in (run.id for run in ledger.runs(key=new.key)):
        ledger.put(done)
    return done


def _prepare(settings: Settings, new: Record, notebook: Path, found: list[Input]) -> None:
    """Make the private folder with a copy of the notebook: what runs is what was checked."""
    folder = folders.private(settings, new.id)
    folder.mkdir(parents=True)
    shutil.copyfile(notebook, folder / folders.SOURCE)
    described = {"id": new.id, "name": new.notebook, "key": new.key, "parameters": new.parameters}
    text = json.dumps(described | {"inputs": [asdict(one) for one in found]})
    (folder / folders.DESCRIBED).write_text(text, encoding="utf-8")


def _start(settings: Settings, ledger: Ledger, new: Record) -> None:
    folder = folders.private(settings, new.id)
    with (folder / folders.LOG).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "geolab.jobs.worker", new.id],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=os.environ | worker.environment(settings, folder, folders.runtime(new.id)),
        )
    threading.Thread(target=process.wait, daemon=True).start()  # leaves no zombie
    owner, lease = processes.owner(process.pid), time.time() + settings.lease_s
    ledger.update(new.id, lambda run: record.hand_over(run, owner=owner, lease_until=lease))


def wait(run_id: str, *, settings: Settings | None = None, reused: bool = False) -> Outcome:
    """How a run ended, as soon as it has. Raises NotFound."""
    settings = settings or settings_module.load()
    ledger = open_ledger(settings)
    looked = time.monotonic()
    while (found := ledger.get(run_id)).active:
        if time.monotonic() - looked > RECONCILE_EVERY_S:
            reconcile(settings, ledger)
            looked = time.monotonic()
        time.sleep(POLL_S)
    _wait_until_tidy(settings, run_id)
    report = folders.read_report(Path(found.folder)) if found.state == "succeeded" else None
    results = report["results"] if report else {}
    folder = Path(found.folder) if found.folder else None
    return Outcome(found.id, found.state, found.key, folder, reused, results, found.error)


def _wait_until_tidy(settings: Settings, run_id: str) -> None:
    """Wait a little until the run's own process has put its folder where the ledger says."""
    deadline = time.monotonic() + 5
    while folders.private(settings, run_id).is_dir() and time.monotonic() < deadline:
        time.sleep(POLL_S / 10)


def cancel(run_id: str, *, settings: Settings | None = None) -> View:
    """The run, asked to stop; its own process ends kernel and work within a second or so."""
    settings = settings or settings_module.load()
    ledger = open_ledger(settings)
    found = ledger.get(run_id)
    ledger.update(found.id, record.ask_to_cancel)
    return show(found.id, settings=settings)


def kill(run_id: str, *, settings: Settings | None = None) -> View:
    """The run, its process and kernel killed at once: for one that does not answer to `cancel`."""
    settings = settings or settings_module.load()
    ledger = open_ledger(settings)
    found = ledger.get(run_id)
    if found.active:
        ledger.update(found.id, record.ask_to_cancel)
        processes.kill_owner(found.owner)
    return show(found.id, settings=settings)
