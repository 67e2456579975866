"""Relief of a height model as light and shadow, for maps."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

AZIMUTH_DEG, ALTITUDE_DEG = 315.0, 45.0  # of the light: from the north-west, as maps have it
_RADIUS_M = 6378137.0


def shade(heights: NDArray[np.generic], valid: NDArray[np.bool_], pixel_m: float) -> NDArray[np.uint8]:
    """Brightness [y, x] of the ground, 0..255; level ground is 180.

    heights, valid: [y + 2, x + 2], rows from north to south, with a pixel of margin on each side. Where a
    neighbour is invalid the ground goes on level. pixel_m: of the ground. Slopes after Horn (1981).
    """
    middle = heights[1:-1, 1:-1].astype(np.float64)

    def at(row: int, column: int) -> Floats:
        rows, columns = heights.shape
        window = np.s_[row : rows - 2 + row, column : columns - 2 + column]
        return np.where(valid[window], heights[window], middle)

    east = at(0, 2) + 2 * at(1, 2) + at(2, 2) - at(0, 0) - 2 * at(1, 0) - at(2, 0)
    north = at(0, 0) + 2 * at(0, 1) + at(0, 2) - at(2, 0) - 2 * at(2, 1) - at(2, 2)
    slope_east, slope_north = east / (8 * pixel_m), north / (8 * pixel_m)
    azimuth, altitude = math.radians(AZIMUTH_DEG), math.radians(ALTITUDE_DEG)
    light = math.sin(altitude) - math.cos(altitude) * (
        math.sin(azimuth) * slope_east + math.cos(azimuth) * slope_north
    )
    bright = light / np.sqrt(1 + slope_east**2 + slope_north**2)
    return (np.clip(np.nan_to_num(bright), 0, 1) * 255 + 0.5).astype(np.uint8)


def ground_m(mercator_m: float, northing_m: float) -> float:
    """Metres on the ground of a length in Web Mercator at this northing."""
    return mercator_m / math.cosh(northing_m / _RADIUS_M)
