"""Change vector analysis: the length of the spectral change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Cva:
    """Change vector analysis with one fixed scaling of every band for both dates.

    scale: [band], units of the image; 0 leaves a band out.
    """

    scale: NDArray[np.float64]
    halo_px: int = 0

    def statistic(self, before: Array, after: Array) -> NDArray[np.float32]:
        """Length of the spectral change, [y, x], in standard deviations; NaN where invalid.

        before, after: [band, y, x]. Malila (1980).
        """
        total = np.zeros(before.shape[1:], np.float32)
        for early, late, scale in zip(before, after, self.scale, strict=True):
            if scale > 0:
                total += ((late - early) / np.float32(scale)) ** 2
            else:  # a band without any contrast still says where the image is invalid
                total += (late - early) * np.float32(0)
        return np.sqrt(total, out=total)


def fit(before: Array, after: Array) -> Cva:
    """The analysis scaled by each band's standard deviation over both dates together.

    before, after: [band, N] valid pixels. Pooling the dates keeps one scaling for both: a
    stretch of each image by itself would turn any change of contrast into change.
    """
    pooled = np.concatenate([before, after], axis=1, dtype=np.float64)
    return Cva(pooled.std(axis=1))
