"""Map tiles of a raster: what may be asked, how it is drawn, what is kept."""

from __future__ import annotations

from geolab.service.tiles.asked import COLORMAPS, DEEPEST_ZOOM, FORMATS, TILE_PX, Tile, parse
from geolab.service.tiles.draw import render, stretch
from geolab.service.tiles.keep import Cache
from geolab.service.tiles.sample import warm

__all__ = [
    "COLORMAPS",
    "DEEPEST_ZOOM",
    "FORMATS",
    "TILE_PX",
    "Cache",
    "Tile",
    "parse",
    "render",
    "stretch",
    "warm",
]
