"""Rasters of many cells, of several zones, as one: for looking at, not for measuring areas.

Areas are measured in each cell's own grid; a mosaic bends the cells of other zones a little.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.warp import transform_bounds
from rasterio.windows import Window
from rasterio.windows import bounds as window_bounds

from geolab.errors import BadInput, FileRejected
from geolab.raster.cog import write_cog
from geolab.raster.grid import crs_name
from geolab.raster.info import GDAL_ERRORS, Info, open_raster, positions, read_info
from geolab.raster.windows import iter_windows

LARGEST_PX = 200_000  # side of a mosaic
Bounds = tuple[float, float, float, float]


def mosaic(
    layers: Mapping[str, Sequence[str]], out: str | os.PathLike[str], *, crs: str = "", nodata: int = 255
) -> str:
    """The URI of a COG with one band for every layer, each made of single-band uint8 rasters.

    layers: band name -> URIs. crs: of the mosaic, such as EPSG:3035; without one that of most rasters.
    Pixels are as small as the smallest, at whole multiples of their side; nothing is mixed (nearest). Where
    rasters overlap, those in the mosaic's own CRS win, then the first in order. Works by windows: memory does
    not depend on the size. Raises BadInput, NotFound, FileRejected.
    """
    infos = {uri: _checked(read_info(uri)) for uris in layers.values() for uri in uris}
    if not infos:
        raise BadInput("mosaic", found="no raster", expected="at least one")
    grid = _grid(list(infos.values()), _target(crs, infos.values()))
    reach = {uri: _reach(info, grid.crs) for uri, info in infos.items()}
    with write_cog(
        out, like=grid, count=len(layers), dtype="uint8", nodata=nodata, band_names=list(layers),
        resampling="nearest",
    ) as writer:  # fmt: skip
        for window in iter_windows(grid):
            bands = [_window(uris, infos, reach, grid, window, nodata) for uris in layers.values()]
            writer.write(np.stack(bands), window)
    return os.fspath(out)


def _checked(info: Info) -> Info:
    if info.crs is None or info.count != 1 or info.dtype != "uint8":
        found = f"{info.count} bands of {info.dtype}, CRS {crs_name(info.crs)}"
        raise FileRejected(info.uri, f"a mosaic takes single bands of uint8 with a CRS, not {found}")
    return info


def _target(crs: str, infos: object) -> CRS:
    """The CRS asked for, in metres; else that of most rasters."""
    if crs:
        try:
            chosen = CRS.from_string(crs)
        except CRSError as error:
            raise BadInput("crs", found=repr(crs[:80]), expected="a code such as EPSG:3035") from error
        if not chosen.is_projected:
            raise BadInput("crs", found=crs, expected="a projected one, in metres")
        return chosen
    counts = Counter(info.crs.to_wkt() for info in infos)  # pyright: ignore[reportGeneralTypeIssues]
    return CRS.from_wkt(min(counts, key=lambda wkt: (-counts[wkt], wkt)))


def _reach(info: Info, crs: CRS | None) -> Bounds:
    return transform_bounds(info.crs, crs, *info.bounds, densify_pts=21)


def _grid(infos: list[Info], crs: CRS) -> Info:
    """The header of the mosaic: whole pixels around all rasters."""
    pixel = min(abs(info.transform.a) for info in infos)
    reach = np.array([_reach(info, crs) for info in infos]) / pixel
    left, bottom = (math.floor(edge + 1e-6) for edge in reach[:, :2].min(axis=0))
    right, top = (math.ceil(edge - 1e-6) for edge in reach[:, 2:].max(axis=0))
    width, height = right - left, top - bottom
    if max(width, height) > LARGEST_PX:
        raise BadInput("mosaic", found=f"{width} x {height} px", expected=f"at most {LARGEST_PX} px a side")
    from rasterio.transform import from_origin

    return Info(
        uri="mosaic", driver="", width=width, height=height, count=0, dtype="", crs=crs,
        transform=from_origin(left * pixel, top * pixel, pixel, pixel), nodata=None,
        band_names=(), colorinterp=(), tags={},
    )  # fmt: skip


def _window(
    uris: Sequence[str], infos: Mapping[str, Info], reach: Mapping[str, Bounds], grid: Info, window: Window,
    nodata: int,
) -> np.ndarray:  # fmt: skip
    """[y, x] of one layer: pixels are taken from the first raster that knows them."""
    pixels = np.full((int(window.height), int(window.width)), nodata, np.uint8)
    here = window_bounds(window, grid.transform)
    near = [uri for uri in uris if _overlap(reach[uri], here)]
    for uri in sorted(near, key=lambda uri: infos[uri].crs != grid.crs):
        rows, columns = _part(reach[uri], grid, window)
        part = pixels[rows, columns]
        unknown = part == nodata
        if unknown.any():
            part[unknown] = _nearest(uri, infos[uri], grid, window, rows, columns, nodata)[unknown]
    return pixels


def _overlap(one: Bounds, two: Bounds) -> bool:
    return one[0] < two[2] and two[0] < one[2] and one[1] < two[3] and two[1] < one[3]


def _part(reach: Bounds, grid: Info, window: Window) -> tuple[slice, slice]:
    """Rows and columns of a window that a raster may reach."""
    side, left, top = grid.transform.a, grid.transform.c, grid.transform.f
    across = [math.floor((reach[0] - left) / side) - 1, math.ceil((reach[2] - left) / side) + 1]
    down = [math.floor((top - reach[3]) / side) - 1, math.ceil((top - reach[1]) / side) + 1]
    columns = [min(max(edge - int(window.col_off), 0), int(window.width)) for edge in across]
    rows = [min(max(edge - int(window.row_off), 0), int(window.height)) for edge in down]
    return slice(*rows), slice(*columns)


def _nearest(
    uri: str, info: Info, grid: Info, window: Window, rows: slice, columns: slice, nodata: int
) -> np.ndarray:
    """[y, x]: the value of the raster's pixel that holds each centre; nodata beyond it.

    Not GDAL's warper: its nearest pixels reach beyond a raster's edge and take nodata for something to avoid,
    and an affine approximation moves some by one.
    """
    at_row, at_column = _places(info, grid, window, rows, columns)
    inside = (at_row >= 0) & (at_row < info.height) & (at_column >= 0) & (at_column < info.width)
    found = np.full(inside.shape, nodata, np.uint8)
    if not inside.any():
        return found
    at_row, at_column = at_row[inside], at_column[inside]
    top, left = int(at_row.min()), int(at_column.min())
    wanted = Window(left, top, int(at_column.max()) - left + 1, int(at_row.max()) - top + 1)  # pyright: ignore[reportCallIssue]
    with open_raster(uri) as dataset:
        try:
            values = dataset.read(1, window=wanted)
        except GDAL_ERRORS as error:
            raise FileRejected(uri, f"its pixels can't be read, the file is damaged: {error}") from error
    taken = values[at_row - top, at_column - left]
    found[inside] = taken if info.nodata is None else np.where(taken == info.nodata, nodata, taken)
    return found


def _places(
    info: Info, grid: Info, window: Window, rows: slice, columns: slice
) -> tuple[np.ndarray, np.ndarray]:
    """Row and column in the raster of the centre of every pixel of a part of a window."""
    down = np.arange(rows.start, rows.stop) + window.row_off + 0.5
    across = np.arange(columns.start, columns.stop) + window.col_off + 0.5
    x, y = positions(grid.transform, *np.meshgrid(across, down))
    if info.crs != grid.crs:
        assert info.crs is not None  # _checked
        assert grid.crs is not None
        from pyproj import Transformer

        there = Transformer.from_crs(grid.crs.to_wkt(), info.crs.to_wkt(), always_xy=True)
        x, y = there.transform(x, y)
    at_column, at_row = positions(~info.transform, np.asarray(x), np.asarray(y))
    known = np.isfinite(at_column) & np.isfinite(at_row)
    return tuple(np.where(known, np.floor(edge), -1).astype(np.int64) for edge in (at_row, at_column))  # pyright: ignore[reportReturnType]
