"""Tiles by GDAL's warper: slow to set up, and good for any raster at any zoom."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from rasterio.enums import ColorInterp, Resampling
from rasterio.io import DatasetReader
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds

from geolab import raster
from geolab.service.tiles.asked import TILE_PX, Tile
from geolab.service.tiles.sample import EDGE_M
from geolab.service.tiles.sources import Header, Source

Array = np.ndarray
Read = tuple[Array, Array]  # pixels [band, y, x] and where all of them are valid [y, x]

WEB_MERCATOR = "EPSG:3857"


def pixel_m(zoom: int) -> float:
    """The side of a tile's pixel in Web Mercator."""
    return 2 * EDGE_M / (TILE_PX << zoom)


@lru_cache(4096)
def _mercator_box(head: Header) -> tuple[float, float, float, float]:
    """(left, bottom, right, top) of a raster in Web Mercator."""
    west, south, east, north = head.bounds
    if head.crs is not None and head.crs.is_geographic:
        south, north = max(south, -85.0), min(north, 85.0)
    return transform_bounds(head.crs, WEB_MERCATOR, west, south, east, north)


@lru_cache(4096)
def overview(head: Header, zoom: int) -> int | None:
    """The coarsest overview that still has the tile's resolution; None for the raster itself."""
    if not head.overviews or head.crs is None:
        return None
    box = _mercator_box(head)
    own_m = math.sqrt((box[2] - box[0]) * (box[3] - box[1]) / (head.width * head.height))
    factor = pixel_m(zoom) / own_m
    fitting = [index for index, step in enumerate(head.overviews) if step <= factor]
    return fitting[-1] if fitting else None


def warped(
    of: Source, head: Header, tile: Tile, bands: tuple[int, ...], how: Resampling, *, margin: int = 0
) -> Read | None:
    """The pixels of a tile; None beside the raster. margin: pixels more on each side.

    Straight from the overview that fits: at zoom 7 of a 0.5 m raster GDAL otherwise wants 390 GB.
    """
    side, size = pixel_m(tile.z), TILE_PX + 2 * margin
    west, north = -EDGE_M + (tile.x * TILE_PX - margin) * side, EDGE_M - (tile.y * TILE_PX - margin) * side
    if head.crs is not None:
        left, bottom, right, top = _mercator_box(head)
        if west >= right or left >= west + size * side or north <= bottom or top <= north - size * side:
            return None
    level = overview(head, tile.z)
    options: dict[str, Any] = {} if level is None else {"overview_level": level}
    grid = {"transform": Affine(side, 0, west, 0, -side, north), "width": size, "height": size}
    with raster.open_raster(of.uri, **options) as dataset:
        return _by_gdal(dataset, bands, grid | {"crs": WEB_MERCATOR, "resampling": how})


def _by_gdal(dataset: DatasetReader, bands: tuple[int, ...], options: dict[str, Any]) -> Read:
    """Opacity tells what is valid: the file's own, or one that the warper adds; or else its nodata value."""
    own = ColorInterp.alpha in dataset.colorinterp
    adds = not own and dataset.nodata is None
    with WarpedVRT(dataset, add_alpha=adds, **options) as vrt:
        pixels = vrt.read(bands)
        if adds:
            valid = vrt.read(vrt.count) != 0
        else:
            valid = (vrt.read_masks(bands) > 0).all(axis=0)
    pixels = np.abs(pixels) if np.iscomplexobj(pixels) else pixels
    if np.issubdtype(pixels.dtype, np.floating):
        valid &= np.isfinite(pixels).all(axis=0)
    return pixels, valid
