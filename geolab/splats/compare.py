"""How far a surface model lies from another one, in the terms of photogrammetry."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from rasterio import DatasetReader
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT

from geolab import raster
from geolab.errors import BadInput


@dataclass(frozen=True)
class DsmScores:
    """Errors of heights (DSM minus truth), metres, over `pixels` that both have.

    bias: their mean. nmad: 1.4826 times the median distance from the median, which blunders do not move
    (Höhle and Höhle, 2009). le90: 90 % of the errors are smaller. complete: share of the truth's
    pixels that the DSM has.
    """

    mae: float
    rmse: float
    bias: float
    median: float
    nmad: float
    le90: float
    pixels: int
    complete: float

    def as_json(self) -> dict[str, float | int]:
        return asdict(self)


def compare_dsm(
    dsm: str | os.PathLike[str], truth: str | os.PathLike[str], *, where: NDArray[np.bool_] | None = None
) -> DsmScores:
    """The errors of a DSM (band 1) against another one, at the pixels of the first.

    A truth on another grid is read between its pixels, bilinearly. where: [y, x], the pixels that count.
    Holds one number a pixel in memory. Raises BadInput if the two share no pixel, or one has no CRS.
    """
    names = os.fspath(dsm), os.fspath(truth)
    info = raster.read_info(names[0])
    errors, wanted = [], 0
    with raster.open_raster(names[0]) as ours, _on_grid(names[1], info) as theirs:
        for window in raster.iter_windows(info):
            exact = raster.read_window(theirs, window)[0].astype(np.float64)
            rows, columns = window.toslices()
            counted = np.isfinite(exact) if where is None else np.isfinite(exact) & where[rows, columns]
            error = (raster.read_window(ours, window)[0] - exact)[counted]
            wanted += error.size
            errors.append(error[np.isfinite(error)].astype(np.float32))
    return _scores(np.concatenate(errors), wanted, names[0])


@contextmanager
def _on_grid(uri: str, grid: raster.Info) -> Iterator[DatasetReader]:
    """A raster on a grid: as it is, or warped as it is read."""
    info = raster.read_info(uri)
    with raster.open_raster(uri) as dataset:
        if (info.shape, info.transform, info.crs) == (grid.shape, grid.transform, grid.crs):
            yield dataset
            return
        for one in (grid, info):
            if one.crs is None:
                raise BadInput(one.uri, found="no CRS", expected="a CRS, to compare by")
        nodata = float("nan") if info.nodata is None else info.nodata
        with WarpedVRT(
            dataset, crs=grid.crs, transform=grid.transform, width=grid.width, height=grid.height,
            nodata=nodata, resampling=Resampling.bilinear, tolerance=0.01,
        ) as warped:  # fmt: skip
            yield warped


def _scores(errors: NDArray[np.float32], wanted: int, name: str) -> DsmScores:
    if not errors.size:
        raise BadInput(name, found="no pixel in common with the truth", expected="surfaces that overlap")
    middle = float(np.median(errors))
    size = np.abs(errors)
    return DsmScores(
        mae=float(size.mean(dtype=np.float64)),
        rmse=float(np.sqrt(np.square(errors, dtype=np.float64).mean())),
        bias=float(errors.mean(dtype=np.float64)),
        median=middle,
        nmad=float(1.4826 * np.median(np.abs(errors - middle))),
        le90=float(np.quantile(size, 0.9)),
        pixels=int(errors.size),
        complete=errors.size / wanted,
    )
