"""A part of a raster as a file of its own: the same pixels on the same grid."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader, DatasetWriter
from rasterio.transform import Affine
from rasterio.warp import transform
from rasterio.windows import Window

from geolab.errors import BadInput, FileRejected, TooLarge
from geolab.raster.cog import make_cog
from geolab.raster.info import GDAL_ERRORS, gdal_env, open_raster, positions

MOST_VALUES = 100_000_000  # pixels x bands of one clip
_POINTS = 21  # of the box along each side: its edges are bent in the raster's grid
_STRIP_VALUES = 8_000_000  # read at once
_SLACK_PX = 1e-6  # a box that ends at the edge of a pixel does not take the next one


def clip(
    uri: str,
    bbox: Sequence[float],
    target: str | os.PathLike[str],
    *,
    most_values: int = MOST_VALUES,
) -> None:
    """Write the pixels of a raster that a box touches as a COG on the raster's own grid.

    bbox: west, south, east, north, degrees; the whole raster if it is empty. Bands, nodata, masks, palette
    and tags are kept. Raises BadInput for a box that misses it, TooLarge, FileRejected, NotFound.
    """
    with open_raster(uri) as source, tempfile.TemporaryDirectory(prefix="geolab-clip-") as folder:
        window = window_of(source, bbox)
        values = int(window.width) * int(window.height) * source.count
        if values > most_values:
            size = f"{window.width} x {window.height} px in {source.count} bands"
            expected = f"at most {most_values / 1e6:g} million values"
            raise TooLarge("clip", found=size, expected=expected, remedy="draw a smaller box")
        part = Path(folder, "part.tif")
        try:
            _copy(source, window, part)
        except GDAL_ERRORS as error:
            raise FileRejected(uri, f"its pixels can't be read: {error.__cause__ or error}") from error
        make_cog(str(part), target)


def window_of(source: DatasetReader, bbox: Sequence[float]) -> Window:
    """The whole pixels that a box of degrees touches; those of the raster, no others. Raises BadInput."""
    if not bbox:
        return Window(0, 0, source.width, source.height)  # pyright: ignore[reportCallIssue]
    if source.crs is None:
        raise BadInput("raster", found="no coordinate system", expected="one, to find the box in it")
    west, south, east, north = bbox
    lon, lat = np.meshgrid(np.linspace(west, east, _POINTS), np.linspace(south, north, _POINTS))
    xs, ys = (np.asarray(v) for v in transform("EPSG:4326", source.crs, lon.ravel(), lat.ravel()))
    known = np.isfinite(xs) & np.isfinite(ys)
    columns, rows = positions(~source.transform, xs[known], ys[known])
    left, right = _span(columns, source.width)
    top, bottom = _span(rows, source.height)
    if right <= left or bottom <= top:
        raise BadInput("bbox", found="a box beside the raster", expected="one that touches it")
    return Window(left, top, right - left, bottom - top)  # pyright: ignore[reportCallIssue]


def _span(places: np.ndarray, size: int) -> tuple[int, int]:
    if places.size == 0:
        return 0, 0
    first, last = math.floor(places.min() + _SLACK_PX), math.ceil(places.max() - _SLACK_PX)
    return max(0, first), min(size, last)


def _copy(source: DatasetReader, window: Window, target: Path) -> None:
    grid = source.transform
    (c,), (f,) = positions(grid, np.array([window.col_off]), np.array([window.row_off]))
    place = Affine(grid.a, grid.b, float(c), grid.d, grid.e, float(f))
    profile = {
        "driver": "GTiff", "width": window.width, "height": window.height, "count": source.count,
        "dtype": source.dtypes[0], "crs": source.crs, "transform": place, "nodata": source.nodata,
        "tiled": True, "blockxsize": 512, "blockysize": 512, "BIGTIFF": "IF_SAFER",
    }  # fmt: skip
    with gdal_env(), rasterio.open(target, "w", **profile) as out:
        _describe(source, out)
        masked = (
            MaskFlags.per_dataset in source.mask_flag_enums[0] and ColorInterp.alpha not in source.colorinterp
        )
        step = max(1, _STRIP_VALUES // max(1, int(window.width) * source.count))
        for top in range(0, int(window.height), step):
            rows = min(step, int(window.height) - top)
            there = Window(0, top, window.width, rows)  # pyright: ignore[reportCallIssue]
            here = Window(window.col_off, window.row_off + top, window.width, rows)  # pyright: ignore[reportCallIssue]
            out.write(source.read(window=here), window=there)
            if masked:
                out.write_mask(source.dataset_mask(window=here), window=there)


def _describe(source: DatasetReader, out: DatasetWriter) -> None:
    out.update_tags(**{k: v for k, v in source.tags().items() if k != "AREA_OR_POINT"})
    if source.tags().get("AREA_OR_POINT") == "Point":
        out.update_tags(AREA_OR_POINT="Point")
    out.scales, out.offsets, out.units = source.scales, source.offsets, source.units
    for band in range(1, source.count + 1):
        out.update_tags(band, **source.tags(band))
        if source.descriptions[band - 1]:
            out.set_band_description(band, source.descriptions[band - 1] or "")
    if source.colorinterp[0] == ColorInterp.palette:
        out.write_colormap(1, source.colormap(1))
    else:
        out.colorinterp = source.colorinterp
