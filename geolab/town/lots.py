"""Buildings on their lots: what stands where along the streets of a block."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from geolab.town.looks import FLATS, SHEETS, TILES, WALLS
from geolab.town.model import MARGIN_M, Building, Floats, Part
from geolab.town.terrain import height_at

STABLE, NEW, GONE, GROWN = range(4)
FATES = (0.42, 0.28, 0.15, 0.15)
PRESENT = {STABLE: (True, True), NEW: (False, True), GONE: (True, False)}


class Occupancy:
    """Which square metres are taken; holds one array for the whole world."""

    def __init__(self, width_m: float, height_m: float):
        self.taken = np.zeros((int(height_m + 2 * MARGIN_M) + 2, int(width_m + 2 * MARGIN_M) + 2), np.uint8)

    def _cells(self, x: Floats, y: Floats) -> tuple[np.ndarray, np.ndarray]:
        rows, columns = self.taken.shape
        return (
            np.clip((y + MARGIN_M).astype(int), 0, rows - 1),
            np.clip((x + MARGIN_M).astype(int), 0, columns - 1),
        )

    def at(self, x: Floats, y: Floats) -> np.ndarray:
        return self.taken[self._cells(x, y)]

    def mark(self, x: Floats, y: Floats, value: int) -> None:
        cells = self._cells(x, y)
        self.taken[cells] = np.maximum(self.taken[cells], value)


def samples(centre: Floats, angle: float, length_m: float, width_m: float) -> tuple[Floats, Floats]:
    """Points at most half a metre apart that cover a rectangle."""
    a, b = length_m / 2, width_m / 2
    u, v = np.meshgrid(np.linspace(-a, a, int(4 * a) + 2), np.linspace(-b, b, int(4 * b) + 2))
    c, s = np.cos(angle), np.sin(angle)
    return (centre[0] + u * c - v * s).ravel(), (centre[1] + u * s + v * c).ravel()


def footprint(part: Part, pad_m: float = 0.0) -> tuple[Floats, Floats]:
    """Points that cover a part and a rim around it."""
    centre = np.array([part.x, part.y])
    return samples(centre, part.angle, part.length_m + 2 * pad_m, part.width_m + 2 * pad_m)


@dataclass(frozen=True)
class Lot:
    """A place for one building: its middle, the street's direction, the room along it, and its use."""

    x: float
    y: float
    angle: float
    width_m: float
    use: str


def _house(rng: np.random.Generator, lot: Lot) -> list[Part]:
    length, width = min(rng.uniform(9.5, 14.5), lot.width_m - 4), rng.uniform(7.5, 10)
    angle = lot.angle + (np.pi / 2 if rng.random() < 0.3 else 0) + rng.normal(0, 0.02)
    roof = rng.choice(["gable", "gable", "gable", "hip", "flat"])
    eave = rng.uniform(2.9, 5.6)
    rise = 0.0 if roof == "flat" else width / 2 * rng.uniform(0.55, 0.95)
    return [Part(lot.x, lot.y, angle, length, width, eave, rise, str(roof), (True, True))]


def _flats(rng: np.random.Generator, lot: Lot) -> list[Part]:
    length, width = min(rng.uniform(22, 34), lot.width_m - 5), rng.uniform(11, 13.5)
    roof = str(rng.choice(["flat", "hip", "gable"]))
    eave = 3.0 * rng.integers(3, 6) + 0.8
    rise = 0.0 if roof == "flat" else width / 2 * rng.uniform(0.5, 0.7)
    return [Part(lot.x, lot.y, lot.angle, length, width, eave, rise, roof, (True, True))]


def _hall(rng: np.random.Generator, lot: Lot) -> list[Part]:
    length, width = min(rng.uniform(26, 52), lot.width_m - 7), rng.uniform(18, 27)
    roof = str(rng.choice(["flat", "flat", "gable"]))
    rise = 0.0 if roof == "flat" else width / 2 * 0.18
    eave = rng.uniform(6, 11)
    return [Part(lot.x, lot.y, lot.angle, length, width, eave, rise, roof, (True, True))]


