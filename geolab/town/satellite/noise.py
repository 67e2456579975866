"""Smooth noise that has a place: the same everywhere for a seed and a number."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from geolab.town.model import Floats

REACH_M = 40_000.0


class Smooth:
    """Smooth noise of about -1..1 that varies over `wave_m`."""

    def __init__(self, seed: int, number: int, wave_m: float):
        from scipy.ndimage import spline_filter

        self.wave_m = wave_m
        self.count = int(2 * REACH_M / wave_m) if wave_m > 200 else 400
        knots = np.random.default_rng([seed, number]).uniform(-1, 1, (self.count, self.count))
        self.knots = spline_filter(knots, order=3, mode="grid-wrap")

    def __call__(self, points: Floats) -> Floats:
        """At points [..., 2] of the local frame."""
        from scipy.ndimage import map_coordinates

        at = np.stack([points[..., 1], points[..., 0]]) / self.wave_m + self.count / 2
        return map_coordinates(self.knots, at, order=3, mode="grid-wrap", prefilter=False)


@lru_cache(maxsize=40)
def smooth(seed: int, number: int, wave_m: float) -> Smooth:
    """The noise, which is kept for a while: granules of one day ask for the same."""
    return Smooth(seed, number, wave_m)
