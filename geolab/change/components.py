"""Connected patches of a mask, found strip by strip.

A patch is a 4-connected set of changed pixels. Strips are labelled and outlined one at a time;
patches that reach over a seam are joined, so the strips leave no trace, and only patches that
still touch the last row are kept in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio import Affine, features
from scipy import ndimage, sparse

Array = NDArray[Any]

LARGEST_VERTICES = 250_000  # an outline longer than this is cut at the next seam: memory stays bounded


@dataclass(frozen=True)
class Strip:
    """Whole rows of a scene: `changed` [y, x] bool and `level` [y, x], the stored probability."""

    top: int
    changed: Array
    level: Array


@dataclass(frozen=True)
class Patches:
    """N patches. Outlines are in pixels (x to the right, y down, from the scene's corner)."""

    outlines: Array  # [N] shapely Polygons
    pixels: Array  # [N] int64
    level_sum: Array  # [N] float64
    level_max: Array  # [N] float64
    area: Array  # [N] float64, in the unit of the row areas

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, which: Array) -> Patches:
        """The patches at some places."""
        return Patches(*(getattr(self, name)[which] for name in self.__dataclass_fields__))

    @staticmethod
    def concatenate(parts: list[Patches]) -> Patches:
        """All patches of the parts, in order."""
        names = Patches.__dataclass_fields__
        return Patches(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))


@dataclass
class _Open:
    """A patch that touches the last row seen: its pieces so far and their figures."""

    pieces: list[shapely.Polygon] = field(default_factory=list)
    pixels: int = 0
    level_sum: float = 0.0
    level_max: float = 0.0
    area: float = 0.0
    vertices: int = 0

    def add(self, patches: Patches, i: int) -> None:
        self.pieces.append(patches.outlines[i])
        self.pixels += int(patches.pixels[i])
        self.level_sum += float(patches.level_sum[i])
        self.level_max = max(self.level_max, float(patches.level_max[i]))
        self.area += float(patches.area[i])
        self.vertices += int(shapely.get_num_coordinates(patches.outlines[i]))

    def merge(self, other: _Open) -> None:
        self.pieces += other.pieces
        self.pixels += other.pixels
        self.level_sum += other.level_sum
        self.level_max = max(self.level_max, other.level_max)
        self.area += other.area
        self.vertices += other.vertices


def patches(strips: Iterable[Strip], row_areas: Array) -> Iterator[Patches]:
    """All patches of a scene, in parts.

    strips: the rows from the top, without gaps, all of one width. row_areas: [y], of one pixel.
    An outline of more than 250,000 vertices is cut where strips meet; the parts are patches of
    their own, so that sums over all patches stay true.
    """
    opened: list[_Open] = []
    above = np.zeros(0, np.intp)
    for strip in strips:
        if not opened and not strip.changed.any():
            above = np.zeros(strip.changed.shape[1], np.intp)
            continue
        labels, found = _outlined(strip, row_areas)
        inner, opened, above, closed = _join(labels, found, opened, above)
        yield found.take(inner)
        if closed:
            yield _dissolved(closed)
    closed = [one for one in opened if one.pieces]
    if closed:
        yield _dissolved(closed)


def _outlined(strip: Strip, row_areas: Array) -> tuple[Array, Patches]:
    """Labels 1..N [y, x] of a strip (0: no change) and its patches, as if nothing lay outside."""
    labels, count = cast(tuple[Array, int], ndimage.label(strip.changed))
    places = np.flatnonzero(strip.changed)
    which = labels.ravel()[places] - 1
    rows, cols = np.divmod(places, labels.shape[1])
    level = strip.level.ravel()[places]
    pixels = np.bincount(which, minlength=count)
    left, right, peak = np.full(count, labels.shape[1]), np.zeros(count, np.intp), np.zeros(count)
    np.minimum.at(left, which, cols)
    np.maximum.at(right, which, cols + 1)
    np.maximum.at(peak, which, level)
    top, bottom = np.zeros(count, np.intp), np.zeros(count, np.intp)
    top[which[::-1]], bottom[which] = rows[::-1], rows + 1  # places run downwards: the last write wins
    return labels, Patches(
        outlines=_outlines(labels, strip.top, pixels, (left, top, right, bottom)),
        pixels=pixels,
        level_sum=np.bincount(which, level, count),
        level_max=peak,
        area=np.bincount(which, row_areas[strip.top + rows], count),
    )


def _outlines(labels: Array, offset: int, pixels: Array, box: tuple[Array, Array, Array, Array]) -> Array:
    """The polygon of each label. Most patches of a noisy mask are rectangles, which cost nothing."""
    left, top, right, bottom = box
    outlines = shapely.box(left, top + offset, right, bottom + offset)
    odd = (right - left) * (bottom - top) != pixels
    if odd.any():
        kept = np.concatenate([[0], np.where(odd, np.arange(1, len(pixels) + 1), 0)]).astype(np.int32)[labels]
        move = Affine.translation(0, offset)
        for shape, label in features.shapes(kept, mask=kept > 0, connectivity=4, transform=move):
            outlines[int(label) - 1] = shapely.Polygon(shape["coordinates"][0], shape["coordinates"][1:])
    return outlines


def _join(
    labels: Array, found: Patches, opened: list[_Open], above: Array
) -> tuple[Array, list[_Open], Array, list[_Open]]:
    """Places of patches that touch no seam, patches now open, which of them lies on each pixel of
    the last row (from 1; 0: none), and patches that were open and are complete."""
    group = _groups(labels[0], len(found), above, len(opened))
    of_open, of_label = group[: len(opened)], group[len(opened) :]
    last = labels[-1][labels[-1] > 0] - 1
    at_seam = np.isin(of_label, np.union1d(of_open, of_label[last]))
    merged: dict[int, _Open] = {}
    for one, g in zip(opened, of_open, strict=True):
        merged.setdefault(int(g), _Open()).merge(one)
    for i in np.flatnonzero(at_seam).tolist():
        merged.setdefault(int(of_label[i]), _Open()).add(found, i)
    stay = np.unique(of_label[last])
    closed = [one for g, one in merged.items() if g not in set(stay.tolist()) and one.pieces]
    still: list[_Open] = []
    for g in stay.tolist():
        if merged[g].vertices > LARGEST_VERTICES:
            closed.append(merged[g])
            merged[g] = _Open()
        still.append(merged[g])
    next_above = np.zeros(labels.shape[1], np.intp)
    next_above[labels[-1] > 0] = np.searchsorted(stay, of_label[last]) + 1
    return np.flatnonzero(~at_seam), still, next_above, closed


def _groups(first_row: Array, count: int, above: Array, opened: int) -> Array:
    """[opened + count]: the group of each open patch and of each label; touching ones share it."""
    if not opened:
        return np.arange(count)
    touch = (above > 0) & (first_row > 0)
    nodes = opened + count
    links = sparse.coo_array(
        (np.ones(int(touch.sum()), bool), (above[touch] - 1, opened + first_row[touch] - 1)), (nodes, nodes)
    )
    return sparse.csgraph.connected_components(links, directed=False)[1]


def _dissolved(closed: list[_Open]) -> Patches:
    outlines = np.array([shapely.union_all(one.pieces) for one in closed], dtype=object)
    return Patches(
        # rings then begin at a true corner, and the points that seams left on straight edges go
        outlines=shapely.simplify(shapely.normalize(outlines), 0, preserve_topology=False),
        pixels=np.array([one.pixels for one in closed]),
        level_sum=np.array([one.level_sum for one in closed]),
        level_max=np.array([one.level_max for one in closed]),
        area=np.array([one.area for one in closed]),
    )
