"""What changes from year to year: pieces of land of 20 to 200 pixels whose use becomes another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from geolab.town.model import Floats
from geolab.town.satellite.area import GSD_M, Area, Cell, to_local
from geolab.town.satellite.built import halls, homes, trees
from geolab.town.satellite.landscape import Land, Shapes, Things

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

LEAST_M2, MOST_M2 = 2_600.0, 16_000.0
FIELDS = ("meadow", "grain", "maize", "beet", "rape")
WOODS = ("conifer", "mixed", "broadleaf")
ON_FIELDS = ("homes", "works", "quarry", "solar", "removed")


@dataclass(frozen=True)
class Site:
    """A piece of land whose use changes between two summers, for good.

    kind: homes, works, quarry, solar (all new, on fields), removed (works that go), clearing (of a wood).
    year: the first with the new use. before, after: what is painted there.
    """

    kind: str
    year: int
    cell: str
    outline: Floats
    before: tuple[tuple[Floats, int], ...]
    after: tuple[tuple[Floats, int], ...]


def choose(land: Land, area: Area, years: range) -> list[Site]:
    """One to three sites a cell for every pair of years, no two on the same block."""
    from shapely import Polygon, union_all

    sites: list[Site] = []
    taken: set[int] = set()
    water = union_all([Polygon(outline).buffer(GSD_M) for outline in land.water])
    for cell in area.cells:
        near = _within(land, cell)
        for year in years[1:]:
            for _ in range(int(land.rng.choice([1, 2, 3], p=[0.3, 0.45, 0.25]))):
                site = _site(land, cell, year, near, taken, water)
                sites += [site] if site else []
    return sites


def _within(land: Land, cell: Cell) -> list[int]:
    """Blocks whose middle lies in a cell, in an order by chance."""
    from shapely import Polygon, contains, points

    ground = Polygon(to_local(cell.window.epsg, cell.window.outline())).buffer(-GSD_M)
    middles = np.array([block.outline.mean(axis=0) for block in land.blocks])
    usable = np.array([block.use in FIELDS + WOODS for block in land.blocks])
    found = np.flatnonzero(contains(ground, points(middles)) & usable)
    return [int(n) for n in land.rng.permutation(found)]


def _site(
    land: Land, cell: Cell, year: int, near: list[int], taken: set[int], water: BaseGeometry
) -> Site | None:
    """The first block that is left on which a site has room."""
    for number in (n for n in near if n not in taken):
        block = land.blocks[number]
        outline = None if _wet(block.outline, water) else _piece(land.rng, block.outline)
        if outline is not None:
            taken.add(number)
            kind = "clearing" if block.use in WOODS else str(land.rng.choice(ON_FIELDS, p=_SHARES))
            before, after = _contents(land, kind, outline)
            return Site(kind, year, cell.id, outline, tuple(before), tuple(after))
    return None


def _wet(outline: Floats, water: BaseGeometry) -> bool:
    from shapely import Polygon

    return Polygon(outline).intersects(water)


_SHARES = [0.28, 0.3, 0.14, 0.1, 0.18]


def _contents(land: Land, kind: str, outline: Floats) -> tuple[Shapes, Shapes]:
    """What is painted on a site before and after; nothing before means that the block shows."""
    things: Things = land.things
    tint = land.rng.uniform(0.92, 1.08) * np.ones(5)
    if kind == "homes":
        ground = (outline, things.add("garden", tint))
        return [], [ground, *homes(land, outline), *trees(land, outline, 0.0008)]
    if kind == "works":
        return [], [(outline, things.add("paved", tint)), *halls(land, outline)]
    if kind == "removed":
        works = [(outline, things.add("paved", tint)), *halls(land, outline)]
        return works, [(outline, land.things.add("meadow", tint))]
    return [], [(outline, things.add(kind, tint))]


def _piece(rng: np.random.Generator, outline: Floats) -> Floats | None:
    """A part of a block, cut off across its longest side, of an area by chance; None if it has no room."""
    from shapely import Polygon, get_coordinates, minimum_rotated_rectangle
    from shapely.affinity import rotate

    block = Polygon(outline).buffer(-9, join_style="mitre")
    if block.is_empty or block.geom_type != "Polygon" or block.area < LEAST_M2 * 1.1:
        return None
    wanted = float(np.exp(rng.uniform(np.log(LEAST_M2), np.log(min(MOST_M2, 0.9 * block.area)))))
    box = get_coordinates(minimum_rotated_rectangle(block))
    sides = np.diff(box[:3], axis=0)
    side = sides[np.argmax((sides**2).sum(axis=1))]
    turn = float(np.degrees(np.arctan2(side[1], side[0]))) + (180 if rng.random() < 0.5 else 0)
    part = rotate(_cut(rotate(block, -turn, origin=(0, 0)), wanted), turn, origin=(0, 0))
    if part.geom_type != "Polygon" or part.area / part.length < 8:  # a splinter would not be seen
        return None
    return get_coordinates(part)[:-1]


def _cut(block, wanted: float):
    """The western part of a polygon with an area, found by halving."""
    from shapely import box

    west, south, east, north = block.bounds
    low, high = west, east
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (low, middle) if block.intersection(box(west, south, middle, north)).area > wanted else (
            middle, high)  # fmt: skip
    return block.intersection(box(west, south, (low + high) / 2, north))
