"""A world with something done to it: buildings removed, raised, added, trees felled, other conditions.

Each function gives a new world and leaves the old one as it is. What is made of it by `town.render`,
`town.save` and `town.drone.photograph` comes with its exact truth: change mask, heights, depth of every
photo. So an edited world is a test of known answer, a set for calibration, or pairs to pretrain on.

    world = town.world(seed=3, size_px=512)
    house = town.edit.buildings(world, near=(60, 80))[0].number
    world = town.edit.raise_by(world, house, 3.0)
    world = town.edit.under(world, "after", season=0.9, haze=0.3, shift_px=(1.5, 0.0))
    pair = town.render(world)

Places are metres east and north of the image's south-west corner.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shapely import Polygon, contains_xy

from geolab.errors import BadInput, NotFound
from geolab.town import looks, lots
from geolab.town.model import MARGIN_M, Building, Conditions, Floats, Part, World
from geolab.town.terrain import height_at

Dates = tuple[bool, bool]  # before, after
DATES: dict[str, Dates] = {"before": (True, False), "after": (False, True), "both": (True, True)}
Covers = Callable[[Floats, Floats], NDArray[np.bool_]]  # of places, metres east and north
RANGES = {  # of Conditions, what can be drawn
    "sun_azimuth_deg": (0.0, 360.0), "sun_elevation_deg": (5.0, 90.0), "season": (0.0, 1.0),
    "haze": (0.0, 1.0), "noise": (0.0, 50.0), "warp_px": (0.0, 10.0), "gain": (0.1, 5.0),
}  # fmt: skip
MOST_SHIFT_PX = 50.0
WALL = (0.5, 0.475, 0.42)
COVERS = {"tiles": 0, "sheet metal": 1, "gravel": 2, "membrane": 3}


@dataclass(frozen=True)
class Standing:
    """A building as it stands before and after.

    number: for the functions here. x, y: its middle. outlines: of its bodies [4, 2] at each date, none where
    it does not stand. height_m: of its ridge above its base at each date, 0 where it does not stand.
    """

    number: int
    use: str
    x: float
    y: float
    outlines: tuple[tuple[Floats, ...], tuple[Floats, ...]]
    height_m: tuple[float, float]


def buildings(world: World, *, near: tuple[float, float] | None = None) -> tuple[Standing, ...]:
    """The buildings with their middle in the image that stand at some date; nearest first, or by number."""
    found = [_standing(k, b) for k, b in enumerate(world.buildings) if b.parts]
    inside = [s for s in found if 0 <= s.x <= world.width_m and 0 <= s.y <= world.height_m]
    if near is not None:
        inside.sort(key=lambda s: math.hypot(s.x - near[0], s.y - near[1]))
    return tuple(inside)


def _standing(number: int, building: Building) -> Standing:
    x, y = np.concatenate([outline(p) for p in building.parts]).mean(axis=0)
    before, after = ([p for p in building.parts if p.present[date]] for date in (0, 1))
    outlines = tuple(map(outline, before)), tuple(map(outline, after))
    return Standing(number, building.use, float(x), float(y), outlines, (_top(before), _top(after)))


def _top(parts: list[Part]) -> float:
    return max((float(p.eave_m + p.rise_m) for p in parts), default=0.0)


def outline(part: Part) -> Floats:
    """The corners [4, 2] of a body."""
    along = np.array([math.cos(part.angle), math.sin(part.angle)]) * part.length_m / 2
    across = np.array([-math.sin(part.angle), math.cos(part.angle)]) * part.width_m / 2
    return np.array([part.x, part.y]) + np.stack(
        [-along - across, along - across, along + across, across - along]
    )


# ---------------------------------------------------------------- buildings


def remove(world: World, number: int, *, date: str = "after") -> World:
    """The world without a building at "before", "after" or "both"; the lot stays.

    Raises NotFound for a number that no building has, BadInput where it does not stand then.
    """
    when = _dates(date)
    return _rebuilt(world, number, when, lambda part: (_without(part, when),))


def raise_by(world: World, number: int, metres: float, *, date: str = "after") -> World:
    """The world with a building's eaves and ridges so much higher; lower if negative.

    Its outline stays, so that the change mask, which tells where buildings stand, does not see it, while the
    heights do. Raises NotFound, BadInput where it does not stand then or less than 0.5 m would be left.
    """
    if not abs(metres) <= 500:
        raise BadInput("metres", found=metres, expected="-500 to 500")
    when = _dates(date)

    def raised(part: Part) -> tuple[Part, ...]:
        here = _and(part.present, when)
        if any(here) and part.eave_m + metres < 0.5:
            found = f"{metres:g} on eaves at {part.eave_m:.1f} m"
            raise BadInput("metres", found=found, expected="0.5 m or more left")
        higher = replace(part, eave_m=part.eave_m + metres, present=here)
        return _without(part, when), higher

    return _rebuilt(world, number, when, raised)


def _rebuilt(world: World, number: int, when: Dates, change: Callable[[Part], tuple[Part, ...]]) -> World:
    count = len(world.buildings)
    if not 0 <= number < count:
        raise NotFound("building", str(number), remedy=f"there are {count}: town.edit.buildings(world)")
    old = world.buildings[number]
    if not any(any(_and(part.present, when)) for part in old.parts):
        raise BadInput("date", found=f"building {number} absent", expected="a date at which it stands")
    new = replace(old, parts=tuple(p for part in old.parts for p in change(part) if any(p.present)))
    return replace(world, buildings=(*world.buildings[:number], new, *world.buildings[number + 1 :]))


def _without(part: Part, when: Dates) -> Part:
    return replace(part, present=(part.present[0] and not when[0], part.present[1] and not when[1]))


def add(
    world: World,
    x: float,
    y: float,
    *,
    length_m: float,
    width_m: float,
    eave_m: float,
    rise_m: float = 0.0,
    roof: str = "flat",
    angle_deg: float = 0.0,
    date: str = "after",
    colour: tuple[float, float, float, float] = (0.42, 0.42, 0.41, 0.44),
    cover: str = "gravel",
) -> World:
    """The world with one more building, the last in `world.buildings`; what grew or stood there is gone.

    x, y: its middle. angle_deg: of its length, from east over north. rise_m: of the ridge above the eaves,
    0 for a flat roof; roof: "gable", "hip" or "flat". date: when it stands. colour: of the roof, reflectance
    of red, green, blue, near infrared. Raises BadInput if it lies outside or overlaps another.
    """
    for name, value in {"length_m": length_m, "width_m": width_m, "eave_m": eave_m}.items():
        if not 0.5 <= value <= 500:
            raise BadInput(name, found=value, expected="0.5 to 500 metres")
    fits = rise_m == 0 if roof == "flat" else 0 < rise_m <= 500
    if roof not in looks.SHAPES or cover not in COVERS or not fits:
        raise BadInput(
            "roof", found=f"{roof!r} of {cover!r} with a rise of {rise_m:g} m",
            expected=f"{', '.join(looks.SHAPES)} of {', '.join(COVERS)}; a rise above 0 unless flat",
        )  # fmt: skip
    when = _dates(date)
    long, short = max(length_m, width_m), min(length_m, width_m)
    angle = math.radians(angle_deg) + (math.pi / 2 if length_m < width_m else 0.0)
    part = Part(float(x), float(y), angle, long, short, eave_m, rise_m, roof, when)
    _check_place(world, part)
    base = float(height_at(world.terrain, *lots.footprint(part)).min())
    colours, covers = (colour, colour), (COVERS[cover], COVERS[cover])
    new = Building("house", base, (part,), colours, WALL, covers, (False, False))
    return replace(_room_for(part, world), buildings=(*world.buildings, new))


def _check_place(world: World, part: Part) -> None:
    corners = outline(part)
    rim = np.array([world.width_m, world.height_m]) + MARGIN_M
    if not ((corners > -MARGIN_M) & (corners < rim)).all():
        raise BadInput("place", found=f"({part.x:g}, {part.y:g})", expected="a place inside the world")
    shape = Polygon(corners)
    for number, building in enumerate(world.buildings):
        for other in building.parts:
            if any(_and(other.present, part.present)) and shape.intersects(Polygon(outline(other))):
                raise BadInput(
                    "place", found=f"building {number} at ({other.x:.0f}, {other.y:.0f})",
                    expected="no building that stands at the same date", remedy=f"remove it first: {number}",
                )  # fmt: skip


def _room_for(part: Part, world: World) -> World:
    """The world without plants and cars where a body stands and a metre around it, on its dates."""
    ground = Polygon(outline(part)).buffer(1.0)
    before, after = (
        cars[~contains_xy(ground, *cars[:, :2].T)] if here else cars
        for cars, here in zip(world.cars, part.present, strict=True)
    )
    free = _cleared(world, lambda east, north: contains_xy(ground, east, north), part.present)
    return replace(free, cars=(before, after))


# ---------------------------------------------------------------- plants


def fell(world: World, x: float, y: float, radius_m: float, *, date: str = "after") -> World:
    """The world without the trees and hedges around a place: change that is no building's."""
    return _cleared(world, lambda east, north: np.hypot(east - x, north - y) <= radius_m, _dates(date))


