"""Otsu's threshold, exact on real values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

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
