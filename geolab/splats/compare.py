"""How far a surface model lies from another one, in the terms of photogrammetry."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

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
    """The errors of a DSM (band 1) against another on the same grid.

    where: [y, x], the pixels that count. Holds one number a pixel in memory. Raises GridMismatch, or
    BadInput if the two share no pixel.
    """
    names = os.fspath(dsm), os.fspath(truth)
    info = raster.read_info(names[0])
    raster.same_grid(info, raster.read_info(names[1]))
    errors, wanted = [], 0
    with raster.open_raster(names[0]) as ours, raster.open_raster(names[1]) as theirs:
        for window in raster.iter_windows(info):
            exact = raster.read_window(theirs, window)[0].astype(np.float64)
            rows, columns = window.toslices()
            counted = np.isfinite(exact) if where is None else np.isfinite(exact) & where[rows, columns]
            error = (raster.read_window(ours, window)[0] - exact)[counted]
            wanted += error.size
            errors.append(error[np.isfinite(error)].astype(np.float32))
    return _scores(np.concatenate(errors), wanted, names[0])


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
