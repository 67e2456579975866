"""One pipeline as the page's threads see it: its file read again when it changes, one board kept."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geolab.apps.parts.matrix import NOTHING, Grid
from geolab.errors import GeolabError
from geolab.jobs.ledger import Control, open_ledger
from geolab.jobs.notebook import version
from geolab.jobs.reconcile import reconcile
from geolab.pipeline import control, report, watch
from geolab.pipeline.board import NONE, STATES, Board
from geolab.pipeline.model import Pipeline, Stage
from geolab.pipeline.watch import Figures
from geolab.settings import Settings

LETTERS = dict(zip("wrqusofclb", STATES, strict=True))  # letter of a square -> state
_OF_STATE = {state: letter for letter, state in LETTERS.items()}
_SQUARES = [_OF_STATE[state] for state in STATES]
MOST_SQUARES = 50_000  # of one stage


@dataclass(frozen=True)
class Seen:
    """A pipeline at one moment. problem: why its file can't be read; then there are no figures."""

    control: Control
    figures: Figures | None = None
    grids: tuple[Grid, ...] = ()
    hidden: tuple[str, ...] = ()  # stages with too many squares
    problem: str = ""


class Watched:
    """A pipeline that is looked at again and again. Threads take turns: boards are not made for two."""

    def __init__(self, name: str, settings: Settings):
        self.name, self.settings = name, settings
        self._lock = threading.Lock()
        self._known: tuple[Any, Pipeline] | None = None

    def look(self) -> Seen:
        """What there is now. Raises NotFound for a pipeline that was never run."""
        found = control.find(self.name, self.settings)
        with self._lock:
            try:
                pipeline = self._pipeline(found)
                reconcile(self.settings, open_ledger(self.settings))
                board = watch.board_of_now(pipeline, self.settings)
                figures = watch.figures(pipeline, self.settings, board)
                grids = tuple(_grids(pipeline, board))
            except GeolabError as error:
                return Seen(found, problem=str(error))
        hidden = tuple(s.name for s in pipeline.stages.values() if _size(pipeline, s) > MOST_SQUARES)
        return Seen(found, figures, grids, hidden)

    def _pipeline(self, found: Control) -> Pipeline:
        """The pipeline with the parameters of its last run; a search has other stages after each trial."""
        now = [found.file, version(Path(found.file)), repr(found.parameters)]
        if self._known is not None and self._known[1].search:
            now.append(open_ledger(self.settings).executions(self.name))
        if self._known is None or self._known[0] != now:
            self._known = (now, control.as_last_run(found.file, {}, self.settings))
        return self._known[1]

    def run_at(self, stage: str, row: int, column: int) -> str:
        """The id of the newest run of a square; "" if it has none yet."""
        with self._lock:
            pipeline = self._pipeline(control.find(self.name, self.settings))
            slot = _slot(pipeline, pipeline.stages[stage], row, column)
            newest = open_ledger(self.settings).runs(pipeline=self.name, slot=slot, limit=1)
            return newest[0].id if newest else ""

    def failed(self) -> list[str]:
        """The ids of the newest runs of all nodes that have failed."""
        with self._lock:
            pipeline = self._pipeline(control.find(self.name, self.settings))
            board = watch.board_of_now(pipeline, self.settings)
            wanted = ("failed", "cancelled", "lost")
            return [row.run_id for row in board.rows() if row.state in wanted and row.run_id]

    def report(self, kind: str) -> bytes:
        """The report of now as .html, .csv or .json; the same as `geolab pipeline report` writes."""
        with self._lock:
            pipeline = self._pipeline(control.find(self.name, self.settings))
            return report.text_of(kind, pipeline, self.settings).encode("utf-8", "replace")


def _grids(pipeline: Pipeline, board: Board) -> Iterator[Grid]:
    for stage in pipeline.stages.values():
        if _size(pipeline, stage) <= MOST_SQUARES:
            rows, columns = _labels(pipeline, stage)
            states = board.states_of(stage.name).reshape(-1).tolist()
            cells = "".join(NOTHING if state == NONE else _SQUARES[state] for state in states)
            yield Grid(stage.name, rows, columns, cells)


def _size(pipeline: Pipeline, stage: Stage) -> int:
    return int(pipeline.present[stage.name].size)


def _labels(pipeline: Pipeline, stage: Stage) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Labels of rows and columns: the first axis goes down where there are several, the others across."""
    axes = [axis.labels for axis in pipeline.axes_of(stage)]
    if len(axes) < 2:
        return ("",), tuple(axes[0]) if axes else ("",)
    across: list[str] = [""]
    for labels in axes[1:]:
        across = [f"{before}/{one}" if before else one for before in across for one in labels]
    return tuple(axes[0]), tuple(across)


def _slot(pipeline: Pipeline, stage: Stage, row: int, column: int) -> str:
    rows, columns = _labels(pipeline, stage)
    return "/".join(filter(None, [stage.name, rows[row], columns[column]]))
