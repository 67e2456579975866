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

LARGEST_VERTICES = 100_000  # an outline longer than this is cut at the next seam: memory stays bounded
LARGEST_COUNTED_PX = 4096  # sizes above are not told apart when patches are counted


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


def smallest_px(strips: Iterable[Strip], most: int, *, share: float = 1.0) -> int:
    """The least size in pixels at which a scene has at most about `most` patches; 1 if it has no more.

    strips: this share of the scene, spread over it; enough for an estimate.
    """
    of_size = np.zeros(LARGEST_COUNTED_PX + 1)
    for strip in strips:
        labels, _ = cast(tuple[Array, int], ndimage.label(strip.changed))
        sizes = np.bincount(labels.ravel())[1:]
        of_size += np.bincount(np.minimum(sizes, LARGEST_COUNTED_PX), minlength=len(of_size))
    at_least = np.cumsum(of_size[::-1])[::-1] / share
    few = np.flatnonzero(at_least <= most)
    return max(1, int(few[0])) if len(few) else LARGEST_COUNTED_PX


def patches(strips: Iterable[Strip], row_areas: Array, *, smallest_px: int = 1) -> Iterator[Patches]:
    """All patches of a scene, in parts.

    strips: the rows from the top, without gaps, all of one width. row_areas: [y], of one pixel.
    An outline of more than 100,000 vertices is cut where strips meet; the parts are patches of
    their own, so that sums over all patches stay true. smallest_px: smaller patches are left out.
    """
    opened: list[_Open] = []
    above = np.zeros(0, np.intp)
    for strip in strips:
        if not opened and not strip.changed.any():
            above = np.zeros(strip.changed.shape[1], np.intp)
            continue
        labels, found = _outlined(strip, row_areas, smallest_px)
        inner, opened, above, closed = _join(labels, found, opened, above)
        yield found.take(inner[found.pixels[inner] >= smallest_px])
        yield from _dissolved(closed, smallest_px)
    yield from _dissolved(opened, smallest_px)


def _outlined(strip: Strip, row_areas: Array, smallest_px: int) -> tuple[Array, Patches]:
    """Labels 1..N [y, x] of a strip (0: no change) and its patches, as if nothing lay outside.

    Patches that are too small and touch no seam come with their box for an outline.
    """
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
    wanted = (pixels >= smallest_px) | (top == 0) | (bottom == labels.shape[0])
    odd = wanted & ((right - left) * (bottom - top) != pixels)
    boxes = shapely.box(left, top + strip.top, right, bottom + strip.top)
    return labels, Patches(
        outlines=_outlines(labels, odd, boxes, strip.top),
        pixels=pixels,
        level_sum=np.bincount(which, level, count),
        level_max=peak,
        area=np.bincount(which, row_areas[strip.top + rows], count),
    )


def _outlines(labels: Array, odd: Array, boxes: Array, offset: int) -> Array:
    """The polygon of each label: its box, but for odd ones. Most of a noisy mask is rectangles."""
    if odd.any():
        kept = np.concatenate([[0], np.where(odd, np.arange(1, len(odd) + 1), 0)]).astype(np.int32)[labels]
        move = Affine.translation(0, offset)
        for shape, label in features.shapes(kept, mask=kept > 0, connectivity=4, transform=move):
            boxes[int(label) - 1] = shapely.Polygon(shape["coordinates"][0], shape["coordinates"][1:])
    return boxes


def _join(
    labels: Array, found: Patches, opened: list[_Open], above: Array
) -> tuple[Array, list[_Open], Array, list[_Open]]:
    """Places of patches that are complete, patches now open, which of them lies on each pixel of the
    last row (from 1; 0: none), and patches that were open and are complete.

    A patch that is too long is complete: what touches it beyond the seam is another one.
    """
    huge = np.concatenate([[False], shapely.get_num_coordinates(found.outlines) > LARGEST_VERTICES])
    first_row, last_row = (np.where(huge[row], 0, row) for row in (labels[0], labels[-1]))
    group = _groups(first_row, len(found), above, len(opened))
    of_open, of_label = group[: len(opened)], group[len(opened) :]
    at_end = last_row > 0
    of_last = of_label[last_row[at_end] - 1]
    at_seam = np.isin(of_label, np.union1d(of_open, of_last))
    merged: dict[int, _Open] = {}
    for one, g in zip(opened, of_open, strict=True):
        merged.setdefault(int(g), _Open()).merge(one)
    for i in np.flatnonzero(at_seam).tolist():
        merged.setdefault(int(of_label[i]), _Open()).add(found, i)
    stay = np.array([g for g in np.unique(of_last) if merged[g].vertices <= LARGEST_VERTICES], np.intp)
    still = [merged.pop(g) for g in stay.tolist()]
    next_above = np.zeros(labels.shape[1], np.intp)
    next_above[at_end] = np.where(np.isin(of_last, stay), np.searchsorted(stay, of_last) + 1, 0)
    return np.flatnonzero(~at_seam), still, next_above, list(merged.values())


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


def _dissolved(closed: list[_Open], smallest_px: int) -> Iterator[Patches]:
    """The complete patches, of one outline each; nothing if there are none."""
    kept = [one for one in closed if one.pixels >= smallest_px]
    if kept:
        yield Patches(
            outlines=np.array([_union(one.pieces) for one in kept], dtype=object),
            pixels=np.array([one.pixels for one in kept]),
            level_sum=np.array([one.level_sum for one in kept]),
            level_max=np.array([one.level_max for one in kept]),
            area=np.array([one.area for one in kept]),
        )


def _union(pieces: list[shapely.Polygon]) -> shapely.Polygon:
    """The union of pieces that share edges, without the points that seams leave on straight edges."""
    if len(pieces) == 1:
        return pieces[0]
    joined = shapely.normalize(shapely.union_all(pieces))  # rings now begin at a true corner
    _, points, (rings, parts) = shapely.to_ragged_array([joined])
    before, after = np.roll(points, 1, axis=0), np.roll(points, -1, axis=0)
    straight = ((before == points) & (points == after)).any(axis=1)
    straight[rings[:-1]] = straight[rings[1:] - 1] = False
    left = np.concatenate([[0], np.cumsum(~straight)])
    kind = shapely.GeometryType.POLYGON
    return shapely.from_ragged_array(kind, points[~straight], (left[rings], parts))[0]
