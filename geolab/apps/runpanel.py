"""One run as it goes, and when it is done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import ipywidgets as widgets

from geolab import jobs
from geolab.apps import parts

if TYPE_CHECKING:
    from geolab.apps.shell import Page
    from geolab.jobs.listing import View


class RunPanel(widgets.VBox):
    """State, progress, log and results of one run, live while a browser shows it."""

    def __init__(self, page: Page, run_id: str):
        self.page, self.run_id = page, run_id
        self._state, self._bar = widgets.VBox(), parts.Progress()
        super().__init__([self._state, self._bar])
        self.page.every(1.0, self._show, work=lambda: jobs.show(run_id, settings=page.settings))

    def _show(self, view: View) -> None:
        self._state.children = (parts.state(view.state, view.error),)
        self._bar.part, self._bar.text, self._bar.eta_s = view.progress, view.doing, view.eta_s


def recent(page: Page, notebooks: Sequence[str], on_open: Callable[[str], None]) -> widgets.Widget:
    """The active and the last runs of these notebooks, newest first."""
    table = parts.Table(
        [parts.Column("state", "State", "state"), parts.Column("created", "Asked", "date")],
        on_open=on_open,
        empty="No run yet.",
    )

    def found() -> list[View]:
        listed = [
            view for name in notebooks for view in jobs.runs(notebook=name, limit=10, settings=page.settings)
        ]
        return sorted(listed, key=lambda view: view.created, reverse=True)[:10]

    def show(views: list[View]) -> None:
        table.rows = [{"id": v.run_id, "state": v.state, "created": v.created} for v in views]

    page.every(3.0, show, work=found)
    return table
