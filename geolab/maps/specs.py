"""Items as data for a Chart: tiles, outlines, the card of one; what each looks like."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from geolab import display
from geolab.maps.layers import CHANGE, CHANGE_OPACITY, PROBABILITY, bounds, native_zoom
from geolab.maps.origin import Item, day, name, original_url, preview_url, role, tile_url, title

Spec = dict[str, Any]

# cividis in five steps, for legends: safe for colour-blind readers
CIVIDIS = ["#00224e", "#434e6c", "#7d7c78", "#bcae6c", "#fee838"]


def kind(item: Item) -> str:
    """How an item is drawn: image, height, change, probability, or '' for what has no pixels."""
    properties = item["properties"]
    found = str(properties.get("geolab:result") or properties.get("geolab:role") or "image")
    if role(item) == "photo" or not _is_raster(item):
        return ""
    if found == "probability":
        return "probability"
    if found in ("mask", "label", "change") or role(item) == "label":
        return "change"
    return "height" if found == "dsm" or role(item) == "dsm" else "image"


def _is_raster(item: Item) -> bool:
    told = item.get("assets", {}).get("data", {})
    href, type_ = str(told.get("href", "")).lower(), str(told.get("type", "image/"))
    return bool(href) and type_.startswith("image/") and not href.endswith((".ply", ".spz", ".glb"))


_LOOKS: dict[str, dict[str, Any]] = {
    "image": {},
    "height": {"colormap": "hillshade"},
    "change": {"colormap": "change", "opacity": CHANGE_OPACITY},
    "probability": {"colormap": "cividis", "limits": PROBABILITY, "opacity": 0.8},
}


def tiles(
    item: Item,
    *,
    key: str = "",
    limits: display.Limits = (),
    colormap: str | None = None,
    opacity: float | None = None,
) -> Spec:
    """The pixels of an item as a layer of a Chart, drawn by the server at the page's origin.

    What is not given is as the kind of the item asks: change in its colour, heights as relief, ...
    """
    look = {"limits": (), "colormap": "", "opacity": 1.0, **_LOOKS.get(kind(item), {})}
    drawn = look["colormap"] if colormap is None else colormap
    box = bounds([item])
    return {
        "key": key or f"{item['collection']}/{item['id']}",
        "name": name(item),
        "note": note(item),
        "kind": kind(item),
        "url": tile_url(item, limits=limits or look["limits"], colormap=drawn),
        "bounds": [list(corner) for corner in box] if box else None,
        "native": native_zoom(item, box),
        "opacity": look["opacity"] if opacity is None else opacity,
        "visible": True,
        "crisp": kind(item) == "change",
    }


def note(item: Item) -> str:
    """One line on what an item is, below its name."""
    properties = item["properties"]
    gsd_m = properties.get("gsd")
    words = [str(properties.get("geolab:result") or role(item)), str(item.get("collection") or "")]
    words += [f"{gsd_m:.3g} m pixels"] if isinstance(gsd_m, int | float) and gsd_m > 0 else []
    return " · ".join(word for word in words if word)


def legend(item: Item) -> Spec | None:
    """What the colours of an item mean; None where they are those of the ground."""
    if kind(item) == "probability":
        return {"title": "Probability of change", "low": "0", "high": "1", "colours": CIVIDIS}
    if kind(item) == "change":
        return {"title": "Changed", "low": "", "high": "", "colours": [CHANGE]}
    return None


def outlines(items: Iterable[Item], *, weight: float = 1.0, color: str = "accent") -> Spec:
    """Hairline outlines of all items that cover an area, as one of a Chart's shapes."""
    features = [
        {"type": "Feature", "properties": {}, "geometry": item["geometry"]}
        for item in items
        if (item.get("geometry") or {}).get("type") in ("Polygon", "MultiPolygon")
    ]
    return shape({"type": "FeatureCollection", "features": features}, color=color, weight=weight)


def shape(data: Mapping[str, Any], *, color: str = "accent", weight: float = 1.0, fill: float = 0.0) -> Spec:
    """GeoJSON as one of a Chart's shapes."""
    return {"data": data, "style": {"color": color, "weight": weight, "fillOpacity": fill}}


def card(item: Item, place: tuple[float, float], *, links: Iterable[tuple[str, str]] = ()) -> Spec:
    """The card of an item at (latitude, longitude). links: (words, address on this origin)."""
    lines = [day(item), note(item), _height(item["properties"])]
    full = [("Full resolution", original_url(item))] if role(item) == "photo" else []
    return {
        "lat": place[0],
        "lon": place[1],
        "title": title(item),
        "lines": [line for line in lines if line],
        "thumb": preview_url(item),
        "links": [{"text": words, "href": href} for words, href in (*full, *links)],
    }


def _height(properties: Mapping[str, Any]) -> str:
    for key, words in (("geolab:relative_altitude_m", "above take-off"), ("geolab:altitude_m", "altitude")):
        value = properties.get(key)
        if isinstance(value, int | float):
            return f"{value:.0f} m {words}"
    return ""
