"""Maps: items, photos, real pixels, two dates side by side, change.

Plain ipyleaflet, everything from the page's own origin (service.jupyter draws the tiles); no
basemap unless one is asked for. `toolbox` is leafmap's map with our layers, for researchers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ipyleaflet import Map, SplitMapControl, TileLayer

from geolab import display, raster
from geolab.errors import BadInput
from geolab.maps.furniture import add_layer_list, add_panel, card, empty_map, name_sides, popups, say
from geolab.maps.layers import (
    bounds,
    change_layer,
    footprints,
    photos,
    pixels,
    point,
    split,
)
from geolab.maps.origin import Item, base_url, day, role, tile_url, title
from geolab.maps.overlay import picture
from geolab.maps.survey import Source, add_button, mark, survey

if TYPE_CHECKING:
    from ipyleaflet import GeoJSON

CHANGE_RESULTS = ("mask", "probability")
MOST_IMAGES = 40  # pixel layers on one map; more are outlines only

__all__ = [
    "Source",
    "add_button",
    "add_items",
    "base_url",
    "bounds",
    "card",
    "change_layer",
    "day",
    "explore",
    "footprints",
    "mark",
    "pairs",
    "photos",
    "picture",
    "pixels",
    "role",
    "survey",
    "swipe",
    "tile_url",
    "toolbox",
]


def explore(items: Iterable[Item], *, height: str = "560px", basemap: Any = None) -> Map:
    """A map of items: outlines, photos in clusters, the pixels of every image, a slider of dates.

    items: STAC items of a catalogue that the server of this page serves. A click on a photo or an
    outline opens its card. basemap: None for a plain ground; an xyzservices provider or TileLayer
    asks servers outside.
    """
    listed = list(items)
    chart = empty_map(bounds(listed), height=height, basemap=basemap)
    if not listed:
        say(chart, "Nothing here yet: ingest a folder (notebook 01_ingest), or widen the search.")
        return chart
    images, dates = add_items(chart, listed)
    add_panel(chart, images, dates)
    add_layer_list(chart, chart.layers)
    total = len(split(listed).get("image", []))
    if total > MOST_IMAGES:
        say(chart, f"Pixels of the newest {MOST_IMAGES} of {total} images; the others are outlines only.")
    return chart


def pairs(items: Iterable[Item]) -> list[tuple[Item, Item]]:
    """(before, after) of every place with images of several dates: its oldest and its newest.

    Images are of one place when the middle of each lies inside the other's box. In order of time.
    """
    places: list[list[Item]] = []
    for item in split(items).get("image", []):
        place = next((p for p in places if _same_place(p[0], item)), None)
        if place is None:
            places.append(place := [])
        place.append(item)
    return [(place[0], place[-1]) for place in places if day(place[0]) < day(place[-1])]


def _same_place(one: Item, other: Item) -> bool:
    return _inside(point(one), bounds([other])) and _inside(point(other), bounds([one]))


def _inside(place: tuple[float, float] | None, around: Any) -> bool:
    if place is None or around is None:
        return False
    return all(low <= value <= high for value, low, high in zip(place, *around, strict=True))


def add_items(chart: Map, items: Iterable[Item]) -> tuple[list[TileLayer], list[str]]:
    """The image layers put on any map and their dates; outlines, labels and photos are put there too."""
    roles = split(items)
    newest = roles.get("image", [])[-MOST_IMAGES:]
    last = day(newest[-1]) if newest else ""
    images = [pixels(item, visible=day(item) in ("", last)) for item in newest]
    for layer in (*images, *_others(roles)):
        chart.add(layer)
    listed = [item for group in roles.values() for item in group]
    show = popups(chart, listed, point)
    chart.add(footprints([i for i in listed if i not in roles.get("photo", [])], show))
    if roles.get("photo"):
        chart.add(photos(roles["photo"], show))
    return images, [day(item) for item in newest]


def _others(roles: dict[str, list[Item]]) -> list[TileLayer | GeoJSON]:
    """Height models, labels and the change that runs found, listed in the map's control.

    Only the masks of runs are switched on at first.
    """
    heights = [pixels(item, colormap="cividis", visible=False) for item in roles.get("dsm", [])]
    found = [i for i in roles.get("product", []) if _result(i) in CHANGE_RESULTS][-MOST_IMAGES:]
    changes = [(change_layer(item, asset="data"), item) for item in [*roles.get("label", []), *found]]
    for layer, item in changes:
        layer.visible = _result(item) == "mask"
    return [*heights, *(layer for layer, _ in changes)]


def _result(item: Item) -> str:
    """The name under which a run reported this product; empty for anything else."""
    return str(item["properties"].get("geolab:result") or "")


def swipe(before: Item, after: Item, *, change: Any = None, height: str = "560px") -> Map:
    """Two dates of one place, either side of a handle that says which is where, in one stretch.

    change: an item with a mask, a FeatureCollection, or a layer, drawn over both.
    Raises BadInput when one of them has no pixels to show.
    """
    limits = shared_limits(before, after)
    chart = empty_map(bounds([before, after]), height=height)
    left, right = (pixels(item, limits=limits) for item in (before, after))
    chart.add(SplitMapControl(left_layer=left, right_layer=right))
    if change is not None:
        chart.add(change_layer(change) if isinstance(change, dict) else change)
    name_sides(chart, day(before) or title(before), day(after) or title(after))
    return chart


def shared_limits(*items: Item) -> display.Limits:
    """One (low, high) a band from all items together, 2-98 % of their overviews."""
    samples = []
    for item in items:
        if "data" not in item.get("assets", {}):
            raise BadInput(f"item {title(item)}", found="no asset 'data'", expected="pixels to show")
        with raster.open_raster(item["assets"]["data"]["href"]) as dataset:
            colors = [c.name for c in dataset.colorinterp]
            count = sum(color != "alpha" for color in colors)
            bands = display.rgb_bands(dataset.descriptions, colors, count=count)
            samples.append(display.read_sample(dataset, bands))
    return display.limits(*samples)


def toolbox(items: Iterable[Item], *, height: str = "640px") -> Any:
    """leafmap's Map with our layers on it: drawing, measuring, inspecting, exporting.

    Importing leafmap takes seconds, so it happens here and nowhere else.
    """
    from geolab.maps.researcher import leafmap_with

    return leafmap_with(list(items), height=height)
