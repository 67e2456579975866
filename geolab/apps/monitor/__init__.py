"""Monitor: pipelines as stages x cells, all runs, what failed and why, what the machine does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets as widgets

from geolab.apps import parts
from geolab.apps.monitor.machine import Machine
from geolab.apps.monitor.pipelines import Pipelines
from geolab.apps.monitor.runs import Runs
from geolab.apps.runpanel import RunPanel

if TYPE_CHECKING:
    from geolab.apps.shell import Page


def build(page: Page) -> widgets.Widget:
    """The page."""
    return Monitor(page)


class Monitor(widgets.VBox):
    """The page: one run that was opened, pipelines, runs, resources."""

    def __init__(self, page: Page):
        self.page = page
        self.panel: RunPanel | None = None
        self._run = parts.stack()
        self.pipelines = Pipelines(page, self.show_run)
        self.runs = Runs(page, self.show_run)
        super().__init__([self._run, self.pipelines, self.runs, Machine(page)])
        self.add_class("geolab-stack")
        if page.asked["run"]:
            self.show_run(page.asked["run"])

    def show_run(self, run_id: str) -> None:
        """Show a run above all else."""
        if self.panel is None:
            self.panel = RunPanel(self.page, run_id, on_close=self.close_run)
            self._run.children = (self.panel,)
        elif self.panel.run_id != run_id:
            self.panel.show(run_id)

    def close_run(self) -> None:
        """Show the page without the run."""
        if self.panel is not None:
            self.panel.close()
        self.panel, self._run.children = None, ()
        self.page.remember(run="")
