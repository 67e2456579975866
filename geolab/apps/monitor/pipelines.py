"""The pipelines of the workspace: all in one list, one of them in full."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from geolab.apps import parts
from geolab.apps.monitor.pipeline import PipelinePanel
from geolab.jobs.ledger import Control, open_ledger
from geolab.pipeline import control
from geolab.settings import Settings

if TYPE_CHECKING:
    from geolab.apps.shell import Page

LOOK_S = 5.0
COLUMNS = (
    parts.Column("state", "State", "state"),
    parts.Column("name", "Pipeline"),
    parts.Column("runs", "Runs so far", "number"),
    parts.Column("with", "With"),
    parts.Column("file", "File"),
)


class Pipelines(widgets.Box):
    """The list, and the one that was chosen; a pipeline is known once it was run."""

    def __init__(self, page: Page, on_open: Callable[[str], None]):
        self.page, self._on_open = page, on_open
        self.panel: PipelinePanel | None = None
        self._table = parts.Table(COLUMNS, on_open=self.choose, page_rows=8, label="Pipelines")
        self._place = parts.stack(parts.skeleton())
        super().__init__([parts.card("Pipelines", self._place)])
        self.add_class("geolab-box")
        page.every(LOOK_S, self._show, work=lambda: look(page.settings))

    def choose(self, name: str) -> None:
        """Show this pipeline in full."""
        self.page.remember(pipeline=name)
        self._turn(name)

    def _turn(self, name: str) -> None:
        if self.panel is not None:
            self.panel.close()
        self.panel = PipelinePanel(self.page, name, self._on_open)
        self._lay(bool(len(self._table.rows) > 1))

    def _lay(self, several: bool) -> None:
        listed = [self._table] if several else []
        self._place.children = (*listed, *([self.panel] if self.panel else []))

    def _show(self, rows: list[dict[str, Any]]) -> None:
        self._table.rows = rows
        asked = self.page.asked["pipeline"] or (rows[0]["id"] if len(rows) == 1 else "")
        if self.panel is None and asked:
            self._turn(asked)
        elif not rows:
            text = "No pipeline yet. One is a YAML file of stages, run by: geolab pipeline run FILE"
            self._place.children = (parts.empty(text),)
        else:
            self._lay(len(rows) > 1)


def look(settings: Settings) -> list[dict[str, Any]]:
    """All pipelines that the ledger knows, as rows."""
    return [_row(one, open_ledger(settings).executions(one.name)) for one in control.known(settings)]


def _row(one: Control, executions: int) -> dict[str, Any]:
    told = ", ".join(f"{name} {value}" for name, value in one.parameters.items())
    file = one.file.rsplit("/", 1)[-1]
    return {
        "id": one.name,
        "name": one.name,
        "state": one.state,
        "runs": executions,
        "with": told,
        "file": file,
    }
