"""Do the overviews of a file still show its pixels?

A file edited after its overviews were built is still a valid COG, but every map drawn from it is wrong.
"""

from __future__ import annotations

import numpy as np
from rasterio.io import DatasetReader
from rasterio.windows import Window

from geolab.raster.info import open_raster

Array = np.ndarray
SAMPLE_PX = 128  # side of the sampled windows, overview pixels
SLACK = 0.1  # of the local range: cubic and Lanczos overshoot, lossy compression rounds
OUTLIERS = 0.05  # share of pixels that may lie outside all the same


def stale_overviews(uri: str) -> bool:
    """Whether some overview differs from the pixels it should show.

    Any resampling keeps a pixel within the range of its neighbourhood in the next finer level: that is
    checked for the first band in up to three windows of each level. Raises FileRejected, NotFound.
    """
    with open_raster(uri) as dataset:
        levels = len(dataset.overviews(1)) if dataset.count else 0
    finer: int | None = None
    for level in range(levels):
        if _differs(uri, finer, level):
            return True
        finer = level
    return False


def _differs(uri: str, finer: int | None, level: int) -> bool:
    options = {} if finer is None else {"overview_level": finer}
    with open_raster(uri, **options) as full, open_raster(uri, overview_level=level) as small:
        outside = total = 0
        for window in _sample(small):
            wrong, seen = _compare(full, small, window)
            outside, total = outside + wrong, total + seen
    return outside > OUTLIERS * total


def _sample(small: DatasetReader) -> list[Window]:
    """Windows at the start, middle and end of the diagonal, each once."""
    sizes = [min(SAMPLE_PX, length) for length in (small.width, small.height)]
    corners = {
        (int((small.width - sizes[0]) * t), int((small.height - sizes[1]) * t)) for t in (0.0, 0.5, 1.0)
    }
    return [Window(x, y, sizes[0], sizes[1]) for x, y in sorted(corners)]  # pyright: ignore[reportCallIssue]


def _compare(full: DatasetReader, small: DatasetReader, window: Window) -> tuple[int, int]:
    """How many overview pixels lie outside the range of the finer pixels around them, and of how many."""
    from scipy import ndimage  # 0.2 s to import

    x_ratio, y_ratio = full.width / small.width, full.height / small.height
    left, top = int(window.col_off * x_ratio), int(window.row_off * y_ratio)
    right = min(full.width, int(np.ceil((window.col_off + window.width) * x_ratio)))
    bottom = min(full.height, int(np.ceil((window.row_off + window.height) * y_ratio)))
    fine_window = Window(left, top, right - left, bottom - top)  # pyright: ignore[reportCallIssue]
    fine, fine_ok = _values(full, fine_window)
    coarse, coarse_ok = _values(small, window)
    size = (2 * int(np.ceil(1.5 * y_ratio)) + 1, 2 * int(np.ceil(1.5 * x_ratio)) + 1)
    low = ndimage.minimum_filter(np.where(fine_ok, fine, np.inf), size, mode="nearest")
    high = ndimage.maximum_filter(np.where(fine_ok, fine, -np.inf), size, mode="nearest")
    rows = ((np.arange(coarse.shape[0]) + window.row_off + 0.5) * y_ratio - top).astype(int)
    columns = ((np.arange(coarse.shape[1]) + window.col_off + 0.5) * x_ratio - left).astype(int)
    at = np.ix_(rows.clip(0, fine.shape[0] - 1), columns.clip(0, fine.shape[1] - 1))
    low, high = low[at], high[at]
    known = coarse_ok & np.isfinite(low)
    slack = SLACK * (high - low)[known] + _rounding(full)
    wrong = (coarse[known] < low[known] - slack) | (coarse[known] > high[known] + slack)
    return int(wrong.sum()), int(known.sum())


def _values(dataset: DatasetReader, window: Window) -> tuple[Array, Array]:
    pixels = dataset.read(1, window=window)
    values = (np.abs(pixels) if np.iscomplexobj(pixels) else pixels).astype(float)
    return values, (dataset.read_masks(1, window=window) > 0) & np.isfinite(values)


def _rounding(dataset: DatasetReader) -> float:
    """A step of integers; lossy codecs err by some more."""
    lossy = str(dataset.profile.get("compress", "")).lower() in ("jpeg", "webp", "lerc", "jxl")
    return (8.0 if lossy else 1.0) if np.issubdtype(dataset.dtypes[0], np.integer) else 1e-6
