"""A pair from the reader's own machine: uploaded, ingested by a job, each file told what became of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from geolab import catalog, jobs
from geolab.apps import parts
from geolab.apps.change.detection import Item, found
from geolab.apps.runpanel import RunPanel
from geolab.errors import one_line
from geolab.maps import origin

if TYPE_CHECKING:
    from geolab.apps.parts import Uploaded
    from geolab.apps.shell import Page
    from geolab.jobs.listing import View

INGEST, COLLECTION = "01_ingest", "uploads"
OUTCOMES = "outcomes.json"
ACCEPT = ".tif,.tiff,.jp2,.png,.jpg,.jpeg,.img,.asc,.zip"


class Sent(widgets.VBox):
    """on_items(items): the images of what was sent last, in order of time."""

    def __init__(self, page: Page, on_items: Callable[[list[Item]], None]):
        self.page, self.on_items = page, on_items
        self.uploaded: list[Uploaded] = []
        self.place, self.told = widgets.VBox([]), widgets.VBox([])
        text = "Drop both images here: GeoTIFF, JPEG 2000 or a zip of them, with their place on Earth"
        super().__init__([parts.Upload(self._arrived, ACCEPT, text=text), self.told, self.place])
        self.add_class("geolab-box")
        self.add_class("geolab-stack")

    def _arrived(self, files: list[Uploaded]) -> None:
        self.uploaded = [*self.uploaded, *files]
        ids = [one.id for one in self.uploaded]
        self.page.aside(lambda: self._submit(ids), self._ingesting)

    def _submit(self, ids: list[str]) -> str:
        from geolab.ingest import together

        source = str(together.together(self.page.settings, ids))
        told = {"source": source, "collection": COLLECTION}
        return jobs.submit(INGEST, told, settings=self.page.settings).run_id

    def _ingesting(self, run_id: str) -> None:
        for panel in self.place.children:
            panel.close()
        # not `run` of the address: that is the detection's
        task = self.page.every(1.0, lambda view: self._look(view, task.stop), work=lambda: self._view(run_id))
        self.bar = parts.Progress(None, "Ingesting")
        self.place.children = (self.bar,)
        task.soon()

    def _view(self, run_id: str) -> View:
        return jobs.show(run_id, settings=self.page.settings)

    def _look(self, view: View, stop: Callable[[], None]) -> None:
        self.bar.part, self.bar.text, self.bar.state = view.progress, view.doing or view.state, view.state
        if view.state in ("queued", "running"):
            return
        stop()
        if view.state != "succeeded":
            self.place.children = (RunPanel(self.page, view.run_id),)
            return
        self.place.children = ()
        self.page.aside(lambda: outcomes(view, self.page), self._done)

    def _done(self, ended: tuple[list[dict[str, Any]], list[Item]]) -> None:
        listed, items = ended
        self.told.children = (parts.facts({one_line(_name(o["href"]), 80): _became(o) for o in listed}),)
        images = [item for item in items if origin.role(item) == "image"]
        if images:
            self.on_items(sorted(images, key=lambda item: (origin.day(item), origin.title(item))))


def outcomes(view: View, page: Page) -> tuple[list[dict[str, Any]], list[Item]]:
    """What became of each file of an ingest, and the items that there are."""
    path = view.folder / OUTCOMES
    listed = json.loads(path.read_bytes()) if path.is_file() else []
    opened = catalog.open_catalog(page.settings)
    ids = dict.fromkeys(str(one["id"]) for one in listed if one.get("id"))
    items = [item for each in ids if (item := found(opened, each, COLLECTION))]
    return listed, items


def _name(href: str) -> str:
    return href.rstrip("/").rsplit("/", 1)[-1]


def _became(outcome: dict[str, Any]) -> widgets.HTML:
    if outcome["status"] == "rejected":
        return parts.state("rejected", one_line(outcome.get("reason") or "", 300))
    status = str(outcome["status"])
    return parts.state("ok", "was here already" if status == "unchanged" else status)
