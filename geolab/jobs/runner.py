"""Run notebooks as jobs: run, wait, cancel, kill.

A run has a process of its own, which survives the one that asked for it. Whoever waits only
watches the ledger.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geolab import settings as settings_module
from geolab.jobs import folders, processes, record
from geolab.jobs.ledger import open_ledger
from geolab.jobs.listing import View, show
from geolab.jobs.reconcile import reconcile
from geolab.jobs.submission import submit
from geolab.settings import Settings

POLL_S = 0.1
RECONCILE_EVERY_S = 2.0
SUCCESSOR_S = 10.0  # for the worker of a failed attempt to ask for the next one


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


def run(
    name: str | Path,
    parameters: Mapping[str, Any] | None = None,
    *,
    settings: Settings | None = None,
    force: bool = False,
    timeout_s: float | None = None,
    memory_mb: float | None = None,
    retries: int = 0,
    backoff_s: float = 10,
) -> Outcome:
    """The outcome of the notebook run with these parameters, executed only if it never was.

    parameters: texts or typed values; the others have their defaults. force: execute again; the old
    results stay until the new ones take their place in one step. retries: further attempts after a
    failure, the first after backoff_s, each later one after twice the wait before it. Ctrl-C cancels
    what this call started.
    Raises a GeolabError, before anything starts, for whatever is wrong with notebook or parameters.
    """
    settings = settings or settings_module.load()
    while True:
        submitted = submit(
            name,
            parameters,
            settings=settings,
            force=force,
            timeout_s=timeout_s,
            memory_mb=memory_mb,
            retries=retries,
            backoff_s=backoff_s,
        )
        run_id = submitted.run_id
        try:
            outcome = wait(run_id, settings=settings, reused=submitted.reused)
            while run_id := successor(outcome, settings=settings):
                outcome = wait(run_id, settings=settings, reused=submitted.reused)
        except KeyboardInterrupt:
            if not submitted.reused:
                cancel(run_id, settings=settings)
            raise
        if not (submitted.reused and outcome.state in ("cancelled", "lost")):
            return outcome  # else: somebody else's run was stopped; do it ourselves


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


def successor(outcome: Outcome, *, settings: Settings) -> str:
    """The attempt that follows a failed one by itself; empty if there is none."""
    if outcome.state != "failed":
        return ""
    ledger = open_ledger(settings)
    failed = ledger.get(outcome.run_id)
    deadline = time.monotonic() + SUCCESSOR_S
    while failed.retries > 0 and not failed.pipeline and time.monotonic() < deadline:
        later = [run for run in ledger.runs(key=failed.key) if run.id > failed.id]
        if later:
            return later[-1].id
        if processes.is_dead(failed.owner, host=settings.host):
            return ""
        time.sleep(POLL_S)
    return ""


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
        processes.kill_owner(found.owner, host=settings.host)
    return show(found.id, settings=settings)
