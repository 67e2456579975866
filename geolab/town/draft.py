"""A world while it is being laid out: what the rooms of the layout share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from geolab.town import looks, lots, plants, streets, terrain
from geolab.town.model import MARGIN_M, Area, Building, Floats

STEP_M = 7.0  # streets and block edges are bent in pieces of this length


@dataclass
class Draft:
    """A world while it is being laid out."""

    rng: np.random.Generator
    width_m: float
    height_m: float
    terrain: Floats
    river: terrain.River
    bend: streets.Bend
    centres: Floats  # [K, 3] x, y, radius of built-up land
    occupancy: lots.Occupancy
    rate: plants.Rate
    blocks: list[Area] = field(default_factory=list)
    patches: list[Area] = field(default_factory=list)  # lots, parks, ponds: over the blocks, under streets
    paths: list[Area] = field(default_factory=list)  # streets, drives, car parks
    buildings: list[Building] = field(default_factory=list)
    spots: list[tuple[float, ...]] = field(default_factory=list)  # x, y, angle, share taken before, after
    hedges: list[tuple[float, ...]] = field(default_factory=list)  # as in World.hedges
    street_trees: list[tuple[float, float]] = field(default_factory=list)

    def density(self, point: Floats) -> float:
        """How built-up a place is: above 0 town, above 0.6 its core."""
        away = np.hypot(self.centres[:, 0] - point[0], self.centres[:, 1] - point[1])
        return float((1 - away / self.centres[:, 2]).max())

    def reaches(self, points: Floats) -> bool:
        """Whether the box around layout points comes near the world and its margin."""
        rim = MARGIN_M + 40  # the bend moves a point by less
        low, high = points.min(axis=0), points.max(axis=0)
        return bool((low < [self.width_m + rim, self.height_m + rim]).all() and (high > -rim).all())

    def spot(
        self, place: Floats, angle: float, share: float, present: tuple[bool, bool] = (True, True)
    ) -> None:
        """Add a place where a car stands with a probability, on the dates when the place exists."""
        before, after = (share * here for here in present)
        self.spots.append((float(place[0]), float(place[1]), angle, before, after))

    def patch(
        self, target: list[Area], polygon: Floats, present: tuple[bool, bool] = (True, True), **look: Any
    ):
        """Add a ground polygon given in world coordinates."""
        row = looks.ground(**look)
        target.append(Area(polygon, int(row[looks.KIND]), (row, row), present))


def bent(draft: Draft, polygon: Floats) -> Floats:
    """A layout polygon [N, 2] in the world, its edges cut into short pieces first."""
    pieces = []
    for a, b in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        n = int(np.hypot(*(b - a)) / STEP_M) + 1
        pieces.append(a + (b - a) * np.arange(n)[:, None] / n)
    return draft.bend(np.concatenate(pieces))


def strip(start: Floats, end: Floats, half_width: float, overlap: float = 0.0) -> Floats:
    """The rectangle [4, 2] along a line."""
    along = (end - start) / max(float(np.hypot(*(end - start))), 1e-9)
    side = np.array([-along[1], along[0]]) * half_width
    a, b = start - along * overlap, end + along * overlap
    return np.stack([a - side, b - side, b + side, a + side])
