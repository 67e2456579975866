"""Downloads: the run's own products, and mask and polygons at the threshold of the slider, made by a job."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import ipywidgets as widgets

from geolab import jobs
from geolab.apps import parts
from geolab.apps.change import detection, words
from geolab.apps.change.detection import CUT, Detection

if TYPE_CHECKING:
    from geolab.apps.shell import Page
    from geolab.jobs.listing import View

OWN = {
    "mask": ("Mask", "COG, 1 changed, 0 not, 255 no data"),
    "probability": ("Probability", "COG, bytes 0 to 254 for 0 to 1, 255 no data"),
    "polygons": ("Polygons", "GeoParquet, in the CRS of the image"),
    "geojson": ("Polygons for the web", "GeoJSON, longitude and latitude"),
}
POLL_S = 1.0


class Files(widgets.VBox):
    """on_cut(view): a cut at another threshold is there."""

    def __init__(self, page: Page, mine: Detection, threshold: float, on_cut: Callable[[View], None]):
        self.page, self.mine, self.threshold, self.on_cut = page, mine, threshold, on_cut
        self.waiting: set[str] = set()
        self.made: dict[str, View] = {}
        self.make = parts.button("", self.ask, primary=True, hint="Runs as a job: nothing is detected again")
        self.doing = parts.Progress()
        self.place = widgets.VBox([])
        own = parts.stack(
            parts.text(f"As the run made them, at {words.level(mine.threshold)}:"), _links(mine.file, OWN)
        )
        super().__init__([own, parts.row(self.make), self.place])
        self.add_class("geolab-box")
        self.add_class("geolab-stack")
        self.at(threshold)
        page.aside(lambda: self._known(), self._list)

    def at(self, threshold: float) -> None:
        """Offer files at this threshold."""
        self.threshold = threshold
        self.make.description = f"Make mask and polygons at {words.level(threshold)}"
        self.make.disabled = threshold == self.mine.threshold

    def ask(self) -> None:
        """Submit the job that cuts mask and polygons, or find the one that did."""
        told = {"probability": detection.cut_source(self.mine), "threshold": self.threshold}
        self.make.disabled = True
        self.page.aside(lambda: jobs.submit(CUT, told, settings=self.page.settings).run_id, self._asked)

    def _asked(self, run_id: str) -> None:
        self.waiting.add(run_id)
        self.place.children = (self.doing, *self.place.children)
        task = self.page.every(
            POLL_S, lambda view: self._looked(view, task.stop), work=lambda: self._view(run_id)
        )
        task.soon()

    def _view(self, run_id: str) -> View:
        return jobs.show(run_id, settings=self.page.settings)

    def _looked(self, view: View, stop: Callable[[], None]) -> None:
        self.doing.part, self.doing.text = view.progress, view.doing or view.state
        if view.state in ("queued", "running"):
            return
        stop()
        self.waiting.discard(view.run_id)
        if view.state == "succeeded":
            self.made[view.run_id] = view
            self.on_cut(view)
        else:
            self.page.tell(f"The files were not made: {view.error or view.state}", "fail")
        self._show()
        self.at(self.threshold)

    # ------------------------------------------------------------ those that are there

    def _known(self) -> list[View]:
        listed = detection.cuts(self.mine, self.page.settings)
        done = [view for view in listed if view.state == "succeeded"][:10]
        return [self._view(view.run_id) for view in reversed(done)]

    def _list(self, views: list[View]) -> None:
        self.made |= {view.run_id: view for view in views if view.report}
        self._show()

    def _show(self) -> None:
        found = [_cut(view) for view in reversed(self.made.values())]
        self.place.children = (*((self.doing,) if self.waiting else ()), *found)


def _cut(view: View) -> widgets.Widget:
    results = (view.report or {})["results"]
    area = results.get("changed_m2")
    told = f", {words.amount(area, located=True)}" if isinstance(area, int | float) else ""
    shown = {name: about for name, about in OWN.items() if name != "probability"}

    def file(name: str) -> str:
        return detection.file_url(view.run_id, view.folder, results.get(name))

    return parts.stack(parts.text(f"At {words.level(results['threshold'])}{told}:"), _links(file, shown))


def _links(file: Callable[[str], str], names: dict[str, tuple[str, str]]) -> widgets.HTML:
    """A link to each file that is there."""
    found = {title: (about, href) for name, (title, about) in names.items() if (href := file(name))}
    return parts.facts(
        {title: parts.link(about, href, download=True) for title, (about, href) in found.items()}
    )
