"""What is learnt from a pair before it is worked through: a sample of its pixels, and its shift."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from geolab import raster
from geolab.change import coregister
from geolab.change.coregister import Shift
from geolab.change.sources import Seen, read_pair
from geolab.change.windows import WHOLE_SAMPLE, sample
from geolab.errors import BadInput

Window = tuple[np.ndarray, np.ndarray]  # (before, after), [band, y, x] float32, NaN where invalid

SAMPLE_WINDOWS = 128  # at most so many, where most of a scene is nodata
SHIFT_WINDOWS, SHIFT_WINDOW_PX = 12, 256


def sample_of(before: raster.Info, after: raster.Info) -> list[Window]:
    """Windows of both dates [band, y, x] float32 that hold about a million pixels valid at both."""
    windows: list[Window] = []
    valid = 0
    for early, late in read_pair(before, after, sample(before.height, before.width)):
        both = _count_valid(early, late)
        if both:
            windows.append((early.floats(), late.floats()))
            valid += both
        if valid >= WHOLE_SAMPLE or len(windows) == SAMPLE_WINDOWS:
            break
    if not windows:
        raise no_overlap()
    return windows


def _count_valid(early: Seen, late: Seen) -> int:
    """Pixels that are valid at both dates."""
    valid = both(early.valid, late.valid)
    return int(early.values[0].size if valid is None else np.count_nonzero(valid))


def both(one: np.ndarray | None, two: np.ndarray | None) -> np.ndarray | None:
    """Where two masks [y, x] of valid pixels are True; None stands for True everywhere."""
    if one is None or two is None:
        return two if one is None else one
    return one & two


def no_overlap() -> BadInput:
    """The error of a pair without a pixel to compare."""
    return BadInput(
        "pair", found="no pixel that is valid at both dates",
        expected="images that overlap outside of their nodata",
    )  # fmt: skip


def shift_of(before: raster.Info, after: raster.Info) -> Shift:
    """The shift of the scene, from windows spread over it."""
    if before.height * before.width <= WHOLE_SAMPLE:
        ((early, late),) = read_pair(before, after, sample(before.height, before.width))
        return coregister.shift(early.floats(), late.floats())
    return coregister.of_windows(_shift_windows(before, after))


def _shift_windows(before: raster.Info, after: raster.Info) -> Iterator[Window]:
    given = 0
    for early, late in read_pair(before, after, sample(before.height, before.width, SHIFT_WINDOW_PX)):
        if _count_valid(early, late) >= coregister.MIN_VALID * early.values[0].size:
            yield early.floats(), late.floats()
            given += 1
        if given == SHIFT_WINDOWS:
            return
