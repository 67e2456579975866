"""What a pipeline is doing: the same figures for the terminal, for a page and for the driver's caller."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from geolab.jobs import events, folders, processes, progress
from geolab.jobs.ledger import Control, Ledger, open_ledger
from geolab.jobs.record import NOBODY, Record
from geolab.pipeline.board import Board, Row
from geolab.pipeline.model import Pipeline
from geolab.settings import Settings

RATE_S = 600.0  # the rate is that of the last ten minutes
RECENT = 500  # runs that rates and means are taken from
FAILURES = 20  # shown
FRESH_S = 1.0  # a board that looked earlier looks again
DONE = "succeeded"
OVER = ("succeeded", "failed", "blocked")


@dataclass(frozen=True)
class StageFigures:
    """One stage. rate_per_min: runs finished; mean_s, eta_s: None where not known yet."""

    name: str
    total: int
    counts: dict[str, int]
    rate_per_min: float = 0.0
    mean_s: float | None = None
    eta_s: float | None = None

    @property
    def done(self) -> int:
        return self.counts.get(DONE, 0)


@dataclass(frozen=True)
class Running:
    """One run in progress. progress: 0..1; cpu_pct: 100 is one core; None where not known."""

    stage: str
    cell: str
    run_id: str
    host: str
    seconds: float
    progress: float | None = None
    doing: str = ""
    cpu_pct: float | None = None
    memory_mb: float | None = None
    gpu_pct: float | None = None


@dataclass(frozen=True)
class Figures:
    """A pipeline at one moment. state: active, paused, stopped, or '' before its first run."""

    name: str
    state: str
    driven: bool  # somebody drives it now
    total: int
    counts: dict[str, int]
    executions: int
    stages: tuple[StageFigures, ...]
    running: tuple[Running, ...]
    failures: tuple[Row, ...]  # the first of them
    workers: int  # runs at once
    eta_s: float | None = None
    engine: str = ""
    dashboard: str = ""

    @property
    def done(self) -> int:
        return self.counts.get(DONE, 0)


def figures(pipeline: Pipeline, settings: Settings, board: Board | None = None) -> Figures:
    """The figures of now. board: one that is kept for the pipeline; else that of `board_of_now`."""
    if board is None:
        board = board_of_now(pipeline, settings)
    elif time.monotonic() - board.looked > FRESH_S:
        board.refresh()
    ledger = board.ledger
    control = _control(pipeline, ledger)
    running = ledger.runs(states=("running",), pipeline=pipeline.name)
    stages = _stages(pipeline, board, ledger, workers=len(running))
    etas = [stage.eta_s for stage in stages if stage.eta_s != 0]
    return Figures(
        name=pipeline.name,
        state=control.state,
        driven=_is_driven(control, settings, ledger),
        total=pipeline.count,
        counts=board.counts(),
        executions=board.executions,
        stages=tuple(stages),
        running=tuple(_running(settings, run, ledger.now()) for run in reversed(running)),
        failures=tuple(board.failures(FAILURES)),
        workers=len(running),
        eta_s=None if None in etas or not running else sum(filter(None, etas)),
        engine=control.engine,
        dashboard=control.dashboard,
    )


def board_of_now(pipeline: Pipeline, settings: Settings) -> Board:
    """A refreshed board for people who look on, kept between calls.

    What is outdated shows as such while a driver may be doing it again; else what is done is done, and
    the plan tells what a driver would do again.
    """
    ledger = open_ledger(settings)
    board = _board(pipeline, settings, not _is_driven(_control(pipeline, ledger), settings, ledger))
    board.refresh()
    return board


@lru_cache(maxsize=4)
def _board(pipeline: Pipeline, settings: Settings, keep_outdated: bool) -> Board:
    return Board(pipeline, settings, open_ledger(settings), keep_outdated=keep_outdated)


def _control(pipeline: Pipeline, ledger: Ledger) -> Control:
    return ledger.control(pipeline.name) or Control(pipeline.name, state="")


def _is_driven(control: Control, settings: Settings, ledger: Ledger) -> bool:
    if control.driver == NOBODY or processes.is_dead(control.driver, host=settings.host):
        return False
    return ledger.now() - control.beat < settings.lease_s


def _stages(pipeline: Pipeline, board: Board, ledger: Ledger, *, workers: int) -> list[StageFigures]:
    recent = ledger.runs(states=(DONE,), pipeline=pipeline.name, limit=RECENT)
    now, found = ledger.now(), []
    for name, there in pipeline.present.items():
        own = [run for run in recent if run.slot.split("/", 1)[0] == name and run.started and run.finished]
        counts = board.counts_of(name)
        left = int(there.sum()) - sum(counts.get(state, 0) for state in OVER)
        mean = _mean(own)
        eta = 0.0 if not left else left * mean / workers if mean is not None and workers else None
        found.append(StageFigures(name, int(there.sum()), counts, _rate(own, now), mean, eta))
    return found


def _mean(runs: Iterable[Record]) -> float | None:
    seconds = [(run.finished or 0) - (run.started or 0) for run in runs]
    return max(sum(seconds) / len(seconds), 0.0) if seconds else None


def _rate(runs: list[Record], now: float) -> float:
    """Runs finished a minute, in the last ten or since the first of those that are known."""
    late = [run for run in runs if (run.finished or 0) > now - RATE_S]
    since = max(now - RATE_S, min((run.started or now for run in late), default=now))
    return len(late) / max(now - since, 1.0) * 60 if late else 0.0


def _running(settings: Settings, run: Record, now: float) -> Running:
    folder = folders.private(settings, run.id)
    stage, _, place = run.slot.partition("/")
    at, used = progress.of(folder), _usage(events.last(folder, "usage"))
    return Running(
        stage=stage,
        cell=place,
        run_id=run.id,
        host=run.owner.name,
        seconds=max(now - (run.started or now), 0.0),
        progress=at.part,
        doing=at.doing,
        cpu_pct=used.get("cpu_pct"),
        memory_mb=used.get("memory_mb"),
        gpu_pct=used.get("gpu_pct"),
    )


def _usage(found: list[dict[str, Any]]) -> dict[str, float]:
    newest = next((event for event in reversed(found) if event["event"] == "usage"), {})
    return {name: value for name, value in newest.items() if isinstance(value, int | float)}


def as_json(found: Figures) -> dict[str, Any]:
    """The figures as JSON's types, for a page."""
    return asdict(found) | {"done": found.done}


def summary(board: Board) -> dict[str, Any]:
    """Counts, executions and all rows as JSON's types: what plan and status print for machines."""
    rows = [
        {
            "stage": row.stage,
            "cell": row.cell,
            "state": row.state,
            "run_id": row.run_id,
            "attempts": row.attempts,
        }
        for row in board.rows()
    ]
    return {"counts": board.counts(), "executions": board.executions, "rows": rows}
