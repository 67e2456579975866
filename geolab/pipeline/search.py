"""Search for the best parameters of a stage: trials are runs like all others, driven in batches.

The ledger decides what is done here too: trials that have run are found again, those in flight are
taken up, and the best parameters go into the stage, so that what hangs on it goes on with them.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geolab import track
from geolab.errors import NotFound
from geolab.jobs import events, folders, kept
from geolab.jobs.ledger import Ledger, open_ledger
from geolab.pipeline import driver, space, trials, watch
from geolab.pipeline.board import Board, Row
from geolab.pipeline.model import Pipeline
from geolab.pipeline.space import Search
from geolab.pipeline.trials import Trial
from geolab.settings import Settings

if TYPE_CHECKING:
    from distributed import Client

    from geolab.pipeline.driver import Session
    from geolab.pipeline.watch import Figures

BEST = "geolab.best"  # tag of the best run in MLflow: pipeline/stage


def drive(
    pipeline: Pipeline,
    *,
    settings: Settings,
    engine: str | Client = "",
    workers: int = 0,
    retry_failed: bool = False,
) -> Iterator[Figures]:
    """Figures while trials and then the pipeline with the best of them are driven; as `driver.drive`."""
    search = space.read(pipeline)
    with driver.session(pipeline, settings=settings, engine=engine, workers=workers) as session:
        chosen, board = yield from _drive(session, pipeline, search, retry_failed)
    board.refresh()
    yield watch.figures(chosen, settings, board)


def _drive(
    session: Session, pipeline: Pipeline, search: Search, again: bool
) -> Generator[Figures, None, tuple[Pipeline, Board]]:
    """Figures; then what was driven last, and its board."""
    settings, ledger = session.settings, session.ledger
    known: list[Trial] = []
    staged, board = pipeline, _board(pipeline, settings, ledger)
    while len(known) < search.trials:
        batch = trials.suggest(search, known)
        staged = _staged(pipeline, search, batch)
        board = _board(staged, settings, ledger)
        if not _is_over(board, again=again):
            board = yield from session.drive(staged, retry_failed=again)
            board.refresh()
        told = _told(search, batch, board, ledger)
        if told is None or _is_stopped(pipeline, ledger):
            return staged, board
        known += told
        trials.save(search, known, _name(pipeline, search), journal(pipeline, settings))
    found = trials.best(search, known)
    if found is None:
        return staged, board
    _mark(pipeline, search, known, found, settings, ledger)
    chosen = with_parameters(pipeline, search, found)
    return chosen, (yield from session.drive(chosen, retry_failed=again))


def best(pipeline: Pipeline, settings: Settings) -> tuple[Trial | None, int]:
    """The best trial of those whose batch has ended, and how many these are; nothing is started."""
    search, ledger = space.read(pipeline), open_ledger(settings)
    known = _ended(pipeline, search, settings, ledger)
    return trials.best(search, known), len(known)


def settled(pipeline: Pipeline, settings: Settings) -> Pipeline:
    """The pipeline with the best parameters if its search is over; else as it is."""
    if not pipeline.search:
        return pipeline
    search = space.read(pipeline)
    found, count = best(pipeline, settings)
    return with_parameters(pipeline, search, found) if found and count == search.trials else pipeline


def in_words(pipeline: Pipeline, settings: Settings) -> str:
    """What the search has found so far."""
    search = space.read(pipeline)
    found, count = best(pipeline, settings)
    of = f"{count} of {search.trials} trials"
    if found is None:
        return f"{of}: none has a value of {search.metric} yet"
    chosen = ", ".join(
        f"{name}={one:.6g}" if isinstance(one, float) else f"{name}={one}"
        for name, one in found.parameters.items()
    )
    where = f"trial {found.number}, run {found.run_id}"
    return f"best of {of}: {search.metric} {found.value:.6g} with {chosen} ({where})"


def _ended(pipeline: Pipeline, search: Search, settings: Settings, ledger: Ledger) -> list[Trial]:
    known: list[Trial] = []
    while len(known) < search.trials:
        batch = trials.suggest(search, known)
        staged = _staged(pipeline, search, batch)
        board = _board(staged, settings, ledger)
        told = _told(search, batch, board, ledger) if _is_over(board, again=False) else None
        if told is None:
            break
        known += told
    return known


def with_parameters(pipeline: Pipeline, search: Search, trial: Trial) -> Pipeline:
    """The pipeline whose searched stage has the parameters of a trial."""
    stage = pipeline.stages[search.stage]
    chosen = replace(stage, parameters=dict(stage.parameters) | trial.parameters)
    return replace(pipeline, stages=dict(pipeline.stages) | {stage.name: chosen})


def journal(pipeline: Pipeline, settings: Settings) -> Path:
    """Where the trials are written for Optuna's tools."""
    return settings.home / "searches" / f"{pipeline.name}.journal"


