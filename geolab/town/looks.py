"""Numbers that say how a thing is drawn: one row of a table per thing, read by the kernels.

Reflectances are linear, red green blue nir, 0..1.
"""

from __future__ import annotations

import numpy as np

from geolab.town.model import Building, Floats, Part

# Columns of a row.
KIND, X, Y, COS, SIN, A, B, BASE, EAVE, RISE, SHAPE, PHASE, RED, GREEN, BLUE, NIR = range(16)
WALL_RED, WALL_GREEN, WALL_BLUE, EXTRA = 16, 17, 18, 19
COLUMNS = 20

# Kinds: ground first, then what stands on it.
GRASS, FIELD, ROAD, PAVED, WATER, PARKING, LAWN, SOIL, PITCH, POOL, TRACK = range(11)
ROOF, TREE, CAR, HEDGE = 11, 12, 13, 14

SHAPES = {"gable": 0, "hip": 1, "flat": 2}

TILES = np.array([
    [0.30, 0.115, 0.065, 0.36], [0.26, 0.095, 0.06, 0.33], [0.34, 0.15, 0.09, 0.38],
    [0.22, 0.10, 0.07, 0.28], [0.16, 0.10, 0.075, 0.22], [0.11, 0.075, 0.065, 0.16],
    [0.075, 0.08, 0.09, 0.11], [0.12, 0.125, 0.13, 0.15], [0.28, 0.105, 0.06, 0.34],
    [0.31, 0.13, 0.085, 0.36], [0.24, 0.085, 0.05, 0.30],
])  # fmt: skip
FLATS = np.array([
    [0.30, 0.29, 0.27, 0.33], [0.22, 0.21, 0.20, 0.24], [0.42, 0.42, 0.41, 0.44], [0.15, 0.15, 0.16, 0.17],
    [0.36, 0.33, 0.29, 0.38], [0.48, 0.49, 0.49, 0.50],
])  # fmt: skip
SHEETS = np.array([
    [0.34, 0.36, 0.38, 0.38], [0.56, 0.57, 0.56, 0.58], [0.22, 0.28, 0.36, 0.30], [0.16, 0.25, 0.20, 0.26],
    [0.40, 0.40, 0.38, 0.42], [0.33, 0.15, 0.11, 0.32], [0.26, 0.26, 0.27, 0.28],
])  # fmt: skip
WALLS = np.array([
    [0.50, 0.475, 0.42], [0.54, 0.52, 0.49], [0.50, 0.43, 0.31], [0.46, 0.35, 0.25], [0.41, 0.43, 0.43],
    [0.48, 0.38, 0.33], [0.36, 0.20, 0.145], [0.38, 0.42, 0.37],
])  # fmt: skip
CARS = np.array([
    [0.75, 0.75, 0.74], [0.72, 0.73, 0.75], [0.03, 0.03, 0.035], [0.05, 0.05, 0.06], [0.30, 0.31, 0.32],
    [0.42, 0.43, 0.44], [0.35, 0.03, 0.03], [0.05, 0.08, 0.25], [0.06, 0.10, 0.08], [0.55, 0.50, 0.40],
])  # fmt: skip
# What grows on a field, as (ground seen, row contrast, row spacing m): early summer, then autumn.
CROPS = (
    np.array([  # grain, ripe grain, maize, meadow, beet, rape
        [0.085, 0.125, 0.045, 0.46, 0.10, 3.0], [0.30, 0.235, 0.105, 0.42, 0.10, 3.0],
        [0.085, 0.105, 0.05, 0.36, 0.55, 1.5], [0.075, 0.12, 0.04, 0.48, 0.06, 4.0],
        [0.055, 0.11, 0.035, 0.52, 0.35, 1.5], [0.17, 0.18, 0.06, 0.44, 0.08, 4.0],
    ]),
    np.array([  # stubble, ploughed, harrowed, meadow, catch crop, maize stubble
        [0.30, 0.24, 0.14, 0.36, 0.22, 3.0], [0.135, 0.095, 0.065, 0.18, 0.40, 2.0],
        [0.20, 0.15, 0.10, 0.25, 0.18, 4.0], [0.09, 0.12, 0.05, 0.38, 0.06, 4.0],
        [0.06, 0.115, 0.04, 0.50, 0.18, 3.0], [0.24, 0.19, 0.12, 0.30, 0.45, 1.5],
    ]),
)  # fmt: skip


def ground(
    kind: int,
    x: float = 0.0,
    y: float = 0.0,
    angle: float = 0.0,
    *,
    half_length: float = 0.0,
    half_width: float = 0.0,
    shape: float = 0.0,
    phase: float = 0.0,
    colour: tuple[float, ...] | Floats = (0.0, 0.0, 0.0, 0.0),
    extra: float = 0.0,
    second: float = 0.0,
) -> Floats:
    """The row of a piece of ground."""
    row = np.zeros(COLUMNS)
    row[[KIND, X, Y, COS, SIN]] = kind, x, y, np.cos(angle), np.sin(angle)
    row[[A, B, SHAPE, PHASE, EXTRA, WALL_RED]] = half_length, half_width, shape, phase, extra, second
    row[RED : NIR + 1] = colour
    return row


MEADOW = 3


def crop(rng: np.random.Generator, which: int, date: int, x: float, y: float, angle: float) -> Floats:
    """The row of a field as it lies on one date (0 early summer, 1 autumn) under a crop of CROPS[date]."""
    *colour, contrast, spacing = CROPS[date][which]
    tint = rng.uniform(0.88, 1.12) * rng.uniform(0.96, 1.04, 4)
    phase = rng.uniform(0, 100)
    return ground(
        FIELD, x, y, angle, phase=phase, colour=np.array(colour) * tint, extra=spacing, second=contrast
    )


def roof(building: Building, part: Part, date: int) -> Floats:
    """The row of one body of a building on one date (0 before, 1 after)."""
    row = np.zeros(COLUMNS)
    row[[KIND, X, Y, COS, SIN]] = ROOF, part.x, part.y, np.cos(part.angle), np.sin(part.angle)
    row[[A, B, BASE, EAVE]] = part.length_m / 2, part.width_m / 2, building.base_m, part.eave_m
    row[RISE] = part.rise_m
    row[SHAPE] = SHAPES[part.roof]
    row[PHASE] = (part.x * 7.31 + part.y * 3.17) % 100
    row[RED : NIR + 1] = building.roof_colours[date]
    row[WALL_RED : WALL_BLUE + 1] = building.wall_colour
    row[EXTRA] = building.cover[date] + 10 * building.solar[date]
    return row
