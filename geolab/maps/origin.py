"""Addresses on the page's own origin, and text made safe for it."""

from __future__ import annotations

import os
from collections.abc import Mapping
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
    item: Item, asset: str = "data", *, limits: display.Limits = (), colormap: str = "", format: str = "webp"
) -> str:
    """The address of an asset's tiles with {z}/{x}/{y} left open for the map."""
    query = [("rescale", f"{low:.6g},{high:.6g}") for low, high in limits]
    query += [("colormap", colormap)] if colormap else []
    end = f"?{urlencode(query)}" if query else ""
    return f"{base_url()}geolab/tiles/{_name(item)}/{quote(asset, safe='')}/{{z}}/{{x}}/{{y}}.{format}{end}"


def preview_url(item: Item) -> str:
    """The address of a small picture of the item."""
    return f"{base_url()}geolab/preview/{_name(item)}"


def original_url(item: Item) -> str:
    """The address of a photo as it was taken."""
    return f"{base_url()}geolab/original/{_name(item)}"


def _name(item: Item) -> str:
    # braces and slashes are escaped too: an id can't reach out of its place in the address
    return f"{quote(str(item['collection']), safe='')}/{quote(str(item['id']), safe='')}"


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
