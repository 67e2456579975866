"""Otsu's threshold, exact on real values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

from geolab.errors import BadInput

Array = NDArray[Any]


def otsu(values: Array) -> float:
    """The threshold that splits values into two classes with the largest variance between them.

    values: any shape; NaN is left out. The upper class is `values >= threshold`; the threshold
    lies half-way between the classes, or is the value itself where all values are the same.
    Every split between neighbouring values is tried, not a histogram's: one outlier does not
    coarsen it. Raises BadInput where no value is finite. Otsu (1979).
    """
    ordered = np.sort(values[np.isfinite(values)], axis=None).astype(np.float64)
    if ordered.size == 0:
        raise BadInput("threshold", found="no valid pixel", expected="at least one")
    if ordered[0] == ordered[-1]:
        return float(ordered[0])
    splits = np.flatnonzero(ordered[1:] > ordered[:-1]) + 1  # first index of the upper class
    total, below = ordered.size, np.cumsum(ordered)
    apart = below[splits - 1] / splits - (below[-1] - below[splits - 1]) / (total - splits)
    between = splits * (total - splits) * apart**2
    best = splits[int(between.argmax())]
    return float((ordered[best - 1] + ordered[best]) / 2)


ONE_BELL = 0.7  # share of the variance that a split explains; halves of a normal distribution: 2 / pi
NEAR_MEDIAN = (0.8, 1.4)  # where, in medians, a threshold halves one bell instead of cutting off another
FALSE_ALARM = 1e-6  # share of unchanged pixels that are taken for change where none can be told apart


def separating(values: Array, threshold: float, freedom: int) -> float:
    """The threshold, or a higher one where it splits a single class: a pair in which nothing changed.

    Otsu's threshold always finds two classes, in noise too: there it lies near the median and explains no
    more variance than any halving does. Then the unchanged pixels are taken to be all: the length of
    `freedom` independent normal differences, whose median is that of the values, and the threshold is
    exceeded by one in a million of them. values: any shape, NaN left out.
    """
    known = values[np.isfinite(values)].astype(np.float64)
    middle = float(np.median(known))
    if not NEAR_MEDIAN[0] * middle < threshold < NEAR_MEDIAN[1] * middle:
        return threshold
    upper = known >= threshold
    share = float(upper.mean())
    apart = known[upper].mean() - known[~upper].mean() if 0 < share < 1 else 0.0
    if share * (1 - share) * apart**2 >= ONE_BELL * known.var():
        return threshold
    rare, half = gammaincinv(freedom / 2, (1 - FALSE_ALARM, 0.5))
    return middle * float(np.sqrt(rare / half))
