"""What a detection found: the map, the threshold, polygons, files, scores, another method beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import ipywidgets as widgets

from geolab.apps import parts
from geolab.apps.change import words
from geolab.apps.change.compare import Compare
from geolab.apps.change.detection import Detection
from geolab.apps.change.files import Files
from geolab.apps.change.layers import Scene
from geolab.apps.change.live import Live
from geolab.apps.change.shapes import Shapes
from geolab.apps.change.truth import Truth
from geolab.apps.runpanel import RunPanel

if TYPE_CHECKING:
    from geolab.apps.shell import Page
    from geolab.jobs.listing import View

LATER = ("Against a truth", "Compare", "The run")


class Result(widgets.VBox):
    """One detection, whole. threshold: where the slider begins; the run's own if None."""

    def __init__(self, page: Page, mine: Detection, threshold: float | None = None):
        self.page, self.mine = page, mine
        start = mine.threshold if threshold is None else threshold
        self.scene = Scene(mine)
        self.live = Live(page, self.scene, start)
        self.live.add_class("geolab-live")
        self.shapes = Shapes(page, self.scene)
        self.files = Files(page, mine, start, self._cut)
        self.truth: Truth | None = None
        self.compare: Compare | None = None
        self.places = {name: parts.stack() for name in LATER}
        self.later: dict[str, Callable[[], widgets.Widget]] = {
            "Against a truth": self._truth,
            "Compare": self._beside,
            "The run": self._run,
        }
        self.tabs = parts.tabs({"Polygons": self.shapes, "Files": self.files, **self.places})
        self.tabs.on_change(self._turned)
        about = parts.fold("What the numbers mean", *(parts.text(line) for line in words.about(mine)))
        beside = parts.card("Threshold", self.live, about)
        super().__init__([parts.grid(self._map(), beside, columns="minmax(0, 1fr) 340px"), self.tabs])
        self.add_class("geolab-box")
        self.add_class("geolab-stack")
        self.live.on_threshold.append(self._at)
        if mine.results.get("polygons"):
            self.shapes.load(str(mine.results["polygons"]), mine.threshold)

    def _map(self) -> widgets.Widget:
        if self.mine.item is not None:
            return self.scene.chart
        figure = parts.figure(self.mine.run_id, "Before, after, change", "change.png")
        words_ = "The images lie nowhere on Earth, so there is no map; areas are counted in pixels."
        return parts.stack(parts.text(words_, soft=True), figure)

    def _at(self, threshold: float) -> None:
        self.files.at(threshold)
        for part in (self.truth, self.compare):
            if part is not None:
                part.at(threshold)
        self.page.remember(threshold=threshold)

    def _cut(self, view: View) -> None:
        """Show the polygons of a cut that was just made."""
        results = (view.report or {})["results"]
        self.shapes.load(str(Path(results["polygons"])), float(results["threshold"]))

    # ------------------------------------------------------------ made when they are looked at

    def _turned(self, title: str) -> None:
        make = self.later.pop(title, None)
        if make is not None:
            self.places[title].children = (make(),)

    def _truth(self) -> widgets.Widget:
        self.truth = Truth(self.page, self.mine, self.live.threshold, self.live.set)
        return self.truth

    def _beside(self) -> widgets.Widget:
        self.compare = Compare(self.page, self.scene, self.live.threshold)
        return self.compare

    def _run(self) -> widgets.Widget:
        return RunPanel(self.page, self.mine.run_id)
