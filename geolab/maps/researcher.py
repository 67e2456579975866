"""The researcher's toolbox: leafmap's Map. The only module that imports leafmap (7 s)."""

from __future__ import annotations

from typing import Any

import leafmap.leafmap as leafmap

from geolab.maps import add_items
from geolab.maps.furniture import view
from geolab.maps.layers import DEEPEST_ZOOM, bounds
from geolab.maps.origin import Item


def leafmap_with(items: list[Item], *, height: str) -> Any:
    """A leafmap.Map around the items, with their layers and without a basemap."""
    center, zoom = view(bounds(items))
    chart = leafmap.Map(center=list(center), zoom=zoom, height=height)
    basemap = next(iter(chart.layers))  # leafmap 0.63 can't be made without one; it is never shown
    chart.max_zoom = DEEPEST_ZOOM
    add_items(chart, items)
    chart.layers = tuple(layer for layer in chart.layers if layer is not basemap)
    return chart
