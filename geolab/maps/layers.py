"""Layers: pixels, outlines, photos and change, each for any ipyleaflet map (leafmap's too)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeGuard

from ipyleaflet import DivIcon, GeoJSON, Marker, MarkerCluster, TileLayer

from geolab import display
from geolab.errors import BadInput
from geolab.maps.origin import Item, day, name, role, safe, tile_url, title

ACCENT = "#0b7285"
CHANGE = "#e8590c"
CHANGE_OPACITY = 0.6
DEEPEST_ZOOM = 24
PROBABILITY = ((0.0, 254.0),)  # the byte 254 is probability 1, see change.detect

_NOISE = 1e-6  # degrees, 0.1 m

Bounds = tuple[tuple[float, float], tuple[float, float]]


def bounds(items: Iterable[Item]) -> Bounds | None:
    """((south, west), (north, east)) around all items, degrees; None without any place."""
    boxes = [box for item in items if (box := _box(item))]
    if not boxes:
        return None
    west, south, east, north = zip(*boxes, strict=True)
    return (min(south), min(west)), (max(north), max(east))


def _box(item: Item) -> tuple[float, float, float, float] | None:
    box = item.get("bbox") or ()
    if len(box) not in (4, 6):
        return None
    west, south, east, north = (*box[:2], *box[len(box) // 2 : len(box) // 2 + 2])
    crosses = west - east > _NOISE  # of the date line; a point's box may be turned by a rounding
    return (west, south, east + 360 if crosses else max(west, east), north)


def pixels(
    item: Item,
    asset: str = "data",
    *,
    limits: display.Limits = (),
    colormap: str = "",
    opacity: float = 1.0,
    visible: bool = True,
) -> TileLayer:
    """A layer of an item's pixels, drawn by the server extension at the page's origin.

    limits: (low, high) a band; without them the server stretches 2-98 % of the item.
    """
    box = bounds([item])
    label = name(item) if asset == "data" else f"{name(item)}: {asset}"
    return TileLayer(
        url=tile_url(item, asset, limits=limits, colormap=colormap),
        name=safe(label),  # Leaflet writes names into the page as HTML
        bounds=[list(corner) for corner in box] if box else None,
        max_zoom=DEEPEST_ZOOM,
        max_native_zoom=native_zoom(item, box),
        opacity=opacity,
        visible=visible,
        attribution="",
        no_wrap=True,
    )


def native_zoom(item: Item, box: Bounds | None) -> int:
    """The zoom at which a tile's pixel is about one of the item's; the browser enlarges beyond."""
    gsd_m = item["properties"].get("gsd")
    if not isinstance(gsd_m, int | float) or not 0 < gsd_m < 1e7 or not box:
        return DEEPEST_ZOOM
    latitude = math.radians((box[0][0] + box[1][0]) / 2)
    exact = math.log2(156543.034 * max(math.cos(latitude), 0.01) / float(gsd_m))
    return min(max(math.ceil(exact), 1), DEEPEST_ZOOM)


def change_layer(source: Item, *, asset: str = "mask") -> TileLayer | GeoJSON:
    """Change in its one colour: a mask at 60 %, polygons with their outline at 100 %, or a probability.

    source: an item whose `asset` is 'mask', 'data' of a label or of a product, or 'probability' (in
    cividis, like the product of that name); or a GeoJSON FeatureCollection of polygons.
    """
    if source.get("type") == "FeatureCollection":
        style = {"color": CHANGE, "weight": 1.5, "opacity": 1.0, "fillOpacity": CHANGE_OPACITY}
        return GeoJSON(data=_bare(source["features"]), style=style, name="Change")
    if asset not in source.get("assets", {}):
        raise BadInput(
            f"change layer of {title(source)}", found=f"no asset '{asset}'", expected=_known(source)
        )
    if "probability" in (asset, source["properties"].get("geolab:result")):
        return pixels(source, asset, colormap="cividis", limits=PROBABILITY, opacity=0.8)
    return pixels(source, asset, colormap="change", opacity=CHANGE_OPACITY)


def _known(item: Item) -> str:
    return f"one of {', '.join(item.get('assets', {})) or 'its assets, it has none'}"


def _bare(features: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Features without their properties: the map needs shapes only, and styles in there would win."""
    return {
        "type": "FeatureCollection",
        "features": [{"type": "Feature", "properties": {}, "geometry": f["geometry"]} for f in features],
    }


def footprints(items: Iterable[Item], on_click: Callable[[str], None] | None = None) -> GeoJSON:
    """Hairline outlines of all items that cover an area. on_click gets the id of the one clicked."""
    features = [
        {"type": "Feature", "properties": {"id": str(item["id"])}, "geometry": item["geometry"]}
        for item in items
        if (item.get("geometry") or {}).get("type") in ("Polygon", "MultiPolygon")
    ]
    layer = GeoJSON(
        data={"type": "FeatureCollection", "features": features},
        style={"color": ACCENT, "weight": 1, "opacity": 1.0, "fillOpacity": 0.0},
        hover_style={"weight": 2.5},
        name="Footprints",
    )
    if on_click is not None:
        layer.on_click(lambda **event: on_click(str((event.get("properties") or {}).get("id", ""))))
    return layer


def photos(items: Sequence[Item], on_click: Callable[[str], None] | None = None) -> MarkerCluster:
    """Photos where they were taken, clustered; on_click gets the id of the one clicked."""
    icon = DivIcon(html='<span class="geolab-photo"></span>', icon_size=[14, 14], icon_anchor=[7, 7])
    markers = [
        Marker(
            location=location,
            icon=icon,
            draggable=False,
            title=title(item),
            alt=f"photo {title(item)}",
        )
        for item in items
        if (location := point(item))
    ]
    if on_click is not None:
        placed = [item for item in items if point(item)]
        for marker, item in zip(markers, placed, strict=True):
            marker.on_click(lambda _id=str(item["id"]), **_: on_click(_id))
    return MarkerCluster(
        markers=tuple(markers),
        name=f"Photos ({len(markers)})",
        max_cluster_radius=40,
        disable_clustering_at_zoom=20,
        show_coverage_on_hover=False,
    )


def point(item: Item) -> tuple[float, float] | None:
    """(latitude, longitude) of a photo's camera; of anything else the middle of its box; None if nowhere."""
    geometry = item.get("geometry") or {}
    camera = item["properties"].get("geolab:position")
    for place in (camera, geometry.get("coordinates") if geometry.get("type") == "Point" else None):
        if _is_place(place):
            return place[1], place[0]
    box = bounds([item])
    return ((box[0][0] + box[1][0]) / 2, (box[0][1] + box[1][1]) / 2) if box else None


def _is_place(value: Any) -> TypeGuard[Sequence[float]]:
    """Whether a value begins with longitude and latitude; properties may hold anything."""
    numbers = list(value[:2]) if isinstance(value, list | tuple) else []
    known = [
        v for v in numbers if isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v)
    ]
    return len(known) == 2 and abs(known[1]) <= 90


def split(items: Iterable[Item]) -> dict[str, list[Item]]:
    """Items by role, each oldest first, so that the newest is drawn on top."""
    found: dict[str, list[Item]] = {}
    for item in sorted(items, key=lambda i: (day(i), title(i))):
        found.setdefault(role(item), []).append(item)
    return found
