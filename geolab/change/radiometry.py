"""Relative radiometric normalisation: after as if seen with before's light and sensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geolab.change import classic, irmad
from geolab.errors import BadInput

Array = NDArray[Any]
Float = NDArray[np.float64]

NO_CHANGE = 0.95  # chance of no change that makes a pixel pseudo-invariant
MIN_PIXELS = 100


@dataclass(frozen=True, eq=False)
class Normalisation:
    """One straight line per band that turns `after` into the radiometry of `before`.

    gain, offset, rmse: [band]; rmse in units of `before`, over the pseudo-invariant pixels.
    pixels: how many of those there were.
    """

    gain: Float
    offset: Float
    rmse: Float
    pixels: int

    def apply(self, after: Array) -> NDArray[np.float32]:
        """gain * after + offset, [band, y, x] float32; NaN stays NaN.

        Not clipped: clipping would make change at the ends of the range.
        Raises BadInput for another number of bands.
        """
        if after.shape[0] != len(self.gain):
            raise BadInput("image", found=f"{after.shape[0]} bands", expected=f"{len(self.gain)} as fitted")
        line = (-1, *[1] * (after.ndim - 1))
        return (after * self.gain.reshape(line) + self.offset.reshape(line)).astype(np.float32)


def fit(
    before: Array, after: Array, *, no_change: float = NO_CHANGE, min_pixels: int = MIN_PIXELS
) -> Normalisation:
    """The lines through pixels that did not change, found by IR-MAD.

    before, after: [band, y, x], NaN where invalid; a sample of the scene is enough.
    no_change: least chance of no change of a pseudo-invariant pixel.
    Raises BadInput for unlike shapes, fewer than min_pixels pseudo-invariant pixels, or a band
    in which they show no common contrast. Canty & Nielsen (2008).
    """
    early, late = classic.valid_pixels(classic.checked([(before, after)]))
    if early.shape[1] < min_pixels:
        raise _too_few(early.shape[1], min_pixels, kind="valid")
    chance = irmad.fit(early, late).no_change(early, late)
    invariant = chance >= no_change
    pixels = int(np.count_nonzero(invariant))
    if pixels < min_pixels:
        raise _too_few(pixels, min_pixels, kind="pseudo-invariant")
    lines = [_line(late[k, invariant], early[k, invariant], band=k) for k in range(len(early))]
    gain, offset, rmse = np.array(lines).T
    return Normalisation(gain, offset, rmse, pixels)


def _line(after: Array, before: Array, *, band: int) -> tuple[float, float, float]:
    """Gain, offset and RMSE of the orthogonal regression of before on after.

    Both dates are noisy, so that the distance to the line counts, not that along one axis:
    ordinary regression would always find too small a gain.
    """
    x, y = after.astype(np.float64), before.astype(np.float64)
    (var_x, covariance), (_, var_y) = np.cov(x, y)
    if covariance <= 0:
        raise BadInput(
            f"radiometric normalisation, band {band + 1}",
            found="no common contrast in the pixels without change",
            expected="pixels that are bright at both dates and dark at both",
            remedy="leave the band out, or the normalisation",
        )
    apart = var_y - var_x
    gain = (apart + np.hypot(apart, 2 * covariance)) / (2 * covariance)
    offset = y.mean() - gain * x.mean()
    return gain, offset, float(np.sqrt(np.mean((gain * x + offset - y) ** 2)))


def _too_few(found: int, expected: int, *, kind: str) -> BadInput:
    return BadInput(
        "radiometric normalisation",
        found=f"{found} {kind} pixels",
        expected=f"at least {expected}",
        remedy="give a larger sample, or leave the normalisation out",
    )
