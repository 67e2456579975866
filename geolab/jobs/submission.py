"""Ask for runs: checked, given a key, put into the ledger, started in a process of their own.

A finished run with the same key is found again instead, and so is one that waits or runs.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from geolab import settings as settings_module
from geolab.errors import BadInput, StorageError
from geolab.jobs import environment, events, folders, ids, keys, processes, record
from geolab.jobs.ledger import Ledger, open_ledger
from geolab.jobs.notebook import find_notebook
from geolab.jobs.parameters import contract, parse
from geolab.jobs.reconcile import from_report, reconcile, retire
from geolab.jobs.record import Record
from geolab.jobs.references import Input, inputs
from geolab.settings import Settings


@dataclass(frozen=True)
class Submitted:
    """A run that was asked for. reused: it was there before."""

    run_id: str
    reused: bool


@dataclass(frozen=True)
class _Checked:
    """A notebook with parameters that fit, and the key of that work."""

    notebook: Path
    name: str
    values: dict[str, Any]
    inputs: list[Input]
    key: str
    needs: tuple[str, ...] = ()


def key_of(
    name: str | Path,
    parameters: Mapping[str, Any] | None = None,
    *,
    settings: Settings | None = None,
    needs: Iterable[str] = (),
) -> tuple[str, dict[str, Any]]:
    """The key of this work, and its parameters in full; nothing is asked for.

    needs: keys of the runs whose results it takes.
    """
    checked = _check(name, parameters, settings or settings_module.load(), needs)
    return checked.key, checked.values


def _check(
    name: str | Path, parameters: Mapping[str, Any] | None, settings: Settings, needs: Iterable[str] = ()
) -> _Checked:
    path = find_notebook(name)
    agreed = contract(path)
    values = parse(agreed, parameters or {}, settings=settings)
    found, needed = inputs(agreed.parameters, values, settings), tuple(needs)
    return _Checked(path, agreed.name, values, found, keys.key(path, values, found, needed), needed)


def enqueue(
    name: str | Path,
    parameters: Mapping[str, Any] | None = None,
    *,
    settings: Settings | None = None,
    needs: Iterable[str] = (),
    pipeline: str = "",
    slot: str = "",
    priority: int = 0,
    retries: int = 0,
    backoff_s: float = 10,
    timeout_s: float | None = None,
    memory_mb: float | None = None,
    gpu: int = 0,
    not_before: float = 0,
    force: bool = False,
) -> Submitted:
    """The run of this notebook, queued for whoever claims it first; nothing is started.

    A finished run with the same key is returned (unless forced), and so is one that is in progress.
    """
    settings = settings or settings_module.load()
    checked = _check(name, parameters, settings, needs)
    new = Record(
        ids.new(),
        checked.name,
        checked.key,
        checked.values,
        created=time.time(),
        force=force,
        timeout_s=timeout_s,
        priority=priority,
        retries=retries,
        backoff_s=backoff_s,
        not_before=not_before,
        memory_mb=memory_mb,
        gpu=gpu,
        pipeline=pipeline,
        slot=slot,
    )
    _sensible(new)
    return _queued(settings, open_ledger(settings), new, checked)[0]


def submit(
    name: str | Path,
    parameters: Mapping[str, Any] | None = None,
    *,
    settings: Settings | None = None,
    needs: Iterable[str] = (),
    force: bool = False,
    timeout_s: float | None = None,
    memory_mb: float | None = None,
    retries: int = 0,
    backoff_s: float = 10,
    pipeline: str = "",
    slot: str = "",
) -> Submitted:
    """The run of this notebook with these parameters, started in a process of its own if need be.

    A finished run with the same key is returned (unless forced), and so is one that is in progress;
    one that waits for anyone is started.
    """
    settings = settings or settings_module.load()
    checked = _check(name, parameters, settings, needs)
    new = Record(
        ids.new(),
        checked.name,
        checked.key,
        checked.values,
        created=time.time(),
        force=force,
        timeout_s=timeout_s,
        memory_mb=memory_mb,
        retries=retries,
        backoff_s=backoff_s,
        pipeline=pipeline,
        slot=slot,
    )
    _sensible(new)
    ledger = open_ledger(settings)
    reconcile(settings, ledger)
    me, lease = processes.owner(host=settings.host), ledger.now() + settings.lease_s
    new = replace(new, owner=me, lease_until=lease)
    submitted, queued = _queued(settings, ledger, new, checked)
    if queued is not None and (queued.waiting or not submitted.reused):
        try:
            _start(settings, ledger, queued)
        except (OSError, StorageError) as problem:
            _give_up(settings, ledger, queued, problem)
            raise
    return submitted


def _sensible(new: Record) -> None:
    """Raise BadInput for limits without sense."""
    for what, value in (("timeout", new.timeout_s), ("memory limit", new.memory_mb)):
        if value is not None and not value > 0:
            raise BadInput(what, found=value, expected="a number above 0")
    for what, value in (("retries", new.retries), ("backoff", new.backoff_s), ("gpu", new.gpu)):
        if not value >= 0:
            raise BadInput(what, found=value, expected="a number of at least 0")


def _queued(
    settings: Settings, ledger: Ledger, new: Record, checked: _Checked
) -> tuple[Submitted, Record | None]:
    """The new run in the ledger, or the one that does the same work already."""
    finished = None if new.force else _finished(settings, ledger, new)
    if finished is not None:
        return Submitted(finished.id, reused=True), None
    own = False
    try:
        _prepare(settings, new, checked)
        queued = _enter(settings, ledger, new)
        own = queued.id == new.id
    finally:
        if not own:
            shutil.rmtree(folders.private(settings, new.id), ignore_errors=True)
    return Submitted(queued.id, reused=queued.id != new.id), queued


def _enter(settings: Settings, ledger: Ledger, new: Record) -> Record:
    """The new run, or the active one with its key."""
    queued = ledger.enqueue(new)
    if queued.id != new.id and record.abandoned(queued, ledger.now(), host=settings.host):
        reconcile(settings, ledger)  # it was about to be lost, and now it is
        queued = ledger.enqueue(new)
    return queued


def _finished(settings: Settings, ledger: Ledger, new: Record) -> Record | None:
    """The published run with the same key: it exists exactly when its report does."""
    done = from_report(folders.published(settings, new))
    if done is None or done.key != new.key:
        return None
    if done.id not in (run.id for run in ledger.runs(key=new.key)):
        ledger.put(done)
    return done


def _prepare(settings: Settings, new: Record, checked: _Checked) -> None:
    """Make the private folder with a copy of the notebook: what runs is what was checked."""
    folder = folders.private(settings, new.id)
    with folders.writing(folder):
        folder.mkdir(parents=True)
        shutil.copyfile(checked.notebook, folder / folders.SOURCE)
        describe(folder, new, [asdict(one) for one in checked.inputs])
        events.append(folder, "asked", notebook=str(checked.notebook), needs=checked.needs)
        (folder / folders.LOG).touch()


def describe(folder: Path, new: Record, found: list[dict[str, Any]]) -> None:
    """Write what a run's kernel and its report need to know. found: its inputs."""
    described = {"id": new.id, "name": new.notebook, "key": new.key, "parameters": new.parameters}
    described["attempt"] = new.attempt  # 1 until the ledger has counted: the worker writes it again
    text = json.dumps(described | {"inputs": found})
    (folder / folders.DESCRIBED).write_text(text, encoding="utf-8")


def _start(settings: Settings, ledger: Ledger, new: Record) -> None:
    folder = folders.private(settings, new.id)
    with folders.writing(folder), (folder / folders.LOG).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "geolab.jobs.worker", new.id],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=os.environ | environment.of_worker(settings) | environment.of_run(folder, new.id),
        )
    threading.Thread(target=process.wait, daemon=True).start()  # leaves no zombie
    owner, lease = processes.owner(process.pid, host=settings.host), ledger.now() + settings.lease_s
    ledger.update(new.id, lambda run: record.hand_over(run, owner=owner, lease_until=lease))


def _give_up(settings: Settings, ledger: Ledger, new: Record, problem: Exception) -> None:
    """Record a run whose process could not be started."""
    run = ledger.claim(new.id, owner=processes.owner(host=settings.host), lease_s=settings.lease_s)
    if run is not None:
        failed = partial(
            record.finish, owner=run.owner, state="failed", folder=str(folders.attempt(settings, run))
        )
        ledger.update(new.id, lambda run: failed(run, now=ledger.now(), error=f"not started: {problem}"))
        retire(settings, ledger, run)
