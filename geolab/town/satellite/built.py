"""What stands on a piece of land: houses, halls, trees."""

from __future__ import annotations

import itertools

import numpy as np

from geolab.town.draft import strip
from geolab.town.model import Floats
from geolab.town.satellite import spectra
from geolab.town.satellite.landscape import Land, Shapes, tint


def homes(land: Land, outline: Floats, *, flats: bool = False) -> Shapes:
    """Houses along the edges of a piece of land."""
    long, wide, apart = (22.0, 12.0, 32.0) if flats else (13.0, 9.5, 19.0)
    return _rows(land, outline, "house", long, wide, apart, setback=8.0 + wide / 2)


def halls(land: Land, outline: Floats) -> Shapes:
    """Large flat roofs that leave a yard around them."""
    return _rows(land, outline, "hall", 46.0, 30.0, 58.0, setback=24.0, least=30.0)


def _rows(
    land: Land, outline: Floats, kind: str, long: float, wide: float, apart: float, *, setback: float,
    least: float = 14.0,
) -> Shapes:  # fmt: skip
    """Buildings beside each edge of a convex outline, which are all inside of it and of no other."""
    from shapely import Polygon

    rng, ground = land.rng, Polygon(outline).buffer(-3)
    made: Shapes = []
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


def trees(land: Land, outline: Floats, per_m2: float) -> Shapes:
    """Crowns scattered over a piece of land, all inside of it; some hide parts of buildings."""
    from shapely import Polygon, contains_xy

    low, high = outline.min(axis=0), outline.max(axis=0)
    count = int(land.rng.poisson(per_m2 * float(np.prod(high - low))))
    middles, radii = land.rng.uniform(low, high, (count, 2)), land.rng.uniform(3, 6, count)
    inside = contains_xy(Polygon(outline).buffer(-7), middles)
    thing = land.things.add("broadleaf", tint(land.rng, 0.1))
    turn = np.linspace(0, 2 * np.pi, 7)[:-1]
    ring = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    kept = zip(middles[inside], radii[inside], strict=True)
    return [(middle + ring * radius, thing) for middle, radius in kept]
