"""What opens below a form's fields: a map to draw an area on, items to choose, a place to drop a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from geolab import store
from geolab.apps import faults, fields, parts
from geolab.ingest import uploads

if TYPE_CHECKING:
    from geolab.apps.filling import Filling
    from geolab.apps.parts import Uploaded
    from geolab.apps.shell import Page
    from geolab.settings import Settings


class Beside:
    """One box below each sheet. put(name, value): a field was filled in there."""

    def __init__(self, page: Page, filling: Filling, put: Callable[[str, Any], None]):
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
            self.opened[name] = made = self._made(name, what)
            place.children = (*place.children, made)
        self._hide_empty()

    def _place(self, name: str) -> widgets.Box:
        places = zip(self.filling.sheets, self.boxes, strict=True)
        return next(place for sheet, place in places if name in sheet.shown)

    def _hide_empty(self) -> None:
        for place in self.boxes:
            place.layout.display = "" if place.children else "none"

    def _made(self, name: str, what: str) -> widgets.Widget:
        label = fields.label_of(name)
        if what == "items":
            return self._items(name, label)
        return self._map(name, label) if what == "map" else self._upload(name, label)

    def _map(self, name: str, label: str) -> widgets.Widget:
        from geolab.apps.aoi import AoiPicker

        sheet = self.filling.sheet_of(name)
        as_box = sheet is not None and sheet.shown[name].control == "bbox"
        text = self.filling.text(name) if as_box else ""
        chosen = AoiPicker(self.page, value=text, collections=self.filling.collections())
        if as_box:
            chosen.observe(lambda change: faults.call(self.put, name, change["new"]), "value")

        def done() -> None:
            if not as_box and chosen.geometry:
                self.put(name, str(kept_area(self.page.settings, chosen.geometry)))
            self.toggle(name, "map")

        return parts.card(f"{label} on the map", chosen, parts.row(parts.button("Done", done)))

    def _items(self, name: str, label: str) -> widgets.Widget:
        from geolab.apps.pickers import ManyItems

        given = self.filling.given()[name]
        chosen = ManyItems(self.page, value=given if isinstance(given, list) else (), label=label)
        chosen.observe(lambda change: faults.call(self.put, name, list(change["new"])), "value")
        done = parts.button("Done", lambda: self.toggle(name, "items"))
        return parts.card(f"Choose {label[:1].lower()}{label[1:]}", chosen, parts.row(done))

    def _upload(self, name: str, label: str) -> widgets.Widget:
        def done(files: list[Uploaded]) -> None:
            self.put(name, str(uploads.path(self.page.settings, files[-1].id)))
            self.toggle(name, "upload")

        return parts.card(f"A file for {label[:1].lower()}{label[1:]}", parts.Upload(done, many=False))


def kept_area(settings: Settings, geometry: dict[str, Any]) -> Path:
    """The GeoJSON file of an area that was drawn, in the workspace under the hash of what it holds."""
    data = json.dumps({"type": "Feature", "properties": {}, "geometry": geometry}, sort_keys=True).encode()
    target = settings.home / "areas" / f"{hashlib.sha256(data).hexdigest()[:16]}.geojson"
    store.write_bytes(target, data)
    return target
