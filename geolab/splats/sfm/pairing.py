"""Which photos may show the same ground."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from geolab.splats.frame import Frame
from geolab.splats.photo import Photo
from geolab.splats.sfm.database import Pair
from geolab.splats.views import Floats, View

Indices = NDArray[np.int64]

ALL_PAIRS_UP_TO = 30  # photos; beyond, each is matched with its nearest
NEAREST = 16
WIDEST_DEG = 70.0  # between the axes of two cameras; SIFT finds nothing in common beyond
ALL_PAIRS_WITHOUT_POSITIONS = 80  # photos; beyond, each is matched with those near it in the order of names
LONELY, LONELY_M = 20.0, 200.0  # times the usual distance to the next photo, and metres: GPS had no fix yet
ORDER = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 24, 32, 48, 64)


def enu(photos: Sequence[Photo]) -> tuple[Frame, Floats]:
    """A frame at the middle of the photos' positions, and these in it [N, 3]; NaN where there is none.

    A height that is not stated is taken as the others' median.
    """
    told = np.array([p.measured if p.measured is not None else (np.nan,) * 3 for p in photos], np.float64)
    lon, lat = np.nanmedian(told[:, 0]), np.nanmedian(told[:, 1])
    heights = told[:, 2][np.isfinite(told[:, 2])]
    height = float(np.median(heights)) if len(heights) else 0.0
    told[:, 2] = np.where(np.isfinite(told[:, 2]), told[:, 2], height)
    known = np.isfinite(told[:, 0])
    frame = Frame(float(lon), float(lat), height)
    places = np.full((len(photos), 3), np.nan)
    places[known] = frame.enu(told[known])
    return frame, places


def by_position(photos: dict[int, Photo]) -> list[Pair]:
    """Each photo with the NEAREST of it on the ground; one without a position, or far off, with all."""
    ids = sorted(photos)
    _, places = enu([photos[n] for n in ids])
    places[_lonely(places)] = np.nan
    known = np.flatnonzero(np.isfinite(places[:, 0]))
    pairs = {(a, b) for i in range(len(ids)) if i not in set(known) for b in range(len(ids)) if (a := i) != b}
    tree = KDTree(places[known, :2])
    near = np.atleast_2d(tree.query(places[known, :2], k=min(NEAREST + 1, len(known)))[1])
    pairs |= {(int(known[i]), int(known[j])) for i, row in enumerate(near) for j in row if i != j}
    return _ordered(ids, pairs)


def _lonely(places: Floats) -> Indices:
    """The places [N, 3] so much farther from any other than is usual here that they must be mistakes."""
    known = np.flatnonzero(np.isfinite(places[:, 0]))
    apart = KDTree(places[known, :2]).query(places[known, :2], k=2)[0][:, 1]
    return known[apart > np.maximum(LONELY * np.median(apart), LONELY_M)]


def by_order(ids: Sequence[int]) -> list[Pair]:
    """Each photo with some that follow it, the sparser the farther."""
    n = len(ids)
    return _ordered(ids, {(i, i + step) for step in ORDER for i in range(n - step)})


def every(ids: Sequence[int]) -> list[Pair]:
    """Each photo with each other."""
    return [(a, b) for i, a in enumerate(ids) for b in ids[i + 1 :]]


def _ordered(ids: Sequence[int], pairs: set[tuple[int, int]]) -> list[Pair]:
    return sorted({(ids[min(p)], ids[max(p)]) for p in pairs})


def by_pose(views: dict[int, View]) -> list[Pair]:
    """The pairs of posed views that may see the same: axes less than WIDEST_DEG apart, and near each other.

    Up to ALL_PAIRS_UP_TO views distance does not matter; beyond, each has its NEAREST.
    """
    ids = sorted(views)
    centres = np.stack([views[n].camera.position for n in ids])
    axes = np.stack([views[n].camera.world_to_camera[2, :3] for n in ids])
    facing = axes @ axes.T > np.cos(np.radians(WIDEST_DEG))
    np.fill_diagonal(facing, False)
    chosen = facing if len(ids) <= ALL_PAIRS_UP_TO else facing & _nearest(centres, facing)
    return [(ids[i], ids[j]) for i, j in zip(*np.nonzero(np.triu(chosen | chosen.T)), strict=True)]


def _nearest(centres: Floats, allowed: np.ndarray) -> np.ndarray:
    """[V, V] whether the second is one of the NEAREST allowed ones of the first."""
    distance = np.linalg.norm(centres[:, None] - centres[None], axis=2)
    distance[~allowed] = np.inf
    rank = distance.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    return rank < NEAREST
