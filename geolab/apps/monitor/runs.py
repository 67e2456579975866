"""All runs in one table: by state, by notebook, with what can be done about them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import ipywidgets as widgets

from geolab import jobs
from geolab.apps import faults, parts
from geolab.apps.runlist import has_ledger, row
from geolab.errors import GeolabError
from geolab.jobs.listing import View
from geolab.jobs.record import STATES

if TYPE_CHECKING:
    from geolab.apps.shell import Page

LOOK_S = 3.0
MOST = 400  # runs that are listed
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
    """The table; state and notebook of those that are shown are the page's parameters."""

    def __init__(self, page: Page, on_open: Callable[[str], None]):
        self.page = page
        states = [("All states", "any"), *((state.capitalize(), state) for state in STATES)]
        self._state = _choice("State", states, page.asked["state"])
        asked = page.asked["notebook"]
        self._notebook = _choice("Notebook", _names({asked, *jobs.notebooks()}), asked)
        self.table = parts.Table(
            COLUMNS,
            select="many",
            on_open=on_open,
            actions=[CANCEL, RETRY],
            on_action=self.act,
            empty="No such run.",
            page_rows=15,
            label="Runs",
        )
        self._note, self._quiet = parts.html(""), False
        super().__init__([parts.card("Runs", parts.row(self._state, self._notebook), self.table, self._note)])
        self.add_class("geolab-box")
        self._task = page.every(LOOK_S, self._show, work=self._look)
        for choice in (self._state, self._notebook):
            choice.observe(lambda _: faults.call(self._turn), "value")

    def _turn(self) -> None:
        if self._quiet:
            return
        state = str(self._state.value)
        self.page.remember(state="" if state == "any" else state, notebook=self._notebook.value)
        self._task.soon()

    def _look(self) -> list[View]:
        if not has_ledger(self.page.settings):
            return []
        state, notebook = str(self._state.value), str(self._notebook.value)
        wanted = None if state == "any" else state
        return jobs.runs(wanted, notebook=notebook, limit=MOST, settings=self.page.settings)

    def _show(self, views: list[View]) -> None:
        self.table.rows = [_row(view) for view in views]
        more = f"The newest {MOST}; choose a state or a notebook to see others." if len(views) == MOST else ""
        self._note.value = parts.text(more, soft=True).value if more else ""
        known = {value for _, value in self._notebook.options}
        if new := {view.notebook for view in views} - known:
            self._offer(known | new)

    def _offer(self, notebooks: set[str]) -> None:
        """Other notebooks to choose from; what is chosen stays, which new options alone would undo."""
        chosen, self._quiet = self._notebook.value, True
        self._notebook.options = _names(notebooks)
        self._notebook.value, self._quiet = chosen, False

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


def _choice(label: str, options: list[tuple[str, str]], value: str) -> widgets.Dropdown:
    made = widgets.Dropdown(options=options, value=value, tooltip=label, layout={"width": "auto"})
    made.add_class("geolab-select")
    return made


def _names(notebooks: set[str]) -> list[tuple[str, str]]:
    """The notebooks to choose from, all of them first."""
    return [("All notebooks", ""), *((name, name) for name in sorted(notebooks) if name)]


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
