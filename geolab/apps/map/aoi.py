"""The area of interest: drawn on the map or typed, measured on the ellipsoid."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from geolab.apps import parts
from geolab.maps import area
from geolab.maps.chart import Chart

if TYPE_CHECKING:
    from geolab.apps.shell import Page

HINTS = {
    "": "",
    "rectangle": "Drag on the map from corner to corner. Escape ends it.",
    "polygon": "Click corner by corner; double-click, Enter or a click on the first one ends it.",
}


class Area:
    """The panel. on_change(): the area is another one. geometry: GeoJSON, {} for none."""

    def __init__(self, page: Page, chart: Chart, on_change: Callable[[], None]):
        self.page, self.chart, self._on_change = page, chart, on_change
        buttons = [
            parts.button("Rectangle", lambda: self._draw("rectangle"), hint="Draw a rectangle"),
            parts.button("Polygon", lambda: self._draw("polygon"), hint="Draw a polygon"),
            parts.button("The view", self.take_view, hint="The area that the map shows"),
        ]
        self._clear = parts.button("Clear", self.clear, hint="Take the area away")
        self._typed = widgets.Text(
            placeholder="west,south,east,north in degrees",
            continuous_update=False,
            layout={"width": "auto"},
            tooltip="The area as west,south,east,north in degrees",
        )
        self._typed.observe(page.guard(self._type), "value")
        self._hint, self._size = parts.text("", soft=True), parts.text("")
        self.widget = parts.stack(parts.row(*buttons, self._clear), self._typed, self._hint, self._size)
        chart.observe(page.guard(lambda _: self._changed()), "aoi")
        chart.observe(lambda _: self._say(), "tool")
        self._say()

    @property
    def geometry(self) -> dict[str, Any]:
        return dict(self.chart.aoi)

    @property
    def bbox(self) -> tuple[float, float, float, float] | None:
        """West, south, east, north of the area, degrees; None without one."""
        return area.box(self.chart.aoi) if self.chart.aoi else None

    def clear(self) -> None:
        """Take the area away."""
        self.chart.tool, self.chart.aoi = "", {}

    def take_view(self) -> None:
        """Take what the map shows as the area."""
        view = self.chart.seen
        if view is not None:
            self.set_box((view.west, view.south, view.east, view.north))

    def set_box(self, box: tuple[float, float, float, float]) -> None:
        """Take a box as the area."""
        west, south, east, north = box
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        self.chart.aoi = {"type": "Polygon", "coordinates": [ring]}

    def _draw(self, tool: str) -> None:
        self.chart.tool = "" if self.chart.tool == tool else tool

    def _type(self, change: Any) -> None:
        text = str(change["new"]).strip()
        if text and text != written(self.bbox):
            self.set_box(area.parsed_box(text))

    def _changed(self) -> None:
        self._typed.value = written(self.bbox)
        self._say()
        self._on_change()

    def _say(self) -> None:
        self._hint.value = parts.text(HINTS[self.chart.tool], soft=True).value
        self._hint.layout.display = "" if self.chart.tool else "none"
        self._clear.disabled = not self.chart.aoi
        words = area.words(area.square_metres(self.chart.aoi)) if self.chart.aoi else ""
        said = (
            f"{words}. Drag its corners to change it."
            if words
            else "No area yet: draw one, or take the view."
        )
        self._size.value = parts.text(said, soft=not words).value


def written(box: tuple[float, float, float, float] | None) -> str:
    """A box as text: west,south,east,north."""
    return ",".join(f"{value:.6f}".rstrip("0").rstrip(".") for value in box) if box else ""
