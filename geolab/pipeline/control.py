"""What people do with a pipeline from outside, by its name: pause, resume, stop, go on, try again.

The command line and the apps call the same functions.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from geolab.errors import BadInput, GeolabError, NotFound
from geolab.jobs import environment, record, retries
from geolab.jobs.ledger import Control, open_ledger
from geolab.jobs.ledger.protocol import CONTROLS
from geolab.jobs.reconcile import reconcile
from geolab.pipeline import search, spec
from geolab.pipeline.model import Pipeline
from geolab.settings import Settings

STOP_S = 15.0  # for what runs to end
LOGS = "pipelines"  # in the workspace: what drivers say that were started from a page


def known(settings: Settings) -> list[Control]:
    """The pipelines that were ever run or paused here, by name; nothing is created."""
    if settings.ledger_url.startswith("sqlite:///") and not settings.ledger_path.exists():
        return []
    return open_ledger(settings).controls()


def find(name: str, settings: Settings) -> Control:
    """What is known of a pipeline. Raises NotFound."""
    found = {control.name: control for control in known(settings)}
    if name not in found:
        raise NotFound("pipeline", name, known=found, remedy="it is known once it was run")
    return found[name]


def as_last_run(file: str | Path, given: dict[str, Any], settings: Settings) -> Pipeline:
    """The pipeline with the parameters of its last run, if none are given; what they name may be gone.

    Raises a GeolabError for a file that is gone or wrong.
    """
    control = open_ledger(settings).control(spec.name_of(file))
    if not given and control is not None:
        now = spec.parameters_of(file)  # the file may have changed since
        given = {name: value for name, value in control.parameters.items() if name in now}
    return search.settled(spec.load(file, given), settings)


def set_state(name: str, state: str, settings: Settings, *, file: str = "") -> Control:
    """The pipeline's control, in a new state: active, paused or stopped. file: of one that is new."""
    if state not in CONTROLS:
        raise BadInput("state", found=repr(state), expected=f"one of {', '.join(CONTROLS)}")

    def change(control: Control | None) -> Control:
        return replace(control or Control(name, file=file), state=state)

    changed = open_ledger(settings).change_control(name, change)
    assert changed is not None
    return changed


def stop(name: str, settings: Settings, *, file: str = "", wait_s: float = STOP_S) -> int:
    """End all runs: their owners see the wish in the ledger, whoever and wherever they are.

    Returns how many have not ended within `wait_s`.
    """
    set_state(name, "stopped", settings, file=file)
    ledger, deadline = open_ledger(settings), time.monotonic() + wait_s
    while True:
        active = ledger.runs(states=record.ACTIVE, pipeline=name)
        for run in active:
            if not run.cancel:
                ledger.update(run.id, record.ask_to_cancel)
        reconcile(settings, ledger)
        if not active or time.monotonic() > deadline:
            return len(ledger.runs(states=record.ACTIVE, pipeline=name))
        time.sleep(0.2)


def retry(run_ids: Iterable[str], settings: Settings, *, waiting: bool = True) -> tuple[int, str]:
    """Ask for the work of these runs once more. waiting: for whoever drives the pipeline; else started now.

    Returns how many were asked for, and why one could not be ("" if all could).
    """
    again = retries.ask_again if waiting else retries.retry
    asked, problem = 0, ""
    for run_id in run_ids:
        try:
            again(run_id, settings=settings)
            asked += 1
        except GeolabError as error:
            problem = problem or str(error)
    return asked, problem


def go_on(name: str, settings: Settings, *, retry_failed: bool = False) -> Driver:
    """A driver of its own, with the parameters of the last run: it outlives whoever asked for it.

    retry_failed: it also tries again what has failed. Raises NotFound, or PipelineError for a file that is
    wrong; that somebody drives the pipeline already is in the driver's log.
    """
    control = find(name, settings)
    as_last_run(control.file, {}, settings)
    log = settings.home / LOGS / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    parameters = [text for key, value in control.parameters.items() for text in ("-p", _told(key, value))]
    more = ["--retry-failed"] if retry_failed else []
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "geolab", "pipeline", "run", control.file, *parameters, *more],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
            env=os.environ | environment.of_worker(settings),
        )
    threading.Thread(target=process.wait, daemon=True).start()  # leaves no zombie
    return Driver(process, log)


class Driver:
    """A driver that was started here, and what it says."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path):
        self.process, self.log = process, log

    @property
    def refused(self) -> str:
        """Its last words, if it has ended in an error (2: as the command line says it); else ""."""
        if self.process.poll() != 2:
            return ""
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "the driver ended without a word"


def _told(name: str, value: Any) -> str:
    return f"{name}={value if isinstance(value, str) else json.dumps(value)}"
