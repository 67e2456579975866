"""The landscape: fields, woods, settlements, water and roads in one local frame, and what changes each year.

Things are polygons painted in order on a mosaic of SUB_M metres. A pixel of a satellite is the mixture of
the things it holds, so both zones see the same ground.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from affine import Affine
from rasterio.features import rasterize

from geolab.town import streets, terrain
from geolab.town.draft import STEP_M, strip
from geolab.town.model import Floats
from geolab.town.satellite import spectra

SUB_M = 2.5  # a quarter of a pixel
MARGIN_M = 60.0
FIELD_M2, BLOCK_M2 = 34_000, 7_500


@dataclass
class Things:
    """A table that grows: what each thing is, its tint, and for fields what grows there every year."""

    kinds: list[int] = field(default_factory=list)
    tints: list[Floats] = field(default_factory=list)

    def add(self, kind: str, tint: Floats) -> int:
        self.kinds.append(spectra.KINDS.index(kind))
        self.tints.append(tint)
        return len(self.kinds) - 1


@dataclass(frozen=True)
class Block:
    """Land between streets: its outline [N, 2] in the local frame, and what it is used for."""

    outline: Floats
    use: str
    thing: int


@dataclass
class Land:
    """Everything that stands before anything changes.

    shapes: (outline, thing) in the order of painting. woods hide tracks. above: water and roads hide all;
    water: the outlines of the former. Nothing changes on water and roads.
    """

    rng: np.random.Generator
    bounds: tuple[float, float, float, float]
    things: Things
    blocks: list[Block]
    shapes: list[tuple[Floats, int]] = field(default_factory=list)
    woods: list[tuple[Floats, int]] = field(default_factory=list)
    above: list[tuple[Floats, int]] = field(default_factory=list)
    water: list[Floats] = field(default_factory=list)

    @property
    def transform(self) -> Affine:
        return Affine(SUB_M, 0, self.bounds[0], 0, -SUB_M, self.bounds[3])

    @property
    def shape(self) -> tuple[int, int]:
        west, south, east, north = self.bounds
        return int(np.ceil((north - south) / SUB_M)), int(np.ceil((east - west) / SUB_M))


def make(seed: int, bounds: tuple[float, float, float, float]) -> Land:
    """The landscape of a seed around some bounds of the local frame."""
    rng = np.random.default_rng([seed, 71])
    west, south, east, north = bounds
    around = (west - MARGIN_M, south - MARGIN_M, east + MARGIN_M, north + MARGIN_M)
    land = Land(rng, around, Things(), [])
    towns, river = _towns(rng, around), _river(rng, around)
    bend = streets.make_bend(rng)
    blocks, ways = _plan(rng, around, towns)
    wooded = _wooded(seed, np.array([b.centre for b in blocks]), towns, river)
    for block, wood in zip(blocks, wooded, strict=True):
        outline = _bent(bend, block.polygon)
        if wood:
            _wood(land, outline, seed)
        else:
            _lay(land, outline, _density(towns, block.centre))
    _streets(land, bend, ways)
    _water(land, river)
    _lakes(land, towns, seed)
    return land


def _towns(rng: np.random.Generator, bounds: tuple[float, float, float, float]) -> Floats:
    """Settlements [K, 3]: x, y and radius, of which one for every 8 km2 or so."""
    west, south, east, north = bounds
    count = max(1, round((east - west) * (north - south) / 7.5e6))
    size = min(east - west, north - south)
    places: list[tuple[float, float, float]] = []
    for _ in range(200):
        x, y = rng.uniform(west + 0.12 * size, east - 0.12 * size), rng.uniform(south, north)
        radius = float(rng.uniform(0.4, 1.0) ** 1.5 * min(620, 0.4 * size)) + 60
        if all(np.hypot(x - a, y - b) > 1.3 * (radius + r) for a, b, r in places):
            places.append((x, y, radius))
        if len(places) == count:
            break
    return np.array(places)


def _river(rng: np.random.Generator, bounds: tuple[float, float, float, float]) -> terrain.River:
    """A river that crosses the land, some 40 m wide."""
    west, south, east, north = bounds
    x, y = (west + east) / 2, (south + north) / 2
    aside = rng.uniform(-0.25, 0.25) * (north - south)
    angle = float(rng.uniform(-0.5, 0.5))
    bends = (
        (float(rng.uniform(120, 190)), 2 * np.pi / rng.uniform(1500, 2300), float(rng.uniform(0, 6.3))),
        (float(rng.uniform(25, 50)), 2 * np.pi / rng.uniform(420, 700), float(rng.uniform(0, 6.3))),
    )
    return terrain.River(x, y + aside, angle, float(rng.uniform(16, 24)), bends)


def _density(towns: Floats, point: Floats) -> float:
    away = np.hypot(towns[:, 0] - point[0], towns[:, 1] - point[1])
    return float((1 - away / towns[:, 2]).max())


def _plan(
    rng: np.random.Generator, bounds: tuple[float, float, float, float], towns: Floats
) -> tuple[list[streets.Block], list[streets.Street]]:
    west, south, east, north = bounds
    rim = 60  # the bend moves the edge of the plan inwards
    corners = np.array([[west - rim, south - rim], [east + rim, south - rim], [east + rim, north + rim],
                        [west - rim, north + rim]])  # fmt: skip

    def wanted(point: Floats) -> float:
        return BLOCK_M2 if _density(towns, point) > 0 else FIELD_M2

    return streets.plan(rng, corners, wanted)


def _wooded(seed: int, centres: Floats, towns: Floats, river: terrain.River) -> list[bool]:
    """Whether each block is wood: a quarter of the land, in large patches away from towns and river."""
    noise = smooth(seed, 72, 1500.0)(centres) + 0.5 * smooth(seed, 73, 420.0)(centres)
    built = np.array([_density(towns, centre) for centre in centres])
    free = (built < -0.12) & (river.distance(centres[:, 0], centres[:, 1]) > 150)
    limit = np.quantile(noise, 0.70)
    return list((noise > limit) & free)


def _tint(rng: np.random.Generator, spread: float = 0.1) -> Floats:
    """A little brighter or darker, a little greener or redder [band]."""
    return rng.uniform(1 - spread, 1 + spread) * rng.uniform(1 - spread / 3, 1 + spread / 3, 5)


def _wood(land: Land, outline: Floats, seed: int) -> None:
    """A stand of one kind, which meets the next one without a gap and has a ragged edge."""
    from shapely import Polygon, get_coordinates, segmentize

    use = str(land.rng.choice(["conifer", "conifer", "mixed", "mixed", "broadleaf"]))
    thing = land.things.add(use, _tint(land.rng, 0.06))
    edge = get_coordinates(segmentize(Polygon(outline).buffer(5, join_style="mitre"), 8.0))[:-1]
    push = np.stack([smooth(seed, number, 45.0)(edge) for number in (77, 78)], axis=1)
    land.woods.append((edge + 9 * push, thing))
    land.blocks.append(Block(outline, use, thing))


def _lay(land: Land, outline: Floats, density: float) -> None:
    """Choose a use for a block without wood and lay it out."""
    rng = land.rng
    if density <= 0:
        use = "meadow" if rng.random() < 0.38 else str(rng.choice(spectra.CROPS, p=[0.42, 0.3, 0.14, 0.14]))
        _place(land, outline, use, use, _tint(rng))
    else:
        _settled(land, outline, density)


def _place(land: Land, outline: Floats, use: str, kind: str, tint: Floats) -> None:
    thing = land.things.add(kind, tint)
    land.blocks.append(Block(outline, use, thing))
    land.shapes.append((outline, thing))


def _settled(land: Land, outline: Floats, density: float) -> None:
    draw = land.rng.random()
    if draw < 0.06:
        _place(land, outline, "park", "meadow", _tint(land.rng, 0.05))
        land.shapes += trees(land, outline, 0.004)
    elif density < 0.4 and draw < 0.22:
        _place(land, outline, "works", "paved", _tint(land.rng))
        land.shapes += halls(land, outline)
    else:
        _place(land, outline, "homes", "garden", _tint(land.rng, 0.06))
        land.shapes += homes(land, outline, flats=density > 0.6) + trees(land, outline, 0.0022)


# ---------------------------------------------------------------- what stands on a piece of land


def homes(land: Land, outline: Floats, *, flats: bool = False) -> list[tuple[Floats, int]]:
    """Houses along the edges of a piece of land."""
    long, wide, apart = (22.0, 12.0, 32.0) if flats else (13.0, 9.5, 19.0)
    return _rows(land, outline, "house", long, wide, apart, setback=8.0 + wide / 2)


def halls(land: Land, outline: Floats) -> list[tuple[Floats, int]]:
    """Large flat roofs that leave a yard around them."""
    return _rows(land, outline, "hall", 46.0, 30.0, 58.0, setback=24.0, least=30.0)


def _rows(
    land: Land, outline: Floats, kind: str, long: float, wide: float, apart: float, *, setback: float,
    least: float = 14.0,
) -> list[tuple[Floats, int]]:  # fmt: skip
    """Buildings beside each edge of a convex outline, which are all inside of it and of no other."""
    from shapely import Polygon

    rng, ground = land.rng, Polygon(outline).buffer(-3)
    made: list[tuple[Floats, int]] = []
    stand: list[Polygon] = []
    for a, b in _edges(outline, least):
        along = (b - a) / np.hypot(*(b - a))
        inward = np.array([-along[1], along[0]])
        if not ground.contains(_point((a + b) / 2 + inward * 6)):
            inward = -inward
        for at in np.arange(apart / 2, np.hypot(*(b - a)), apart):
            size = long * rng.uniform(0.8, 1.15), wide * rng.uniform(0.85, 1.15)
            middle = a + along * at + inward * setback * rng.uniform(0.9, 1.15)
            body = strip(middle - along * size[0] / 2, middle + along * size[0] / 2, size[1] / 2)
            shape = Polygon(body)
            if rng.random() < 0.93 and ground.contains(shape) and not any(shape.intersects(s) for s in stand):
                stand.append(shape)
                made.append((body, land.things.add("roof", spectra.roof(rng, kind))))
    return made


def _point(place: Floats):
    from shapely import Point

    return Point(place)


def _edges(outline: Floats, least: float) -> list[tuple[Floats, Floats]]:
    """The straight sides of an outline, whose small bends are left out."""
    from shapely import Polygon, get_coordinates

    simple = get_coordinates(Polygon(outline).simplify(4.0))
    return [(a, b) for a, b in itertools.pairwise(simple) if np.hypot(*(b - a)) > least]


def trees(land: Land, outline: Floats, per_m2: float) -> list[tuple[Floats, int]]:
    """Crowns scattered over a piece of land; buildings are painted over by some."""
    low, high = outline.min(axis=0), outline.max(axis=0)
    count = int(land.rng.poisson(per_m2 * float(np.prod(high - low))))
    thing = land.things.add("broadleaf", _tint(land.rng, 0.1))
    turn = np.linspace(0, 2 * np.pi, 7)[:-1]
    ring = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    middles, radii = land.rng.uniform(low + 4, high - 4, (count, 2)), land.rng.uniform(3, 6, count)
    return [(middle + ring * radius, thing) for middle, radius in zip(middles, radii, strict=True)]


def _streets(land: Land, bend: streets.Bend, ways: list[streets.Street]) -> None:
    """Highways are the longest cuts; the others are lanes, or tracks between fields."""
    road, track = land.things.add("road", np.ones(5)), land.things.add("track", np.ones(5))
    for way in ways:
        a, b = np.array(way.start), np.array(way.end)
        length = float(np.hypot(*(b - a)))
        half = 5.5 if length > 2200 else 3.6 if way.rank < 2 and length > 500 else 2.6
        count = int(length / STEP_M / 2) + 2
        middle = bend(a + (b - a) * np.linspace(0, 1, count)[:, None])
        if half > 3 or way.rank == 2:
            land.above.append((_band(middle, half), road))
        else:
            land.shapes.append((_band(middle, 1.9), track))


def _band(middle: Floats, half_width: float) -> Floats:
    """The outline of a line [N, 2] of some width."""
    along = np.gradient(middle, axis=0)
    length = np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-9)
    side = np.stack([-along[:, 1], along[:, 0]], axis=1) / length[:, None]
    return np.concatenate([middle + side * half_width, (middle - side * half_width)[::-1]])


def _water(land: Land, river: terrain.River) -> None:
    """The river between its trees, under the streets that cross it."""
    west, south, east, north = land.bounds
    reach = float(np.hypot(east - west, north - south))
    banks = land.things.add("broadleaf", np.full(5, 0.95))
    wide = terrain.River(river.x, river.y, river.angle, river.half_width_m + 13, river.bends)
    water = land.things.add("river", np.ones(5))
    land.water.append(wide.polygon(reach))
    land.above = [(land.water[0], banks), (river.polygon(reach), water), *land.above]


def _lakes(land: Land, towns: Floats, seed: int) -> None:
    """One lake for every 15 km2 or so, away from towns, with trees around it."""
    west, south, east, north = land.bounds
    banks, water = land.things.add("mixed", np.ones(5)), land.things.add("lake", np.ones(5))
    turn = np.linspace(0, 2 * np.pi, 90)[:-1]
    ring = np.stack([np.cos(turn) * 1.35, np.sin(turn) * 0.75], axis=1)
    for _ in range(round((east - west) * (north - south) / 1.5e7)):
        middle = land.rng.uniform((west + 300, south + 300), (east - 300, north - 300))
        if _density(towns, middle) > -0.3:
            continue
        shore = middle + ring * land.rng.uniform(110, 210)
        shore += 55 * np.stack([smooth(seed, number, 160.0)(shore) for number in (79, 70)], axis=1)
        wide = middle + (shore - middle) * 1.13
        land.water.append(wide)
        land.above += [(wide, banks), (shore, water)]


def _bent(bend: streets.Bend, polygon: Floats) -> Floats:
    pieces = []
    for a, b in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        count = int(np.hypot(*(b - a)) / 20) + 1
        pieces.append(a + (b - a) * np.arange(count)[:, None] / count)
    return bend(np.concatenate(pieces))


# ---------------------------------------------------------------- painting, and noise that has a place


def paint(target: np.ndarray, transform: Affine, shapes: list[tuple[Floats, int]]) -> None:
    """Paint outlines [N, 2] with their numbers on a mosaic; later ones hide earlier ones."""
    if shapes:
        rings = [({"type": "Polygon", "coordinates": [[*map(tuple, o), tuple(o[0])]]}, n) for o, n in shapes]
        rasterize(rings, out=target, transform=transform)


REACH_M = 40_000.0


class Smooth:
    """Smooth noise of about -1..1 that varies over `wave_m`; the same everywhere for a seed and a number."""

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