def _barn(rng: np.random.Generator, lot: Lot) -> list[Part]:
    length, width = rng.uniform(18, 34), rng.uniform(11, 15)
    return [
        Part(lot.x, lot.y, lot.angle, length, width, rng.uniform(4, 6), width * 0.22, "gable", (True, True))
    ]


BUILD = {"house": _house, "flats": _flats, "hall": _hall, "barn": _barn}


def _wing(rng: np.random.Generator, main: Part) -> Part:
    """A lower body on one side of the main one, touching it."""
    c, s = np.cos(main.angle), np.sin(main.angle)
    if rng.random() < 0.5:  # goes on along the ridge
        length, width = main.length_m * rng.uniform(0.45, 0.8), main.width_m * rng.uniform(0.7, 0.95)
        du, dv, turn = (main.length_m + length) / 2, (main.width_m - width) / 2 * rng.choice([-1, 1]), 0.0
    else:  # a cross wing
        length, width = main.width_m * rng.uniform(0.6, 1.0), min(main.length_m * 0.6, main.width_m)
        du = (main.length_m - width) / 2 * rng.choice([-1, 1])
        dv, turn = (main.width_m + length) / 2 * rng.choice([-1, 1]), np.pi / 2
    flat = main.roof == "flat" or rng.random() < 0.25
    return Part(
        main.x + du * c - dv * s,
        main.y + du * s + dv * c,
        main.angle + turn,
        length,
        width,
        main.eave_m * rng.uniform(0.7, 1.0),
        0.0 if flat else main.rise_m * width / main.width_m * 0.95,
        "flat" if flat else "gable",
        (True, True),
    )


def _colours(rng: np.random.Generator, use: str, roof: str) -> tuple[tuple[float, ...], int]:
    if use == "hall":
        palette, cover = (SHEETS, 1) if rng.random() < 0.65 else (FLATS, 2)
    elif roof == "flat":
        palette, cover = (FLATS, 2) if rng.random() < 0.7 else (SHEETS, 3)
    else:
        palette, cover = TILES, 0
    colour = palette[rng.integers(len(palette))] * rng.uniform(0.9, 1.1)
    return tuple(float(v) for v in np.round(colour, 4)), cover


def free(occupancy: Occupancy, parts: list[Part], pad_m: float) -> bool:
    """Whether nothing else is near; the world's outer edge counts as free."""
    return not any(occupancy.at(*footprint(p, pad_m)).any() for p in parts)


def build(
    rng: np.random.Generator, lot: Lot, occupancy: Occupancy, terrain: Floats, fates: tuple[float, ...]
) -> Building | None:
    """A building on the lot, with its fate between the dates; None where it does not fit."""
    parts = BUILD[lot.use](rng, lot)
    fate = int(rng.choice(4, p=fates))
    pad = 1.3 if lot.use == "house" else 2.5
    if not free(occupancy, parts, pad):
        return None
    if fate == GROWN or rng.random() < 0.25:
        wing = _wing(rng, parts[0])
        if free(occupancy, [wing], pad):
            parts.append(wing)
    if fate == GROWN and len(parts) == 1:
        fate = NEW
    present = [PRESENT.get(fate, (True, True))] * len(parts)
    if fate == GROWN:
        present[1] = (False, True)
    parts = [replace(p, present=q) for p, q in zip(parts, present, strict=True)]
    for p in parts:
        occupancy.mark(*footprint(p, 0.8), value=3)
    colour, cover = _colours(rng, lot.use, parts[0].roof)
    painted, painted_cover = (colour, cover) if rng.random() > 0.18 else _colours(rng, lot.use, parts[0].roof)
    solar = rng.random() < 0.12
    wall = WALLS[rng.integers(len(WALLS))]
    x, y = footprint(parts[0])
    base = float(np.round(height_at(terrain, x, y).min() * 1024) / 1024)
    return Building(
        use=lot.use,
        base_m=base,
        parts=tuple(parts),
        roof_colours=(colour, painted),
        wall_colour=(float(wall[0]), float(wall[1]), float(wall[2])),
        cover=(cover, painted_cover),
        solar=(bool(solar), bool(solar or rng.random() < 0.15)),
    )
