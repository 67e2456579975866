"""What can be known of runs: lists, one in full, its log and events as they grow."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import IO, Any

from geolab import settings as settings_module
from geolab.errors import BadInput
from geolab.jobs import events, failure, folders, logs, progress
from geolab.jobs.ledger import Ledger, open_ledger
from geolab.jobs.outputs import when
from geolab.jobs.reconcile import reconcile
from geolab.jobs.record import STATES, Record
from geolab.settings import Settings

POLL_S = 0.2


@dataclass(frozen=True)
class View:
    """One run as people see it. Times are RFC 3339 in UTC; progress is 0..1, of the last event."""

    run_id: str
    notebook: str
    state: str
    key: str
    parameters: dict[str, Any]
    created: str
    started: str | None
    finished: str | None
    seconds: float | None
    attempt: int
    host: str
    pid: int
    folder: Path
    error: str
    progress: float | None = None
    doing: str = ""
    rate: float | None = None  # of what the last progress events count, per second
    eta_s: float | None = None  # at that rate
    usage: dict[str, float] | None = None  # of a running run: now; of one that ended: means and peaks
    cause: str = ""
    priority: int = 0
    pipeline: str = ""
    slot: str = ""
    report: dict[str, Any] | None = None  # of a run that succeeded; only from `show`


def runs(
    state: str | None = None, *, notebook: str = "", limit: int = 0, settings: Settings | None = None
) -> list[View]:
    """The runs, newest first; those of one state if it is given. limit: 0 for all."""
    if state is not None and state not in STATES:
        raise BadInput("state", found=repr(state), expected=f"one of {', '.join(STATES)}")
    settings, ledger = _true(settings)
    found = ledger.runs(states=(state,) if state else (), notebook=notebook, limit=limit)
    return [_view(settings, run) for run in found]


def show(run_id: str, *, settings: Settings | None = None) -> View:
    """One run in full. run_id: an id or its unique beginning of at least 6 characters."""
    settings, ledger = _true(settings)
    run = ledger.get(run_id)
    report = folders.read_report(Path(run.folder)) if run.state == "succeeded" else None
    return _view(settings, run, report)


def _true(settings: Settings | None) -> tuple[Settings, Ledger]:
    settings = settings or settings_module.load()
    ledger = open_ledger(settings)
    reconcile(settings, ledger)
    return settings, ledger


def _view(settings: Settings, run: Record, report: dict[str, Any] | None = None) -> View:
    folder = _folder(settings, run)
    done = progress.of(folder) if run.state == "running" else progress.NONE
    end = run.finished or (time.time() if run.active else None)
    return View(
        run_id=run.id,
        notebook=run.notebook,
        state=run.state,
        key=run.key,
        parameters=run.parameters,
        created=when(run.created) or "",
        started=when(run.started),
        finished=when(run.finished),
        seconds=round(end - run.started, 3) if end and run.started else None,
        attempt=run.attempt,
        host=run.owner.name,
        pid=run.owner.pid,
        folder=folder,
        error=run.error,
        progress=done.part,
        doing=done.doing,
        rate=done.rate,
        eta_s=done.eta_s,
        usage=_usage(run, folder, report),
        cause=run.cause,
        priority=run.priority,
        pipeline=run.pipeline,
        slot=run.slot,
        report=report,
    )


def _folder(settings: Settings, run: Record) -> Path:
    private = folders.private(settings, run.id)
    return Path(run.folder) if run.folder and not (run.active and private.is_dir()) else private


def _usage(run: Record, folder: Path, report: dict[str, Any] | None) -> dict[str, float] | None:
    """What the run takes, or took; read from its files where the record does not say it."""
    if report is not None:
        return report.get("usage")
    kind = {"running": "usage", "failed": "used", "cancelled": "used"}.get(run.state)
    found = [e for e in events.last(folder, kind) if e["event"] == kind] if kind else []
    return {k: v for k, v in found[-1].items() if k not in ("time", "event")} if found else None


def as_json(one: Any) -> dict[str, Any]:
    """A View or Outcome as JSON's types; what is empty by nature (no error) is left out."""
    assert is_dataclass(one)
    assert not isinstance(one, type)
    plain = {name: str(v) if isinstance(v, Path) else v for name, v in asdict(one).items()}
    return {name: v for name, v in plain.items() if name not in _OPTIONAL or v not in (None, "")}


_OPTIONAL = (
    "error",
    "progress",
    "doing",
    "rate",
    "eta_s",
    "usage",
    "cause",
    "pipeline",
    "slot",
    "report",
)


# ---------------------------------------------------------------- as it grows


def log_path(run_id: str, *, settings: Settings | None = None) -> Path:
    """Where the log of a run is now; it moves once, when the run ends."""
    settings = settings or settings_module.load()
    run = open_ledger(settings).get(run_id)
    kept, private = Path(run.folder or ".") / folders.LOG, folders.private(settings, run.id) / folders.LOG
    return kept if run.folder and kept.is_file() else private


def follow(run_id: str, *, settings: Settings | None = None) -> Iterator[str]:
    """The log, piece by piece as it is written, until the run has ended; without control characters."""
    settings = settings or settings_module.load()
    ledger = open_ledger(settings)
    path = log_path(run_id, settings=settings)
    with path.open(
        encoding="utf-8", errors="replace", newline="\n"
    ) as stream:  # stays open when it is renamed
        while True:
            active = ledger.get(run_id).active  # asked before reading: the last lines are read too
            while text := stream.read(1 << 16):
                yield failure.clean(text.replace("\r", "\n"))
            if not active:
                return
            time.sleep(POLL_S)
            reconcile(settings, ledger)


def watch(run_id: str, *, settings: Settings | None = None) -> Iterator[dict[str, Any]]:
    """The events of a run, each once, as they come, until it has ended."""
    settings = settings or settings_module.load()
    ledger = open_ledger(settings)
    with ExitStack() as stack:
        stream: IO[bytes] | None = None
        while True:
            run = ledger.get(run_id)  # asked before reading: the last events are read too
            if stream is None and (path := _folder(settings, run) / events.FILE).is_file():
                stream = stack.enter_context(path.open("rb"))  # stays open when the folder is renamed
            if stream is not None:
                yield from events.take(stream)
            if not run.active:
                return
            time.sleep(POLL_S)
            reconcile(settings, ledger)


def log_lines(
    run_id: str, *, follow: bool = False, settings: Settings | None = None
) -> Iterator[dict[str, Any]]:
    """The log of a run as records: time, level, logger, text, run_id and cell.

    follow: go on until it has ended.
    """
    settings = settings or settings_module.load()
    run = open_ledger(settings).get(run_id)
    found = watch(run.id, settings=settings) if follow else events.read(_folder(settings, run))
    yield from logs.lines(found, run.id)
