"""The ground's shape: hills from smooth noise, and a valley where a river runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates

from geolab.town.model import MARGIN_M, Floats

STEP_M = 2.0


@dataclass(frozen=True)
class River:
    """A meandering line: position along a direction, and a sum of two sines across it."""

    x: float
    y: float
    angle: float
    half_width_m: float
    bends: tuple[tuple[float, float, float], ...]  # amplitude m, wave number 1/m, phase

    def across(self, along: Floats) -> Floats:
        """Where the river's middle is, metres left of its axis."""
        return np.sum([a * np.sin(k * along + p) for a, k, p in self.bends], axis=0)

    def distance(self, x: Floats, y: Floats) -> Floats:
        """About how far points are from the river's middle, metres."""
        c, s = np.cos(self.angle), np.sin(self.angle)
        along = (x - self.x) * c + (y - self.y) * s
        return np.abs(-(x - self.x) * s + (y - self.y) * c - self.across(along))

    def polygon(self, reach_m: float) -> Floats:
        """The water's outline [N, 2] over `reach_m` metres both ways."""
        along = np.arange(-reach_m, reach_m + 1, 6.0)
        middle = self.across(along)
        width = self.half_width_m * (1 + 0.18 * np.sin(along / 31.0) + 0.1 * np.sin(along / 11.3 + 1))
        along, across = np.r_[along, along[::-1]], np.r_[middle - width, (middle + width)[::-1]]
        c, s = np.cos(self.angle), np.sin(self.angle)
        return np.stack([self.x + along * c - across * s, self.y + along * s + across * c], axis=1)


def make_river(rng: np.random.Generator, width_m: float, height_m: float) -> River:
    """A river that crosses the world off its middle."""
    angle = rng.uniform(0, np.pi)
    aside = rng.choice([-1, 1]) * rng.uniform(0.22, 0.42) * min(width_m, height_m)
    bends = ((rng.uniform(14, 30), 2 * np.pi / rng.uniform(260, 420), rng.uniform(0, 6.3)),
             (rng.uniform(4, 9), 2 * np.pi / rng.uniform(90, 150), rng.uniform(0, 6.3)))  # fmt: skip
    return River(
        width_m / 2 - aside * np.sin(angle),
        height_m / 2 + aside * np.cos(angle),
        angle,
        rng.uniform(7, 12),
        bends,
    )


def smooth_noise(rng: np.random.Generator, x: Floats, y: Floats, wave_m: float) -> Floats:
    """Noise of about -1..1 that varies over `wave_m`, at points within the world and its margin."""
    columns = int(np.ptp(x) / wave_m) + 5
    rows = int(np.ptp(y) / wave_m) + 5
    knots = rng.uniform(-1, 1, (rows, columns))
    at = np.stack([(y - y.min()) / wave_m + 1, (x - x.min()) / wave_m + 1])
    return map_coordinates(knots, at, order=3, mode="nearest")


def make_terrain(rng: np.random.Generator, width_m: float, height_m: float, river: River) -> Floats:
    """Heights [y, x] every STEP_M, row 0 in the south, rounded to 1/1024 m."""
    x = np.arange(-MARGIN_M, width_m + MARGIN_M + 2 * STEP_M, STEP_M)
    y = np.arange(-MARGIN_M, height_m + MARGIN_M + 2 * STEP_M, STEP_M)
    x, y = np.meshgrid(x, y)
    hills = 7 * smooth_noise(rng, x, y, 330.0) + 2 * smooth_noise(rng, x, y, 120.0)
    distance = river.distance(x, y)
    valley = np.clip(distance / 160.0, 0, 1)
    bank = np.clip((distance - river.half_width_m - 1) / 9.0, 0, 1)
    fall = 0.004 * ((x - river.x) * np.cos(river.angle) + (y - river.y) * np.sin(river.angle))
    ground = 560.0 + fall + (6 + hills) * valley**2 * (3 - 2 * valley) + 1.8 * bank**2 * (3 - 2 * bank)
    return np.round(ground * 1024) / 1024


def height_at(terrain: Floats, x: Floats, y: Floats) -> Floats:
    """Ground height at points, bilinear."""
    at = np.stack([(np.asarray(y) + MARGIN_M) / STEP_M, (np.asarray(x) + MARGIN_M) / STEP_M])
    return map_coordinates(terrain, at, order=1, mode="nearest")