def _name(pipeline: Pipeline, search: Search) -> str:
    return f"{pipeline.name}/{search.stage}"


# ---------------------------------------------------------------- one batch


def _staged(pipeline: Pipeline, search: Search, batch: Sequence[Trial]) -> Pipeline:
    """A pipeline of what the searched stage needs, and of one such stage for each trial."""
    stage = pipeline.stages[search.stage]
    needed = _needed(pipeline, stage.name)
    stages = {name: one for name, one in pipeline.stages.items() if name in needed}
    for trial in batch:
        name = _stage_of(search, trial)
        stages[name] = replace(stage, name=name, parameters=dict(stage.parameters) | trial.parameters)
    return replace(pipeline, stages=stages)


def _stage_of(search: Search, trial: Trial) -> str:
    """The name of a trial's stage. Its parameters are in it: another search is no outdated state of this."""
    return f"{search.stage}-{trial.number:03d}-{kept.digest(trial.parameters)[:6]}"


def _needed(pipeline: Pipeline, name: str) -> set[str]:
    """The stages that a stage needs, and those that they need."""
    direct = {need.stage for need in pipeline.stages[name].needs}
    return direct.union(*(_needed(pipeline, one) for one in direct))


def _board(pipeline: Pipeline, settings: Settings, ledger: Ledger) -> Board:
    board = Board(pipeline, settings, ledger)
    board.refresh()
    return board


def _is_over(board: Board, *, again: bool) -> bool:
    """Whether there is nothing to drive. again: what has failed is tried again."""
    return board.counts().keys() <= ({"succeeded"} if again else {"succeeded", "failed"})


def _is_stopped(pipeline: Pipeline, ledger: Ledger) -> bool:
    control = ledger.control(pipeline.name)
    return control is not None and control.state == "stopped"


def _told(search: Search, batch: Sequence[Trial], board: Board, ledger: Ledger) -> list[Trial] | None:
    """The trials with their values; None if one of them has not ended, or can't be started."""
    rows = {row.stage: row for row in board.rows()}
    of_batch = [rows[_stage_of(search, trial)] for trial in batch]
    if any(row.state not in ("succeeded", "failed") for row in of_batch):
        return None
    return [
        replace(trial, run_id=row.run_id, value=_value(search, row, ledger))
        for trial, row in zip(batch, of_batch, strict=True)
    ]


def _value(search: Search, row: Row, ledger: Ledger) -> float | None:
    """What a run reported as the metric; None where it failed or the metric is no finite number."""
    if row.state != "succeeded":
        return None
    try:
        report = folders.read_report(Path(ledger.get(row.run_id).folder))
    except NotFound:
        return None
    found: Any = report["results"] if report else None
    for part in search.metric.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    plain = isinstance(found, int | float) and not isinstance(found, bool)
    return float(found) if plain and math.isfinite(found) else None


# ---------------------------------------------------------------- the best in MLflow


def _mark(
    pipeline: Pipeline,
    search: Search,
    known: Sequence[Trial],
    found: Trial,
    settings: Settings,
    ledger: Ledger,
) -> None:
    """Tag the best run in MLflow, and take the tag from the others of this search."""
    name = _name(pipeline, search)
    of_best = _tracked(found, ledger) or [_recorded(pipeline, search, found, settings)]
    others = {one for trial in known for one in _tracked(trial, ledger)}
    others |= {one.run_id for one in track.tagged(settings, pipeline.name, BEST, name)}
    for run_id in of_best:
        track.attach(settings, run_id).tags({BEST: name})
    for run_id in others.difference(of_best):
        tracked = track.attach(settings, run_id)
        if tracked.tag(BEST) == name:
            tracked.untag(BEST)


def _tracked(trial: Trial, ledger: Ledger) -> list[str]:
    """The runs in MLflow that a trial's notebook named with `run.track`."""
    if not trial.run_id:
        return []
    found = events.read(Path(ledger.get(trial.run_id).folder))
    return [str(event["run_id"]) for event in found if event["event"] == "tracked"]


def _recorded(pipeline: Pipeline, search: Search, trial: Trial, settings: Settings) -> str:
    """The run in MLflow of a trial whose notebook records nothing there; made once."""
    known = track.tagged(settings, pipeline.name, "geolab.run", trial.run_id)
    if known:
        return known[0].run_id
    name, told = _stage_of(search, trial), {"geolab.run": trial.run_id}
    with track.start(settings, pipeline.name, name, parameters=trial.parameters, tags=told) as tracked:
        tracked.metrics({search.metric: trial.value or 0.0})
    return tracked.run_id
