"""All runs in one table: by state, by notebook, with what can be done about them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import ipywidgets as widgets

from geolab import jobs
from geolab.apps import parts
from geolab.apps.runlist import has_ledger, row
from geolab.errors import GeolabError
from geolab.jobs.listing import View
from geolab.jobs.record import STATES

if TYPE_CHECKING:
    from geolab.apps.shell import Page

LOOK_S = 3.0
MOST = 1000
COLUMNS = (
    parts.Column("state", "State", "state"),
    parts.Column("notebook", "Notebook", "short"),
    parts.Column("what", "With"),
    parts.Column("place", "Pipeline"),
    parts.Column("progress", "Progress", "bar"),
    parts.Column("created", "Asked for", "date"),
    parts.Column("took", "Took", "short"),
    parts.Column("error", "Error"),
)
CANCEL = parts.Action("cancel", "Cancel", danger=True)
RETRY = parts.Action("retry", "Retry")


class Runs(widgets.Box):
    """The table; `state` of those that are shown is the page's parameter."""

    def __init__(self, page: Page, on_open: Callable[[str], None]):
        self.page = page
        self._state = widgets.Dropdown(
            options=[("All states", "any"), *((state.capitalize(), state) for state in STATES)],
            value=page.asked["state"],
            layout={"width": "auto"},
        )
        self._state.add_class("geolab-select")
        self.table = parts.Table(
            COLUMNS,
            select="many",
            on_open=on_open,
            actions=[CANCEL, RETRY],
            on_action=self.act,
            empty="No run in this state.",
            page_rows=15,
            label="Runs",
        )
        super().__init__([parts.card("Runs", self._state, self.table)])
        self.add_class("geolab-box")
        self._task = page.every(LOOK_S, self._show, work=self._look)
        self._state.observe(lambda _: self._turn(), "value")

    def _turn(self) -> None:
        self.page.remember(state="" if self._state.value == "any" else self._state.value)
        self._task.soon()

    def _look(self) -> list[View]:
        if not has_ledger(self.page.settings):
            return []
        state = str(self._state.value)
        return jobs.runs(None if state == "any" else state, limit=MOST, settings=self.page.settings)

    def _show(self, views: list[View]) -> None:
        self.table.rows = [_row(view) for view in views]

    def act(self, name: str, run_ids: list[str]) -> None:
        """Cancel or retry these runs, and say how many could be."""
        do = jobs.cancel if name == "cancel" else jobs.retry
        self.page.aside(lambda: _each(do, run_ids, self.page), lambda told: self._told(name, *told))

    def _told(self, name: str, done: int, problem: str) -> None:
        words = "asked to stop" if name == "cancel" else "started again"
        text = f"{done} {'run' if done == 1 else 'runs'} {words}" + (f"; {problem}" if problem else ".")
        self.page.tell(text, "warn" if problem else "ok")
        self.table.selected = []
        self._task.soon()


def _each(do: Callable[..., object], run_ids: list[str], page: Page) -> tuple[int, str]:
    done, problem = 0, ""
    for run_id in run_ids:
        try:
            do(run_id, settings=page.settings)
            done += 1
        except GeolabError as error:
            problem = problem or str(error)
    return done, problem


def _row(view: View) -> dict[str, object]:
    can = {"queued": ["cancel"], "running": ["cancel"], "succeeded": []}.get(view.state, ["retry"])
    place = " ".join(filter(None, [view.pipeline, view.slot]))
    return row(view, named=False) | {"notebook": view.notebook, "place": place, "actions": can}
