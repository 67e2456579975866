"""What came of a flight, on one map: orthophoto, relief, footprint, and where the photos were taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import numpy as np
from ipyleaflet import DivIcon, GeoJSON, ImageOverlay, Map, Marker, TileLayer, WidgetControl
from numpy.typing import ArrayLike

from geolab import raster
from geolab.maps.furniture import add_layer_list, add_panel, empty_map, say
from geolab.maps.layers import ACCENT, Bounds, bounds, pixels
from geolab.maps.origin import Item
from geolab.maps.overlay import picture
from geolab.raster.footprint import outline

Source = Item | str | Path
_PANEL_PX = 216  # leaves room for the buttons on a phone

__all__ = ["Source", "add_button", "mark", "survey"]


def survey(
    *,
    orthophoto: Source | None = None,
    dsm: Source | None = None,
    photos: ArrayLike = (),
    footprint: Mapping[str, Any] | None = None,
    on_photo: Callable[[int], None] | None = None,
    height: str = "560px",
    basemap: Any = None,
) -> Map:
    """A map of the products of one flight; the opacity of the orthophoto lets the relief through.

    orthophoto, dsm: an item of the catalogue, whose tiles the server draws, or a file, of which the map holds
    a picture. photos: [N, 2] or [N, 3] longitude, latitude of where they were taken; on_photo gets the index
    of one that is clicked. footprint: a GeoJSON polygon; by default the products'.
    Raises NotFound, FileRejected, BadInput.
    """
    given = np.asarray(photos, np.float64)
    places = given.reshape(-1, given.shape[-1])[:, :2] if given.size else np.empty((0, 2))
    image = None if orthophoto is None else _layer(orthophoto, "Orthophoto")
    relief = None if dsm is None else _layer(dsm, "Relief of the surface", relief=True)
    outlined = footprint or _outline(orthophoto if orthophoto is not None else dsm)
    shapes = [layer for layer in (_edge(outlined), _dots(places, on_photo)) if layer is not None]
    chart = empty_map(_around(outlined, places), height=height, basemap=basemap)
    drawn = [layer for layer in (relief, image) if layer is not None]
    for layer in (*drawn, *shapes):
        chart.add(layer)
    add_panel(chart, [image] if image else [], [], width_px=_PANEL_PX)
    add_layer_list(chart, [*shapes[::-1], *drawn[::-1]], width_px=_PANEL_PX)
    if not (drawn or shapes):
        say(chart, "Nothing to show here yet: name an orthophoto, a height model, cameras or a model.")
    return chart


def _layer(source: Source, name: str, *, relief: bool = False) -> TileLayer | ImageOverlay:
    if isinstance(source, Mapping):
        layer = pixels(source, colormap="hillshade" if relief else "")
        layer.name = name
        return layer
    return picture(source, relief=relief, name=name)


def _outline(source: Source | None) -> Mapping[str, Any] | None:
    if source is None:
        return None
    return source.get("geometry") if isinstance(source, Mapping) else outline(raster.read_info(source))


def _edge(footprint: Mapping[str, Any] | None) -> GeoJSON | None:
    if footprint is None:
        return None
    shape = {"type": "Feature", "properties": {}, "geometry": dict(footprint)}
    style = {"color": ACCENT, "weight": 1, "opacity": 1.0, "fillOpacity": 0.0}
    return GeoJSON(data=shape, style=style, name="Footprint")


def _dots(places: np.ndarray, on_photo: Callable[[int], None] | None) -> GeoJSON | None:
    """Where the photos were taken: one layer however many, which knows nothing but their numbers."""
    if not len(places):
        return None
    features = [
        {
            "type": "Feature",
            "properties": {"index": index},
            "geometry": {"type": "Point", "coordinates": [float(v) for v in place]},
        }
        for index, place in enumerate(places)
    ]
    look = {
        "radius": 5,
        "color": ACCENT,
        "weight": 3,
        "opacity": 1.0,
        "fillColor": "#ffffff",
        "fillOpacity": 1.0,
    }
    layer = GeoJSON(
        data={"type": "FeatureCollection", "features": features},
        point_style=look,
        name=f"Photos ({len(places)})",
    )

    def clicked(**event: Any) -> None:
        index = (event.get("properties") or {}).get("index")
        if on_photo is not None and isinstance(index, int) and 0 <= index < len(places):
            on_photo(index)

    layer.on_click(clicked)
    return layer


def _around(footprint: Mapping[str, Any] | None, places: np.ndarray) -> Bounds | None:
    """The footprint; where there is none, the photos."""
    points = _points((footprint or {}).get("coordinates", ())) or [tuple(place) for place in places]
    if not points:
        return None
    west, south = np.min(points, axis=0)
    east, north = np.max(points, axis=0)
    return bounds([{"bbox": [float(west), float(south), float(east), float(north)]}])


def _points(coordinates: Any) -> list[tuple[float, float]]:
    """All positions in the coordinates of a GeoJSON geometry, however deep."""
    if isinstance(coordinates, Sequence) and coordinates and isinstance(coordinates[0], int | float):
        return [(float(coordinates[0]), float(coordinates[1]))]
    return [point for part in coordinates for point in _points(part)]


def add_button(chart: Map, text: str, hint: str, on_click: Callable[[], None]) -> widgets.Button:
    """A button on the map."""
    button = widgets.Button(description=text, tooltip=hint, layout=widgets.Layout(width="auto", margin="0"))
    button.add_class("geolab-act")
    button.on_click(lambda _: on_click())
    chart.add(WidgetControl(widget=button, position="topleft"))
    return button


def mark(chart: Map, latitude: float, longitude: float, title: str) -> None:
    """Put the map's one pin at a place; the next call moves it. title: plain text."""
    pin = next((layer for layer in chart.layers if isinstance(layer, Marker)), None)
    if pin is None:
        icon = DivIcon(html='<span class="geolab-pin"></span>', icon_size=[16, 16], icon_anchor=[8, 8])
        place = (latitude, longitude)
        chart.add(Marker(location=place, icon=icon, title=title, alt=title, draggable=False))
    else:
        pin.set_trait("location", [latitude, longitude])
        pin.title = title
