"""A map whose layers, shapes and dots are plain data: one widget however much it shows.

ipyleaflet makes a model in kernel and page for every marker and layer and reports every move of the
mouse; pages that show ten thousand photos use this instead, on the same Leaflet, which ipyleaflet brings.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets as widgets
import traitlets as t
from ipyleaflet import TileLayer

from geolab.catalog import shapes
from geolab.errors import BadInput
from geolab.maps.clusters import View

STATIC = Path(__file__).with_name("static")
PARTS = ("words", "pixels", "dots", "draw", "readings", "chart")
TOOLS = ("", "rectangle", "polygon")


@cache
def _script() -> str:
    return "\n".join((STATIC / f"{part}.js").read_text(encoding="utf-8") for part in PARTS)


@cache
def _style() -> str:
    return (STATIC / "chart.css").read_text(encoding="utf-8")


def _ignore(*_: Any) -> None:
    """What a map does about a click that nobody asked for."""


class Chart(anywidget.AnyWidget):
    """A map. What it shows is set as data; what the reader does comes as traits and calls.

    layers: tiles, the last on top: {key, url, bounds, native, opacity, visible, crisp}.
    dots: (latitude, longitude, count, key, title, "photo" or "item"). shapes: GeoJSON by name with a style.
    swipe: {left, right, names}: keys of two layers and what to call them; {}: none.
    aoi: the GeoJSON polygon that is drawn, {} for none. tool: what is being drawn.
    card: {lat, lon, title, lines, thumb, links}; pin: {lat, lon}; legends: {title, low, high, colours}.
    view: what is seen now, {} before a page has shown it. on_click(latitude, longitude), on_dot(key).
    """

    layers = t.List(t.Dict()).tag(sync=True)
    shapes = t.Dict().tag(sync=True)
    dots = t.List().tag(sync=True)
    swipe = t.Dict().tag(sync=True)
    aoi = t.Dict().tag(sync=True)
    tool = t.Enum(TOOLS, "").tag(sync=True)
    card = t.Dict().tag(sync=True)
    pin = t.Dict().tag(sync=True)
    legends = t.List(t.Dict()).tag(sync=True)
    basemap = t.Dict().tag(sync=True)
    aim = t.Dict().tag(sync=True)
    view = t.Dict().tag(sync=True)
    height = t.Unicode("560px").tag(sync=True)
    label = t.Unicode("Map").tag(sync=True)
    _loader = t.Instance(widgets.Widget).tag(sync=True, **widgets.widget_serialization)

    def __init__(self, **traits: Any):
        self.on_click: Callable[[float, float], None] = _ignore
        self.on_dot: Callable[[str], None] = _ignore
        self.add_traits(_esm=t.Unicode(_script()).tag(sync=True), _css=t.Unicode(_style()).tag(sync=True))
        # a model of ipyleaflet in the page loads Leaflet; this one is never shown
        super().__init__(_loader=TileLayer(url="", attribution=""), **traits)
        self.on_msg(self._hear)

    def __repr__(self) -> str:
        return "A map. Run this cell to see it."

    def fit(self, around: Any, *, exact: bool = False, zoom: int = 0) -> None:
        """Show a box ((south, west), (north, east)). exact: it was a view. zoom: the deepest; 0: any."""
        box = [[float(v) for v in corner] for corner in around]
        self.aim = {"bounds": box, "exact": exact, "zoom": zoom, "number": self.aim.get("number", 0) + 1}

    @property
    def seen(self) -> View | None:
        """What the page shows now; None before it has."""
        try:
            view = View(**{name: float(v) for name, v in self.view.items()})
        except (TypeError, ValueError):
            return None
        numbers = (*view.box, view.zoom, view.width, view.height)
        sane = all(map(math.isfinite, numbers)) and 0 <= view.zoom <= 30 and view.east > view.west
        return view if sane and -90 <= view.south < view.north <= 90 and abs(view.west) < 3600 else None

    @t.validate("aoi")
    def _checked_area(self, proposal: Any) -> Mapping[str, Any]:
        """Areas come from the page too: only polygons on Earth are taken."""
        area = proposal["value"]
        if not area:
            return {}
        try:
            shape = shapes.read(area, "area")
        except BadInput:
            return {}
        known = shape.geom_type in ("Polygon", "MultiPolygon") and not shape.is_empty
        return {"type": shape.geom_type, "coordinates": _lists(shape)} if known else {}

    def _hear(self, _widget: object, content: Any, _buffers: object) -> None:
        kind = content.get("kind") if isinstance(content, dict) else ""
        if kind == "dot" and isinstance(content.get("key"), str):
            self.on_dot(content["key"])
        elif kind == "click":
            place = [_number(content.get(name)) for name in ("lat", "lon")]
            if abs(place[0]) <= 90 and abs(place[1]) <= 180:
                self.on_click(*place)


def _number(value: Any) -> float:
    """A number that a page has sent; NaN for anything else."""
    return float(value) if isinstance(value, int | float) else math.nan


def _lists(shape: Any) -> Sequence[Any]:
    """The coordinates of a polygon as lists, as they come back from a page."""
    parts = list(getattr(shape, "geoms", [shape]))
    found = [
        [[list(map(float, p)) for p in ring.coords] for ring in (one.exterior, *one.interiors)]
        for one in parts
    ]
    return found[0] if shape.geom_type == "Polygon" else found
