"""Map tiles of a raster: what may be asked, how it is drawn, what is kept."""

from __future__ import annotations

from geolab.service.tiles.draw import (
    COLORMAPS,
    DEEPEST_ZOOM,
    FORMATS,
    TILE_PX,
    Cache,
    Tile,
    parse,
    render,
    stretch,
)

__all__ = [
    "COLORMAPS", "DEEPEST_ZOOM", "FORMATS", "TILE_PX", "Cache", "Tile", "parse", "render", "stretch",
]  # fmt: skip