def _cleared(world: World, covers: Covers, when: Dates) -> World:
    """Without the trees and hedges whose middle is covered, on the dates `when`."""
    trees, hedges = world.trees.copy(), world.hedges.copy()
    for table, first in ((trees, 6), (hedges, 5)):
        inside = covers(table[:, 0], table[:, 1])
        for date in np.flatnonzero(when):
            table[inside, first + date] = 0
    return replace(world, trees=trees, hedges=hedges)


# ---------------------------------------------------------------- conditions


def under(world: World, date: str, **changes: Any) -> World:
    """The world whose images of "before", "after" or "both" are taken under other conditions.

    changes: fields of `Conditions`: season, haze, noise, shift_px, warp_px, gain, sun_azimuth_deg,
    sun_elevation_deg, date. None of them is change: the truth stays as it is. Raises BadInput.
    """
    for name, value in changes.items():
        check_condition(name, value)
    when = _dates(date)
    made = [replace(c, **changes) if here else c for c, here in zip(world.conditions, when, strict=True)]
    return replace(world, conditions=(made[0], made[1]))


def check_condition(name: str, value: Any) -> None:
    """Raise BadInput unless `Conditions` has such a field and can have such a value."""
    known = Conditions.__dataclass_fields__
    if name not in known:
        raise BadInput("conditions", found=name, expected=f"some of {', '.join(known)}")
    if name == "shift_px":
        good = len(value) == 2 and all(abs(v) <= MOST_SHIFT_PX for v in value)
        if not good:
            raise BadInput(
                name, found=value, expected=f"(east, north), each at most {MOST_SHIFT_PX:g} pixels"
            )
    elif name in RANGES:
        low, high = RANGES[name]
        if not low <= value <= high:
            raise BadInput(name, found=value, expected=f"{low:g} to {high:g}")


def _dates(date: str) -> Dates:
    if date not in DATES:
        raise BadInput("date", found=repr(date), expected=" or ".join(DATES))
    return DATES[date]


def _and(present: Dates, when: Dates) -> Dates:
    return present[0] and when[0], present[1] and when[1]
