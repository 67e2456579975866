"""The pixels of a raster on the grid of a tile: where each one comes from, and its value there.

GDAL's warper does the same, but opens, sets up and reads anew for every tile; see bench/tiles.py. A
tile that this module has no simple way for (far out, no overview; no grid) is left to it all the same.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from pyproj import Transformer

from geolab.raster.info import positions
from geolab.service.tiles import sources
from geolab.service.tiles.sources import Header, Source

Array = np.ndarray

STEP_PX = 16  # of the tile, between points that are really projected
TOLERANCE_PX = 0.05  # of the source: else every pixel is projected
MOST_RATIO = 2.3  # source pixels for one of the tile, along a side
EDGE_M = 20037508.342789244
_mine = threading.local()


@dataclass(frozen=True)
class Places:
    """Where a tile's pixels lie in the source, columns and rows [y, x]; and how many of it make one."""

    columns: Array
    rows: Array
    ratio: float


def places(head: Header, z: int, x: int, y: int, size: int, margin: int) -> Places | None:
    """The places of a tile's pixels in a raster; None where the projection has none for some of them."""
    pixel_m = 2 * EDGE_M / (size << z)
    west, north = -EDGE_M + (x * size - margin) * pixel_m, EDGE_M - (y * size - margin) * pixel_m
    side = size + 2 * margin
    step = STEP_PX if side % STEP_PX == 0 else side // math.ceil(side / STEP_PX)
    count = -(-side // step)
    nodes = np.arange(2 * count + 1) * (step / 2)  # every second one only tells the error
    xs, ys = np.meshgrid(west + nodes * pixel_m, north - nodes * pixel_m)
    columns, rows = _project(head, xs, ys)
    if not (np.isfinite(columns).all() and np.isfinite(rows).all()):
        return None
    centres = (np.arange(side) + 0.5) / step
    if max(_bend(columns), _bend(rows)) <= TOLERANCE_PX:
        found = _between(columns[::2, ::2], centres), _between(rows[::2, ::2], centres)
    else:
        middle = np.arange(side) + 0.5
        found = _project(head, *np.meshgrid(west + middle * pixel_m, north - middle * pixel_m))
        if not (np.isfinite(found[0]).all() and np.isfinite(found[1]).all()):
            return None
    return Places(found[0], found[1], _ratio(columns, rows, step / 2))


def _project(head: Header, xs: Array, ys: Array) -> tuple[Array, Array]:
    """Columns and rows of Web Mercator positions."""
    if head.crs is not None and head.crs.to_epsg() == 3857:
        return positions(~head.transform, xs, ys)
    assert head.crs is not None
    known: dict[str, Any] = _mine.__dict__.setdefault("transformers", {})
    name = head.crs.to_wkt()
    if name not in known:
        known[name] = Transformer.from_crs("EPSG:3857", name, always_xy=True)
    with np.errstate(all="ignore"):
        return positions(~head.transform, *known[name].transform(xs, ys))


def _bend(values: Array) -> float:
    """How far the points between the nodes lie from the straight line between them, at most."""
    corners = values[::2, ::2]
    across = (corners[:, 1:] + corners[:, :-1]) / 2 - values[::2, 1::2]
    down = (corners[1:] + corners[:-1]) / 2 - values[1::2, ::2]
    return float(max(np.abs(across).max(), np.abs(down).max()))


def _between(nodes: Array, at: Array) -> Array:
    """Values at positions between the nodes of a grid, along both axes."""
    low = np.minimum(at.astype(np.int64), len(nodes) - 2)
    part = at - low
    along = nodes[:, low] * (1 - part) + nodes[:, low + 1] * part
    return along[low] * (1 - part)[:, None] + along[low + 1] * part[:, None]


def _ratio(columns: Array, rows: Array, step: float) -> float:
    """The longer side of a tile's pixel in the source, in pixels of it, where it is longest."""
    across = np.hypot(np.diff(columns, axis=1), np.diff(rows, axis=1)).max()
    down = np.hypot(np.diff(columns, axis=0), np.diff(rows, axis=0)).max()
    return float(max(across, down) / step)


# ---------------------------------------------------------------- values


def nearest(of: Source, level: int | None, bands: tuple[int, ...], at: Places) -> tuple[Array, Array] | None:
    """Values [band, y, x] of the pixels at these places, and where there is one; None outside the raster."""
    found = _around(of, level, bands, at, reach=0)
    if found is None:
        return None
    block, top, left = found
    columns, rows, inside = _cells(block.pixels.shape[1:], at, top, left)
    valid = inside if block.valid is None else inside & block.valid[rows, columns]
    return block.pixels[:, rows, columns], valid


def smooth(of: Source, level: int | None, bands: tuple[int, ...], at: Places) -> tuple[Array, Array] | None:
    """Values [band, y, x], float32, weighted over valid pixels; and where the nearest one is valid."""
    found = _around(of, level, bands, at, reach=math.ceil(at.ratio) + 1)
    if found is None:
        return None
    block, top, left = found
    pixels = np.abs(block.pixels) if np.iscomplexobj(block.pixels) else block.pixels
    known = np.ones((1, 1), bool) if block.valid is None else block.valid
    out = np.zeros((len(bands), *at.columns.shape), np.float32)
    valid = np.zeros(at.columns.shape, bool)
    pixels, columns, rows = np.ascontiguousarray(pixels, np.float32), at.columns - left, at.rows - top
    _weigh(pixels, known, block.valid is None, columns, rows, max(1.0, at.ratio), out, valid)
    return out, valid


def _around(
    of: Source, level: int | None, bands: tuple[int, ...], at: Places, *, reach: int
) -> tuple[sources.Block, int, int] | None:
    """The part of the raster that the places need, its first row and column."""
    head = sources.header(of, level)
    left, right = math.floor(at.columns.min()), math.floor(at.columns.max()) + 1
    top, bottom = math.floor(at.rows.min()), math.floor(at.rows.max()) + 1
    if right <= 0 or bottom <= 0 or left >= head.width or top >= head.height:
        return None
    left, right = max(0, left - reach), min(head.width, right + reach)
    top, bottom = max(0, top - reach), min(head.height, bottom + reach)
    return sources.region(of, level, bands, (top, bottom, left, right)), top, left


def _cells(shape: tuple[int, ...], at: Places, top: int, left: int) -> tuple[Array, Array, Array]:
    columns, rows = np.floor(at.columns - left).astype(np.int64), np.floor(at.rows - top).astype(np.int64)
    inside = (columns >= 0) & (columns < shape[1]) & (rows >= 0) & (rows < shape[0])
    return np.where(inside, columns, 0), np.where(inside, rows, 0), inside


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _weigh(pixels, known, all_known, columns, rows, reach, out, valid):  # pragma: no cover (compiled)
    """Bilinear weights, widened to `reach` pixels where the tile is coarser than the source."""
    bands, height, width = pixels.shape
    sums = np.zeros(bands)
    for i in range(columns.shape[0]):
        for j in range(columns.shape[1]):
            c, r = columns[i, j], rows[i, j]
            cell_c, cell_r = math.floor(c), math.floor(r)
            if cell_c < 0 or cell_r < 0 or cell_c >= width or cell_r >= height:
                continue
            if not (all_known or known[cell_r, cell_c]):
                continue
            valid[i, j] = True
            c, r = c - 0.5, r - 0.5
            first_c, last_c = max(0, math.ceil(c - reach)), min(width - 1, math.floor(c + reach))
            first_r, last_r = max(0, math.ceil(r - reach)), min(height - 1, math.floor(r + reach))
            total = 0.0
            sums[:] = 0.0
            for y in range(first_r, last_r + 1):
                down = 1.0 - abs(y - r) / reach
                for x in range(first_c, last_c + 1):
                    if all_known or known[y, x]:
                        weight = down * (1.0 - abs(x - c) / reach)
                        total += weight
                        for band in range(bands):
                            sums[band] += weight * pixels[band, y, x]
            for band in range(bands):
                out[band, i, j] = sums[band] / total if total > 0 else pixels[band, cell_r, cell_c]


def warm() -> None:
    """Compile, or load what was compiled before: half a second that no tile has to wait for."""
    one, true = np.zeros((1, 1, 1), np.float32), np.ones((1, 1), bool)
    half = np.full((1, 1), 0.5)
    _weigh(one, true, True, half, half, 1.0, one.copy(), np.zeros((1, 1), bool))
