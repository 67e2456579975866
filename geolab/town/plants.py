"""Trees: how many where, and each one's shape."""

from __future__ import annotations

import numpy as np
from skimage.draw import polygon2mask

from geolab.town.lots import Occupancy
from geolab.town.model import MARGIN_M, Floats

CELL_M = 4.0


class Rate:
    """Trees per square metre on a grid of CELL_M over the world and its margin."""

    def __init__(self, width_m: float, height_m: float):
        shape = (int((height_m + 2 * MARGIN_M) / CELL_M) + 1, int((width_m + 2 * MARGIN_M) / CELL_M) + 1)
        self.values = np.zeros(shape)

    def add(self, cells_1m: np.ndarray, value: float) -> None:
        """Raise the rate where a mask on the grid of square metres is true."""
        step = int(CELL_M)
        mask = cells_1m[::step, ::step][: self.values.shape[0], : self.values.shape[1]]
        part = self.values[: mask.shape[0], : mask.shape[1]]
        part[mask] = np.maximum(part[mask], value)

    def fill(self, polygon: Floats, value: float) -> None:
        """Set the rate within a world polygon [N, 2]."""
        at = (polygon[:, ::-1] + MARGIN_M) / CELL_M - 0.5
        low = np.maximum(np.floor(at.min(axis=0)).astype(int), 0)
        high = np.minimum(np.ceil(at.max(axis=0)).astype(int) + 1, self.values.shape)
        if (high <= low).any():
            return
        mask = polygon2mask(tuple(high - low), at - low)
        window = self.values[low[0] : high[0], low[1] : high[1]]
        window[mask] = np.maximum(window[mask], value)


def trees(rng: np.random.Generator, rate: Rate, occupancy: Occupancy, placed: Floats) -> Floats:
    """Trees [N, 8] where the rate wants them and nothing else stands; `placed` [M, 2] are wanted as well."""
    rows, columns = np.nonzero(rng.random(rate.values.shape) < rate.values * CELL_M**2)
    x = (columns + rng.uniform(0, 1, len(columns))) * CELL_M - MARGIN_M
    y = (rows + rng.uniform(0, 1, len(rows))) * CELL_M - MARGIN_M
    wood = rate.values[rows, columns] > 0.03
    x, y = np.r_[x, placed[:, 0]], np.r_[y, placed[:, 1]]
    wood = np.r_[wood, np.zeros(len(placed), bool)]
    n = len(x)
    radius = np.where(wood, rng.uniform(2.0, 4.2, n), rng.uniform(0.9, 4.0, n) ** 1.0)
    street = np.arange(n) >= n - len(placed)
    radius = np.where(street, rng.uniform(1.8, 3.0, n), radius)
    deciduous = (rng.random(n) < 0.78) * 1.0
    height = radius * np.where(deciduous > 0, rng.uniform(1.9, 2.7, n), rng.uniform(2.8, 3.8, n)) + 0.8
    radius = np.where(deciduous > 0, radius, radius * 0.75)
    phase = rng.uniform(0, 100, n)
    fate = rng.random(n)
    table = np.stack(
        [x, y, radius, height, deciduous, phase, (fate > 0.04) * 1.0, (fate < 0.95) * 1.0], axis=1
    )
    angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    clear = np.ones(n, bool)
    for share in (0.0, 0.5, 0.95):
        reach = radius * share
        at = occupancy.at(
            x[:, None] + reach[:, None] * np.cos(angle), y[:, None] + reach[:, None] * np.sin(angle)
        )
        hit = at >= 2 if share else at > 0
        clear &= ~(hit & ~((at == 1) & street[:, None])).any(axis=1) | (street & ~(at >= 2).any(axis=1))
    return table[clear]
