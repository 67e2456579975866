"""Home: what is in the workspace, what runs, what to do next, and whether all services are well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from geolab import jobs
from geolab.apps import parts
from geolab.apps.home import gallery, inventory, services, todo
from geolab.apps.home.inventory import Inventory
from geolab.apps.runlist import newest, row, titles_of
from geolab.apps.runpanel import RunPanel

if TYPE_CHECKING:
    from geolab.apps.shell import Page

LOOK_S = 3.0  # for runs
COUNT_S = 20.0  # for what lies in the workspace
AMONG = 100  # newest runs that are looked at
COLUMNS = (
    parts.Column("state", "State", "state"),
    parts.Column("notebook", "Notebook", "short"),
    parts.Column("what", "With"),
    parts.Column("progress", "Progress", "bar"),
    parts.Column("created", "Asked for", "date"),
    parts.Column("took", "Took", "short"),
)


def build(page: Page) -> widgets.Widget:
    """The page."""
    return Home(page)


class Home(widgets.VBox):
    """The page; what it shows follows the workspace while it is seen."""

    def __init__(self, page: Page):
        self.page = page
        self.panel: RunPanel | None = None
        self.found: Inventory | None = None
        self._run, self._next = parts.stack(), parts.card("What next", parts.skeleton())
        self._there, self._services = parts.stack(parts.skeleton(4)), parts.card("Services", parts.skeleton())
        self._table = parts.Table(
            COLUMNS,
            on_open=self.show_run,
            empty="No run yet: start one on any page.",
            page_rows=10,
            label="Runs",
        )
        runs = parts.card("Runs", self._table, parts.link("All runs and pipelines", page.link("monitor")))
        left = parts.stack(self._there, runs)
        both = parts.grid(left, self._services, columns="minmax(0, 5fr) minmax(240px, 2fr)")
        super().__init__([self._run, self._next, both, gallery.pages(page)])
        self.add_class("geolab-stack")
        if page.asked["run"]:
            self.show_run(page.asked["run"])
        self._looks = page.every(COUNT_S, self._show, work=lambda: inventory.look(page.settings))
        page.every(LOOK_S, self._show_runs, work=self._look_at_runs)
        page.every(COUNT_S, self._show_services, work=lambda: jobs.services(page.settings))

    def show_run(self, run_id: str) -> None:
        """Show a run above all else."""
        if self.panel is None:
            self.panel = RunPanel(
                self.page, run_id, on_end=lambda _: self._looks.soon(), on_close=self.close_run
            )
            self._run.children = (self.panel,)
        else:
            self.panel.show(run_id)

    def close_run(self) -> None:
        """Show the page without the run."""
        if self.panel is not None:
            self.panel.close()
        self.panel, self._run.children = None, ()
        self.page.remember(run="")

    def start(self, notebook: str, **parameters: Any) -> None:
        """Submit a job and show it."""
        self.page.aside(
            lambda: jobs.submit(notebook, parameters, settings=self.page.settings),
            lambda submitted: self.show_run(submitted.run_id),
        )

    # ------------------------------------------------------------ what comes in

    def _show(self, found: Inventory) -> None:
        if found == self.found:
            return
        self.found = found
        self._there.children = tuple(inventory.shown(self.page, found))
        title = self._next.children[0]
        self._next.children = (title, parts.row(*todo.steps(self.page, found, self.start)))

    def _look_at_runs(self) -> list[dict[str, Any]]:
        """The newest runs that people asked for, as rows; those of pipelines are the monitor's."""
        found = [view for view in newest(self.page, (), AMONG) if not view.pipeline]
        shown = found[: self.page.asked["listed"]]
        titles = titles_of(shown, self.page.settings)
        return [row(view, named=False, titles=titles) for view in shown]

    def _show_runs(self, rows: list[dict[str, Any]]) -> None:
        self._table.rows = rows

    def _show_services(self, found: jobs.Services) -> None:
        self._services.children = (self._services.children[0], services.lines(found))
