"""Pixels by window: read with their validity, walk a raster, warp one raster onto another's grid."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from geolab.errors import BadInput, FileRejected
from geolab.raster.cog import write_cog
from geolab.raster.info import GDAL_ERRORS, Info, info_of, open_raster, read_info

Array = np.ndarray
WARP_PX = 1024  # side of the windows that align() moves


def read_window(dataset: DatasetReader, window: Window | None = None) -> Array:
    """Pixels of a window, [band, y, x] float32, NaN where invalid; an alpha band is not among them.

    Invalid is what nodata, the alpha band, the mask or NaN say, for each band. Values are as stored
    (scale and offset not applied); of complex pixels the magnitude.
    Raises FileRejected when the file is damaged.
    """
    bands = [i for i, colour in enumerate(dataset.colorinterp, 1) if colour != ColorInterp.alpha]
    try:
        pixels = dataset.read(bands, window=window)
        invalid = None if _all_valid(dataset) else dataset.read_masks(bands, window=window) == 0
    except GDAL_ERRORS as error:
        raise FileRejected(dataset.name, f"its pixels can't be read, the file is damaged: {error}") from error
    values = (np.abs(pixels) if np.iscomplexobj(pixels) else pixels).astype(np.float32, copy=False)
    if invalid is not None:
        values[invalid] = np.nan
    values[~np.isfinite(values)] = np.nan
    return values


def _all_valid(dataset: DatasetReader) -> bool:
    return all(flags == [MaskFlags.all_valid] for flags in dataset.mask_flag_enums)


def iter_windows(info: Info, side_px: int = WARP_PX) -> Iterator[Window]:
    """Windows of at most side_px that cover the raster once, row by row."""
    for row in range(0, info.height, side_px):
        for column in range(0, info.width, side_px):
            yield Window(column, row, min(side_px, info.width - column), min(side_px, info.height - row))  # pyright: ignore[reportCallIssue]


def align(source: str, *, like: Info | str, out: str | os.PathLike[str], resampling: str = "bilinear") -> str:
    """The URI of a new COG: `source` warped onto exactly the grid of `like`, its nodata kept.

    Where `source` does not reach, pixels are its nodata value; without one they are NaN (floats) or
    masked by a mask band (integers). resampling: a name of rasterio's, e.g. nearest for labels.
    Works in windows: memory does not depend on the size. Raises FileRejected, BadInput.
    """
    grid = like if isinstance(like, Info) else read_info(like)
    if resampling not in Resampling.__members__:
        raise BadInput(
            "resampling", found=repr(resampling), expected="one of " + ", ".join(Resampling.__members__)
        )
    with open_raster(source) as dataset:
        info = info_of(dataset, source)
        _need_crs(info, grid)
        nodata = _nodata_for(info)
        masked = nodata is None and "alpha" not in info.colorinterp
        with (
            WarpedVRT(
                dataset,
                crs=grid.crs,
                transform=grid.transform,
                width=grid.width,
                height=grid.height,
                nodata=nodata,
                resampling=Resampling[resampling],
                add_alpha=masked,
                tolerance=0.01,
            ) as warped,
            write_cog(
                out,
                like=grid,
                count=info.count,
                dtype=info.dtype,
                nodata=nodata,
                band_names=info.band_names,
                colorinterp=info.colorinterp,
                tags=dict(info.tags),
                resampling="nearest" if resampling == "nearest" else "average",
            ) as writer,
        ):
            bands = list(range(1, info.count + 1))
            for window in iter_windows(grid):
                valid = warped.dataset_mask(window=window) > 0 if masked else None
                writer.write(warped.read(bands, window=window), window, valid=valid)
    return os.fspath(out)


def _nodata_for(info: Info) -> float | None:
    if info.nodata is None and np.issubdtype(info.dtype, np.floating):
        return float("nan")
    return info.nodata


def _need_crs(*infos: Info) -> None:
    for info in infos:
        if info.crs is None:
            raise BadInput(
                info.uri, found="no CRS", expected="a CRS, to warp by",
                remedy=f"assign one: rio edit-info --crs EPSG:... {info.uri}",
            )  # fmt: skip
