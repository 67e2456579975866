"""Streets and the blocks between them: land split again and again, then bent a little."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from geolab.town.model import Floats

ROAD_HALF_WIDTHS_M = (4.4, 3.5, 2.7)  # main, collector, local
PAVEMENT_M = (1.9, 1.6, 1.2)


@dataclass(frozen=True)
class Street:
    """A straight cut in layout space; rank 0 main, 1 collector, 2 local, 3 field track."""

    start: tuple[float, float]
    end: tuple[float, float]
    rank: int


@dataclass(frozen=True)
class Block:
    """A convex polygon [N, 2] in layout space between streets, and the rank of the street at each edge."""

    polygon: Floats
    ranks: tuple[int, ...]

    @property
    def centre(self) -> Floats:
        return self.polygon.mean(axis=0)


def area(polygon: Floats) -> float:
    """The area of a polygon [N, 2]; positive when it runs anticlockwise."""
    x, y = polygon[:, 0], polygon[:, 1]
    return float(0.5 * np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))


@dataclass(frozen=True)
class Bend:
    """A smooth displacement of the plane that turns straight streets into gentle curves."""

    waves: Floats  # [K, 5]: wave vector x, y, phase, displacement x, y

    def __call__(self, points: Floats) -> Floats:
        """Points [N, 2] of the layout in the world."""
        phase = points @ self.waves[:, :2].T + self.waves[:, 2]
        return points + np.sin(phase) @ self.waves[:, 3:]

    def turn(self, point: Floats, angle: float) -> float:
        """The world's direction of a layout direction at a point, radians."""
        step = np.array([np.cos(angle), np.sin(angle)])
        a, b = self(np.stack([point - step, point + step]))
        return float(np.arctan2(b[1] - a[1], b[0] - a[0]))


def make_bend(rng: np.random.Generator) -> Bend:
    """Four waves of some 400 m; together they move a point by up to about 30 m."""
    direction = rng.uniform(0, 2 * np.pi, 4)
    number = 2 * np.pi / rng.uniform(340, 640, 4)
    push = rng.uniform(0, 2 * np.pi, 4)
    size = rng.uniform(7, 13, 4)
    columns = [number * np.cos(direction), number * np.sin(direction), rng.uniform(0, 6.3, 4),
               size * np.cos(push), size * np.sin(push)]  # fmt: skip
    return Bend(np.stack(columns, axis=1))


def _cut(block: Block, point: Floats, direction: Floats, rank: int) -> tuple[Block, Block, Street] | None:
    """The two halves of a block on the sides of a line, and the line within it."""
    p, n = block.polygon, len(block.polygon)
    side = (p - point) @ np.array([-direction[1], direction[0]])
    if np.abs(side).min() < 4.0:
        return None
    halves: tuple[list, list] = ([], [])
    chord = []
    for i in range(n):
        j = (i + 1) % n
        k = 0 if side[i] > 0 else 1
        halves[k].append((p[i], block.ranks[i]))
        if (side[i] > 0) != (side[j] > 0):
            crossing = p[i] + (p[j] - p[i]) * side[i] / (side[i] - side[j])
            halves[k].append((crossing, rank))
            halves[1 - k].append((crossing, block.ranks[i]))
            chord.append(tuple(float(v) for v in crossing))
    if len(chord) != 2:
        return None
    a, b = (Block(np.array([q for q, _ in half]), tuple(r for _, r in half)) for half in halves)
    return a, b, Street(chord[0], chord[1], rank)


def _split(rng: np.random.Generator, block: Block, rank: int) -> tuple[Block, Block, Street] | None:
    edges = np.roll(block.polygon, -1, axis=0) - block.polygon
    longest = edges[np.argmax((edges**2).sum(axis=1))]
    length = float(np.hypot(*longest))
    for _ in range(6):
        tilt = rng.normal(0, 0.07) + np.pi / 2
        c, s = np.cos(tilt), np.sin(tilt)
        direction = np.array([c * longest[0] - s * longest[1], s * longest[0] + c * longest[1]]) / length
        point = block.centre + longest / length * rng.uniform(-0.14, 0.14) * length
        halves = _cut(block, point, direction, rank)
        if halves and min(abs(area(h.polygon)) for h in halves[:2]) > 0.2 * abs(area(block.polygon)):
            return halves
    return None


def plan(
    rng: np.random.Generator,
    corners: Floats,
    block_m2: Callable[[Floats], float],
) -> tuple[list[Block], list[Street]]:
    """Blocks and streets that fill the convex polygon `corners` [N, 2], anticlockwise.

    block_m2: the size below which the block around a point is left whole.
    """
    waiting = [(Block(corners, (0,) * len(corners)), 0)]
    blocks, streets = [], []
    while waiting:
        block, depth = waiting.pop()
        size, wanted = abs(area(block.polygon)), block_m2(block.centre)
        rank = 0 if size > 110_000 and depth < 7 else 1 if size > 45_000 else 2
        if wanted > 15_000 and rank > 0:
            rank = 3
        halves = _split(rng, block, rank) if size > wanted * rng.uniform(0.9, 1.5) else None
        if halves is None:
            blocks.append(block)
            continue
        streets.append(halves[2])
        waiting += [(halves[1], depth + 1), (halves[0], depth + 1)]
    return blocks, sorted(streets, key=lambda s: -s.rank)
