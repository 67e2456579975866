"""The rasters that a run has made, on a map over the images that it read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from geolab import catalog, maps
from geolab.apps import parts, words
from geolab.errors import GeolabError
from geolab.maps import furniture, origin
from geolab.settings import Settings

if TYPE_CHECKING:
    from geolab.apps.shell import Page

MOST = 12  # products on one map
MOST_POLYGONS, MOST_BYTES, LISTED = 200, 20_000_000, 20
HEIGHT = "420px"
POLYGONS = (
    parts.Column("number", "No.", "number"),
    parts.Column("area", "Area", "number", "m²"),
    parts.Column("mean", "Mean probability", "number"),
)
_RASTERS = (".tif", ".tiff")
_FIRST = ("mask", "composite", "orthophoto")  # switched on at first

Item = Mapping[str, Any]


def drawn(outputs: Iterable[Item]) -> list[Item]:
    """The outputs that are rasters with a place on Earth."""
    found = [item for item in outputs if maps.bounds([item]) and _is_raster(item)]
    return sorted(found, key=lambda item: result(item) not in _FIRST)[:MOST]


def _is_raster(item: Item) -> bool:
    href = str(((item.get("assets") or {}).get("data") or {}).get("href") or "")
    return href.lower().endswith(_RASTERS)


def result(item: Item) -> str:
    """The name under which the run reported it."""
    return str((item.get("properties") or {}).get("geolab:result") or "")


class Products(widgets.Box):
    """The map, as soon as the catalogue has told of the images below the products.

    shapes: the GeoJSON file of polygons that the run has made, if it has.
    """

    def __init__(
        self,
        page: Page,
        outputs: list[Item],
        inputs: Iterable[Mapping[str, Any]],
        shapes: Path | None = None,
    ):
        super().__init__([parts.skeleton()])
        self.add_class("geolab-products")
        listed = [one for one in inputs if one.get("kind") == "item"]
        page.aside(
            lambda: (images(page.settings, listed), polygons(shapes) if shapes else []),
            lambda found: self._show(outputs, *found),
        )

    def _show(self, outputs: list[Item], under: list[Item], shapes: list[Item]) -> None:
        shown: list[widgets.Widget] = [chart(outputs, under, shapes)]
        if shapes:
            shown.append(_largest(shapes))
        self.children = (parts.stack(*shown),)


def polygons(path: Path) -> list[Item]:
    """The largest polygons of a GeoJSON file, the largest first; none of a file that is none or too large."""
    try:
        if path.stat().st_size > MOST_BYTES:
            return []
        document = json.loads(path.read_bytes())
        found = [
            one for one in document["features"] if one["geometry"]["type"] in ("Polygon", "MultiPolygon")
        ]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return []
    return sorted(found, key=_area_m2, reverse=True)[:MOST_POLYGONS]


def _area_m2(feature: Item) -> float:
    value = (feature.get("properties") or {}).get("area_m2")
    return float(value) if isinstance(value, int | float) else 0.0


def _largest(shapes: list[Item]) -> widgets.Widget:
    """The largest polygons with their areas and probabilities, folded."""
    rows = [
        {"id": number, "number": number, "area": _area_m2(one), "mean": _mean(one)}
        for number, one in enumerate(shapes[:LISTED], 1)
    ]
    return parts.Fold(f"The largest {len(rows)} changes", parts.Table(POLYGONS, rows, label="Polygons"))


def _mean(feature: Item) -> float | None:
    value = (feature.get("properties") or {}).get("mean_probability")
    return float(value) if isinstance(value, int | float) else None


def images(settings: Settings, inputs: Iterable[Mapping[str, Any]]) -> list[Item]:
    """The images that a run read and that are still in the catalogue, oldest first."""
    found = list[Item]()
    with catalog.open_catalog(settings) as opened:
        for one in inputs:
            try:
                found.append(opened.get(str(one["item_id"]), str(one["collection"])))
            except GeolabError:
                continue  # it was removed since
    return sorted((item for item in found if _is_raster(item)), key=origin.day)[-MOST:]


def chart(outputs: list[Item], under: list[Item], shapes: list[Item]) -> widgets.Widget:
    """The products over the newest image, outlines of polygons; the others can be switched on."""
    made = furniture.empty_map(maps.bounds(outputs), height=HEIGHT)
    layers: list[Any] = [maps.pixels(item, visible=item is under[-1]) for item in under]
    layers += [_layer(item, visible=number == 0) for number, item in enumerate(outputs)]
    if shapes:
        layers.append(maps.change_layer({"type": "FeatureCollection", "features": shapes}))
        layers[-1].name = f"largest {len(shapes)} polygons"
        layers[-1].visible = not outputs or result(outputs[0]) != "mask"
    for layer in layers:
        made.add(layer)
    furniture.add_layer_list(made, layers)
    return made


def _layer(item: Item, *, visible: bool) -> Any:
    if result(item) in maps.CHANGE_RESULTS:
        layer = maps.change_layer(item, asset="data")
    else:
        layer = maps.pixels(item, colormap="cividis" if result(item) == "dsm" else "")
    layer.visible = visible
    layer.name = origin.safe(words.label(result(item)) or origin.title(item))
    return layer
