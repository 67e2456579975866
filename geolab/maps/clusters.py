"""Very many points as few: those that would touch each other on the screen become one with a number.

A grid that is fixed to the world gathers them, so that a map that moves keeps its dots; dots of
neighbouring cells that would still overlap are joined. All in NumPy, anew for every view.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

CELL_PX = 64  # side of the cells that gather points, pixels of the screen
APART_PX = 44  # dots nearer than this become one
MARGIN = 0.4  # of the view's size on each side: a map that is dragged finds its dots there

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class View:
    """What a map shows: degrees, zoom of Web Mercator, size in pixels. East may be beyond 180."""

    west: float
    south: float
    east: float
    north: float
    zoom: float
    width: float = 860
    height: float = 520

    @property
    def box(self) -> tuple[float, float, float, float]:
        return self.west, self.south, self.east, self.north

    def wider(self, share: float) -> View:
        """The view with this share of its size more on each side."""
        x, y = (self.east - self.west) * share, (self.north - self.south) * share
        box = self.west - x, max(self.south - y, -90.0), self.east + x, min(self.north + y, 90.0)
        return View(*box, self.zoom, self.width, self.height)


@dataclass(frozen=True)
class Clusters:
    """Dots [M]. places: [M, 2] longitude, latitude; counts; firsts: the row of one of its points, the
    first of them; members: of each point that was gathered (rows), the dot it belongs to.
    """

    places: Floats
    counts: NDArray[np.intp]
    firsts: NDArray[np.intp]
    rows: NDArray[np.intp]
    members: NDArray[np.intp]

    def of(self, dot: int) -> NDArray[np.intp]:
        """The rows of all points of a dot."""
        return self.rows[self.members == dot]


def pixels(points: Floats, zoom: float) -> Floats:
    """[N, 2] longitude, latitude as x, y of Web Mercator at the zoom; y grows to the south."""
    side = 256.0 * 2.0**zoom
    latitude = np.radians(np.clip(points[:, 1], -85.05, 85.05))
    y = 0.5 - np.arcsinh(np.tan(latitude)) / (2 * np.pi)
    return np.column_stack([(points[:, 0] + 180.0) / 360.0, y]) * side


def degrees(xy: Floats, zoom: float) -> Floats:
    """[N, 2] x, y of Web Mercator at the zoom as longitude, latitude."""
    share = xy / (256.0 * 2.0**zoom)
    latitude = np.degrees(np.arctan(np.sinh((0.5 - share[:, 1]) * 2 * np.pi)))
    return np.column_stack([share[:, 0] * 360.0 - 180.0, latitude])


def clusters(points: Floats, view: View, *, rows: NDArray[np.intp] | None = None) -> Clusters:
    """The dots of the points in view and a little around it.

    points: [N, 2] longitude, latitude in degrees. rows: which of them count; all if it is not given.
    """
    chosen = np.arange(len(points)) if rows is None else rows
    near = points[chosen].copy()
    near[:, 0] += 360.0 * np.round(((view.west + view.east) / 2 - near[:, 0]) / 360.0)
    xy = pixels(near, view.zoom)
    corners = pixels(np.array([view.wider(MARGIN).box]).reshape(2, 2), view.zoom)
    low = np.floor(corners.min(axis=0) / CELL_PX)
    high = np.floor(corners.max(axis=0) / CELL_PX)
    cell = np.floor(xy / CELL_PX)
    inside = ((cell >= low) & (cell <= high)).all(axis=1)
    return _gathered(xy[inside], (cell[inside] - low).astype(np.int64), chosen[inside], view.zoom)


def _gathered(xy: Floats, cell: NDArray[np.int64], rows: NDArray[np.intp], zoom: float) -> Clusters:
    if not len(rows):
        none = np.empty(0, np.intp)
        return Clusters(np.empty((0, 2)), none, none, none, none)
    wide = int(cell[:, 0].max()) + 1
    members = _numbered(cell[:, 1] * wide + cell[:, 0])
    members = _numbered(_joined(*_middles(xy, members))[members])
    middle, counts = _middles(xy, members)
    firsts = np.empty(len(counts), np.intp)
    firsts[members[::-1]] = rows[::-1]  # what is written last stays: the first row of each
    return Clusters(degrees(middle, zoom), counts, firsts, rows, members)


def _numbered(labels: NDArray[np.int64]) -> NDArray[np.intp]:
    """The labels, which are small, as 0, 1, 2, ... without gaps; np.unique would sort all points."""
    used = np.bincount(labels) > 0
    return (np.cumsum(used) - 1)[labels]


def _middles(xy: Floats, members: NDArray[np.intp]) -> tuple[Floats, NDArray[np.intp]]:
    counts = np.bincount(members)
    sums = [np.bincount(members, weights=xy[:, axis]) for axis in (0, 1)]
    return np.column_stack(sums) / counts[:, None], counts


def _joined(middle: Floats, counts: NDArray[np.intp]) -> NDArray[np.intp]:
    """For each dot the one it becomes part of: the largest within reach that is not part of another."""
    becomes = np.full(len(middle), -1)
    around = KDTree(middle).query_ball_point(middle, APART_PX)
    for dot in np.argsort(-counts, kind="stable"):
        if becomes[dot] < 0:
            free = [other for other in around[dot] if becomes[other] < 0]
            becomes[free] = dot
    return becomes
