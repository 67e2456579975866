"""Addresses on the page's own origin, and text made safe for it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any
from urllib.parse import quote, urlencode

from geolab import display

Item = Mapping[str, Any]


def base_url() -> str:
    """The path below which the Jupyter server answers that this kernel belongs to; '/' outside one.

    Voila says it, geolab's server extension says it, a hub says it; all begin and end with a slash.
    """
    for name in ("VOILA_BASE_URL", "GEOLAB_BASE_URL", "JUPYTERHUB_SERVICE_PREFIX"):
        path = os.environ.get(name, "")
        if path.startswith("/") and not path.startswith("//"):
            return path if path.endswith("/") else f"{path}/"
    return "/"


def tile_url(
    item: Item,
    asset: str = "data",
    *,
    limits: display.Limits = (),
    colormap: str = "",
    format: str = "webp",
    bands: Iterable[int] = (),
    expression: str = "",
    threshold: float | None = None,
) -> str:
    """The address of an asset's tiles with {z}/{x}/{y} left open for the map.

    bands: numbers from 1, one or three. expression: band math, '(b4-b3)/(b4+b3)'; several after commas.
    threshold: 0..1, on a probability: change colour where p >= threshold; with colormap='uncertain'
    opacity by the distance from it.
    """
    query = [("bidx", str(band)) for band in bands]
    query += [("rescale", f"{low:.6g},{high:.6g}") for low, high in limits]
    query += [("colormap", colormap)] if colormap else []
    query += [("expression", expression)] if expression else []
    query += [] if threshold is None else [("threshold", f"{threshold:.4g}")]
    end = f"?{urlencode(query)}" if query else ""
    return f"{base_url()}geolab/tiles/{_name(item)}/{_part(asset)}/{{z}}/{{x}}/{{y}}.{format}{end}"


def preview_url(item: Item) -> str:
    """The address of a small picture of the item."""
    return f"{base_url()}geolab/preview/{_name(item)}"


def original_url(item: Item) -> str:
    """The address of a photo as it was taken."""
    return f"{base_url()}geolab/original/{_name(item)}"


def asset_url(item: Item, asset: str = "data") -> str:
    """The address from which an item's asset is downloaded; it answers range requests."""
    return f"{base_url()}geolab/assets/{_name(item)}/{_part(asset)}"


def run_file_url(run_id: str, name: str) -> str:
    """The address of a file of a run's folder; a figure (PNG, WebP, JPEG) may be shown in the page.

    name: as the run's folder lists it, 'figures/before.png'.
    """
    return f"{base_url()}geolab/runs/{_part(run_id)}/{'/'.join(_part(part) for part in name.split('/'))}"


def clip_url(item: Item, asset: str = "data", bbox: Sequence[float] = ()) -> str:
    """The address of the part of a raster that lies in a box, as a GeoTIFF in the raster's own grid.

    bbox: west, south, east, north, degrees; the whole raster without one.
    """
    box = ",".join(f"{value:.9g}" for value in bbox)
    end = f"?{urlencode({'bbox': box})}" if box else ""
    return f"{base_url()}geolab/clip/{_name(item)}/{_part(asset)}.tif{end}"


def upload_url(name: str = "") -> str:
    """The address that takes one file as the plain body of a POST (no form); many may come at once.

    name: the file's own name; a page that does not know it yet adds '?name=' and encodeURIComponent(name).
    The answer is JSON: id, name, size in bytes, sha256; or {"message"} with status 4xx.
    """
    return f"{base_url()}geolab/upload" + (f"?{urlencode({'name': name})}" if name else "")


def shared_url(token: str) -> str:
    """The address of a share link, which needs no login; the page's own scheme and host come before it."""
    return f"{base_url()}geolab/shared/{_part(token)}"


def _name(item: Item) -> str:
    # braces and slashes are escaped too: an id can't reach out of its place in the address
    return f"{_part(item['collection'])}/{_part(item['id'])}"


def _part(text: object) -> str:
    # a dot-only part would be tidied away by browsers, with or without escapes: nothing has such a name
    return quote(str(text), safe="")


def title(item: Item) -> str:
    """What people call the item: its title, else its id; plain text."""
    return str(item["properties"].get("title") or item["id"])


def day(item: Item) -> str:
    """The item's (first) date, 2024-08-15; '' where it has none."""
    properties = item["properties"]
    text = str(properties.get("datetime") or properties.get("start_datetime") or "")[:10]
    return text if all(c.isdigit() or c == "-" for c in text) else ""


def name(item: Item) -> str:
    """One line that tells items apart in a list: the date, or both, and the title; plain text."""
    text, first = title(item), day(item)
    last = str(item["properties"].get("end_datetime") or "")[:10]
    if first and last and last != first and not item["properties"].get("datetime"):
        return f"{first} to {last} {text}"
    return text if not first or first in text else f"{first} {text}"


def role(item: Item) -> str:
    """'image', 'photo', 'label', 'dsm' or 'product'."""
    return str(item["properties"].get("geolab:role") or "image")


def safe(text: object) -> str:
    """Text as HTML that shows exactly it: no tag, attribute or entity survives."""
    return escape(str(text), quote=True)
