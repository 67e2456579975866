"""The rasters that a run has made, on a map over the images that it read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
HEIGHT = "420px"
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
    """The map; the images below the products come as soon as the catalogue has told of them."""

    def __init__(self, page: Page, outputs: list[Item], inputs: Iterable[Mapping[str, Any]]):
        super().__init__([parts.skeleton()])
        self.add_class("geolab-products")
        listed = [one for one in inputs if one.get("kind") == "item"]
        page.aside(lambda: images(page.settings, listed), lambda found: self._show(outputs, found))

    def _show(self, outputs: list[Item], found: list[Item]) -> None:
        self.children = (chart(outputs, found),)


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


def chart(outputs: list[Item], under: list[Item]) -> widgets.Widget:
    """The products over the newest image; the others can be switched on."""
    made = furniture.empty_map(maps.bounds(outputs), height=HEIGHT)
    layers = [maps.pixels(item, visible=item is under[-1]) for item in under]
    layers += [_layer(item, visible=number == 0) for number, item in enumerate(outputs)]
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
