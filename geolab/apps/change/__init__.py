"""Change: choose a pair and a method, run it, and look at what changed at any threshold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import ipywidgets as widgets

from geolab import jobs
from geolab.apps import parts
from geolab.apps.change import detection
from geolab.apps.change.detection import NOTEBOOK
from geolab.apps.runpanel import RunPanel, recent
from geolab.errors import BadInput, GeolabError

if TYPE_CHECKING:
    from geolab.apps.change.detection import Detection
    from geolab.apps.shell import Page
    from geolab.jobs.listing import View


def build(page: Page) -> widgets.Widget:
    """The page: a run where one is asked for, else the way to a new one."""
    return Change(page)


class Change(widgets.VBox):
    """Either the question (a pair, a method) or its answer (a run)."""

    def __init__(self, page: Page):
        self.page, self.panel, self.place = page, None, parts.stack()
        look = Path(__file__).with_name("look.css").read_text(encoding="utf-8")
        super().__init__([parts.html(f"<style>{look}</style>", "geolab-hidden"), self.place])
        self.add_class("geolab-box")
        self.add_class("geolab-stack")
        if page.asked["run"]:
            self.show_run(page.asked["run"])
        else:
            self.ask()

    # ------------------------------------------------------------ the question

    def ask(self) -> None:
        """Show the way to a new detection."""
        from geolab.apps.change.ask import Ask

        self.place.children = (
            parts.heading("Find what changed"),
            Ask(self.page, self.show_run),
            parts.heading("Recent detections"),
            recent(self.page, (NOTEBOOK,), self.show_run),
        )

    # ------------------------------------------------------------ the answer

    def show_run(self, run_id: str) -> None:
        """Show a run: as it goes, then what it found."""
        self.page.remember(run=run_id)
        self.place.children = (parts.skeleton(4),)
        self.page.aside(lambda: _looked(run_id, self.page), self._looked)

    def _looked(self, found: tuple[View | None, Detection | GeolabError | None]) -> None:
        view, made = found
        if isinstance(made, GeolabError) or view is None:
            text = str(made) if made else "This run is not there."
            self.place.children = (parts.empty(text, self._again("New detection")),)
        elif made is None:
            self._watch(view)
        else:
            self._show(view, made)

    def _watch(self, view: View) -> None:
        panel = RunPanel(self.page, view.run_id, on_end=self._ended)
        self.place.children = (self._head(view), panel)
        self.panel = panel

    def _ended(self, view: View) -> None:
        if view.state == "succeeded" and self.panel is not None:
            self.panel.stop()
            self.panel = None
            self.show_run(view.run_id)

    def _show(self, view: View, made: Detection) -> None:
        from geolab.apps.change.result import Result

        threshold = self.page.asked.get("threshold")
        self.place.children = (self._head(view), Result(self.page, made, threshold))

    def _head(self, view: View) -> widgets.Widget:
        told = view.parameters
        again = parts.link(
            "Same pair, another method",
            self.page.link("change", before=told.get("before"), after=told.get("after")),
        )
        name = detection.method_name(told)
        head = parts.row(parts.heading(f"Change by {name}"), again, self._again("New detection"))
        head.add_class("geolab-head")
        return head

    def _again(self, words: str) -> widgets.Widget:
        return parts.link(words, self.page.link("change"))


def _looked(run_id: str, page: Page) -> tuple[View | None, Detection | GeolabError | None]:
    """A run, and its detection if it has succeeded; or why it can't be shown."""
    try:
        view = jobs.show(run_id, settings=page.settings)
        if view.notebook != NOTEBOOK:
            found = f"{view.run_id}, a run of {view.notebook}"
            raise BadInput("run", found=found, expected=f"one of {NOTEBOOK}")
        return view, detection.of(view, page.settings) if view.report else None
    except GeolabError as error:
        return None, error
