"""The landscape: fields, woods, settlements, water and roads in one local frame, and what changes each year.

Things are polygons painted in order on a mosaic of SUB_M metres. A pixel of a satellite is the mixture of
the things it holds, so both zones see the same ground.
"""

from __future__ import annotations

import numpy as np

from geolab.town import streets, terrain
from geolab.town.draft import STEP_M
from geolab.town.model import Floats
from geolab.town.satellite import spectra
from geolab.town.satellite.built import halls, homes, trees
from geolab.town.satellite.landscape import Block, Land, Things, tint
from geolab.town.satellite.noise import smooth

MARGIN_M = 60.0
FIELD_M2, BLOCK_M2 = 34_000, 7_500


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


def _wood(land: Land, outline: Floats, seed: int) -> None:
    """A stand of one kind, which meets the next one without a gap and has a ragged edge."""
    from shapely import Polygon, get_coordinates, segmentize

    use = str(land.rng.choice(["conifer", "conifer", "mixed", "mixed", "broadleaf"]))
    thing = land.things.add(use, tint(land.rng, 0.06))
    edge = get_coordinates(segmentize(Polygon(outline).buffer(5, join_style="mitre"), 8.0))[:-1]
    push = np.stack([smooth(seed, number, 45.0)(edge) for number in (77, 78)], axis=1)
    land.woods.append((edge + 9 * push, thing))
    land.blocks.append(Block(outline, use, thing))


def _lay(land: Land, outline: Floats, density: float) -> None:
    """Choose a use for a block without wood and lay it out."""
    rng = land.rng
    if density <= 0:
        use = "meadow" if rng.random() < 0.38 else str(rng.choice(spectra.CROPS, p=[0.42, 0.3, 0.14, 0.14]))
        _place(land, outline, use, use, tint(rng))
    else:
        _settled(land, outline, density)


def _place(land: Land, outline: Floats, use: str, kind: str, tint: Floats) -> None:
    thing = land.things.add(kind, tint)
    land.blocks.append(Block(outline, use, thing))
    land.shapes.append((outline, thing))


def _settled(land: Land, outline: Floats, density: float) -> None:
    draw = land.rng.random()
    if draw < 0.06:
        _place(land, outline, "park", "meadow", tint(land.rng, 0.05))
        land.shapes += trees(land, outline, 0.004)
    elif density < 0.4 and draw < 0.22:
        _place(land, outline, "works", "paved", tint(land.rng))
        land.shapes += halls(land, outline)
    else:
        _place(land, outline, "homes", "garden", tint(land.rng, 0.06))
        land.shapes += homes(land, outline, flats=density > 0.6) + trees(land, outline, 0.0022)


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
