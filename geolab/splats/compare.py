"""How far a surface model lies from another one, or an orthophoto, in the terms of photogrammetry."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio import DatasetReader
from rasterio.enums import ColorInterp, Resampling
from rasterio.vrt import WarpedVRT
from scipy.ndimage import binary_erosion

from geolab import raster
from geolab.errors import BadInput

RIM_PX = 3  # at the edge of what both images have, where slopes are none of the ground
LEAST_PX = 1000  # in common, to tell a shift
COLOURS = 3


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
        with WarpedVRT(
            dataset, crs=grid.crs, transform=grid.transform, width=grid.width, height=grid.height,
            resampling=Resampling.bilinear, tolerance=0.01, **_gaps(dataset),
        ) as warped:  # fmt: skip
            yield warped


def _gaps(dataset: DatasetReader) -> dict[str, Any]:
    """How a warped raster says where it has nothing."""
    if ColorInterp.alpha in dataset.colorinterp:
        return {}
    if dataset.nodata is None and np.issubdtype(dataset.dtypes[0], np.integer):
        return {"add_alpha": True}
    return {"nodata": float("nan") if dataset.nodata is None else dataset.nodata}


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


def shift_px(image: str | os.PathLike[str], other: str | os.PathLike[str]) -> tuple[float, float]:
    """How far the ground lies to the right of and below (columns, rows) where the other image has it.

    In pixels of the first, from the peak of the phase correlation of the slopes of both (means of the first
    three bands) over what both show. Holds both in memory. Raises BadInput if they have too little in common.
    """
    names = os.fspath(image), os.fspath(other)
    info = raster.read_info(names[0])
    with raster.open_raster(names[0]) as ours, _on_grid(names[1], info) as theirs:
        (one, here), (two, there) = _grey(ours), _grey(theirs)
    both = binary_erosion(here & there, iterations=RIM_PX)
    if both.sum() < LEAST_PX:
        raise BadInput(
            names[0], found=f"{both.sum()} pixels in common with {names[1]}", expected=f"at least {LEAST_PX}"
        )
    window = both * np.outer(*(np.hanning(side) for side in both.shape))
    first, second = (np.fft.fft2(_slopes(grey) * window) for grey in (one, two))
    product = first * second.conj()
    peaks = np.abs(np.fft.ifft2(product / np.sqrt(np.abs(product) + 1e-12)))
    row, column = np.unravel_index(peaks.argmax(), peaks.shape)
    return _fine(peaks[row], int(column)), _fine(peaks[:, column], int(row))


def _grey(dataset: DatasetReader) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The mean of the colours [y, x], and where there are any."""
    bands = list(range(1, min(COLOURS, dataset.count) + 1))
    grey = dataset.read(bands, out_dtype="float64").mean(axis=0)
    known = np.isfinite(grey) & (dataset.dataset_mask() > 0)
    return np.where(known, grey, 0.0), known


def _slopes(grey: NDArray[np.float64]) -> NDArray[np.complex128]:
    down, right = np.gradient(grey)
    return np.asarray(right + 1j * down, np.complex128)


def _fine(line: NDArray[np.float64], peak: int) -> float:
    """Where a cyclic line [L] is highest, between its samples by a parabola, from -L / 2."""
    before, top, after = (line[(peak + k) % len(line)] for k in (-1, 0, 1))
    bend = before - 2 * top + after
    place = peak + (0.5 * (before - after) / bend if bend < 0 else 0.0)
    return float(place - len(line) if place > len(line) / 2 else place)
