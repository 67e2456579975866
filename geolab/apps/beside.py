"""What opens below a form's fields: the map on which an area is drawn, the place where a file is dropped."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import ipywidgets as widgets

from geolab.apps import faults, fields, parts
from geolab.ingest import uploads

if TYPE_CHECKING:
    from geolab.apps.filling import Filling
    from geolab.apps.parts import Uploaded
    from geolab.apps.shell import Page


class Beside:
    """One box below each sheet. put(name, text): a field was filled in there."""

    def __init__(self, page: Page, filling: Filling, put: Callable[[str, str], None]):
        self.page, self.filling, self.put = page, filling, put
        self.boxes = [parts.stack() for _ in filling.sheets]
        self.opened: dict[str, widgets.Widget] = {}
        self._hide_empty()

    def toggle(self, name: str, what: str) -> None:
        """Open the map or the upload of a field, or close it."""
        place = self._place(name)
        if name in self.opened:
            shown = self.opened.pop(name)
            place.children = tuple(child for child in place.children if child is not shown)
        else:
            self.opened[name] = made = self._map(name) if what == "map" else self._upload(name)
            place.children = (*place.children, made)
        self._hide_empty()

    def _place(self, name: str) -> widgets.Box:
        places = zip(self.filling.sheets, self.boxes, strict=True)
        return next(place for sheet, place in places if name in sheet.shown)

    def _hide_empty(self) -> None:
        for place in self.boxes:
            place.layout.display = "" if place.children else "none"

    def _map(self, name: str) -> widgets.Widget:
        from geolab.apps.aoi import AoiPicker

        text, collections = self.filling.text(name), self.filling.collections()
        chosen = AoiPicker(self.page, value=text, collections=collections)
        chosen.observe(lambda change: faults.call(self.put, name, change["new"]), "value")
        done = parts.button("Done", lambda: self.toggle(name, "map"))
        return parts.card(f"{fields.label_of(name)} on the map", chosen, parts.row(done))

    def _upload(self, name: str) -> widgets.Widget:
        def done(files: list[Uploaded]) -> None:
            self.put(name, str(uploads.path(self.page.settings, files[-1].id)))
            self.toggle(name, "upload")

        label = fields.label_of(name)
        return parts.card(f"A file for {label[:1].lower()}{label[1:]}", parts.Upload(done, many=False))
