"""What things reflect on a day of the year: blue, green, red, near and short-wave infrared, 0..1.

From 1 June to 31 August nothing on the ground changes its colour, so that the median of any looks in that
season is the truth, whichever days were clear.
"""

from __future__ import annotations

import numpy as np

from geolab.town import looks
from geolab.town.model import Floats

BANDS = ("blue", "green", "red", "nir", "swir16")
SUMMER = (150, 246)  # first and last day of the plateau, days of the year

Colour = tuple[float, float, float, float, float]

SOIL: Colour = (0.068, 0.088, 0.115, 0.19, 0.28)
STUBBLE: Colour = (0.085, 0.115, 0.155, 0.25, 0.32)
YOUNG: Colour = (0.030, 0.070, 0.038, 0.42, 0.18)
LEAVES: Colour = (0.022, 0.048, 0.025, 0.37, 0.15)
TWIGS: Colour = (0.040, 0.055, 0.062, 0.20, 0.20)
MEADOW: Colour = (0.033, 0.076, 0.045, 0.40, 0.20)
NEEDLES: Colour = (0.018, 0.033, 0.021, 0.23, 0.095)


def _grown(spring: Colour, summer: Colour, autumn: Colour, late: Colour | None = None) -> list[tuple]:
    """Key days: early April, the summer that stays as it is, mid-September, October."""
    return [(95, spring), (SUMMER[0], summer), (SUMMER[1], summer), (268, autumn), (288, late or autumn)]


# kind: key days and colours between which the year runs
YEARS: dict[str, list[tuple]] = {
    "conifer": _grown((0.019, 0.031, 0.023, 0.20, 0.095), NEEDLES, (0.018, 0.031, 0.021, 0.20, 0.09)),
    "broadleaf": [
        (105, TWIGS), (130, (0.026, 0.062, 0.030, 0.38, 0.17)), (SUMMER[0], LEAVES), (SUMMER[1], LEAVES),
        (275, (0.034, 0.062, 0.058, 0.30, 0.17)), (293, (0.042, 0.066, 0.085, 0.25, 0.18)),
    ],
    "mixed": _grown((0.028, 0.042, 0.040, 0.20, 0.14), (0.020, 0.041, 0.023, 0.30, 0.12),
                    (0.028, 0.050, 0.045, 0.24, 0.13)),
    "meadow": _grown((0.042, 0.075, 0.058, 0.31, 0.23), MEADOW, (0.040, 0.078, 0.058, 0.33, 0.22)),
    "garden": _grown((0.048, 0.074, 0.064, 0.26, 0.21), (0.040, 0.074, 0.052, 0.33, 0.19),
                     (0.046, 0.076, 0.064, 0.28, 0.20)),
    "grain": [
        (95, (0.038, 0.075, 0.050, 0.34, 0.20)), (125, YOUNG), (140, (0.032, 0.074, 0.042, 0.42, 0.19)),
        (SUMMER[0], (0.078, 0.116, 0.150, 0.29, 0.28)), (SUMMER[1], (0.078, 0.116, 0.150, 0.29, 0.28)),
        (262, STUBBLE), (285, SOIL),
    ],
    "rape": [
        (95, YOUNG), (115, (0.048, 0.135, 0.120, 0.43, 0.19)), (135, (0.042, 0.112, 0.085, 0.43, 0.19)),
        (SUMMER[0], (0.062, 0.098, 0.100, 0.30, 0.24)), (SUMMER[1], (0.062, 0.098, 0.100, 0.30, 0.24)),
        (265, (0.055, 0.085, 0.080, 0.30, 0.25)), (290, YOUNG),
    ],
    "maize": [
        (95, SOIL), (135, SOIL), (SUMMER[0], (0.028, 0.066, 0.034, 0.43, 0.18)),
        (SUMMER[1], (0.028, 0.066, 0.034, 0.43, 0.18)), (270, (0.048, 0.080, 0.070, 0.33, 0.24)),
        (285, STUBBLE),
    ],
    "beet": [
        (95, SOIL), (125, SOIL), (SUMMER[0], (0.030, 0.082, 0.034, 0.50, 0.18)),
        (SUMMER[1], (0.030, 0.082, 0.034, 0.50, 0.18)), (280, (0.034, 0.080, 0.040, 0.44, 0.19)),
        (290, SOIL),
    ],
    "river": [(1, (0.042, 0.054, 0.038, 0.024, 0.013))],
    "lake": [(1, (0.032, 0.038, 0.022, 0.016, 0.012))],
    "road": [(1, (0.088, 0.098, 0.105, 0.135, 0.145))],
    "track": [(1, (0.095, 0.118, 0.135, 0.24, 0.27))],
    "paved": [(1, (0.150, 0.165, 0.175, 0.21, 0.23))],
    "quarry": [(1, (0.175, 0.225, 0.275, 0.33, 0.40))],
    "clearing": _grown((0.058, 0.074, 0.090, 0.17, 0.25), (0.056, 0.076, 0.086, 0.20, 0.25),
                       (0.058, 0.078, 0.092, 0.18, 0.25)),
    "solar": _grown((0.052, 0.062, 0.066, 0.13, 0.14), (0.050, 0.064, 0.062, 0.15, 0.13),
                    (0.052, 0.064, 0.066, 0.14, 0.14)),
    "bare": [(1, (0.092, 0.116, 0.146, 0.22, 0.30))],
    "roof": [(1, (1.0, 1.0, 1.0, 1.0, 1.0))],  # the tint of the object is its colour
}  # fmt: skip
KINDS = tuple(YEARS)
CROPS = ("grain", "maize", "beet", "rape")
SNOW = np.array([0.78, 0.78, 0.77, 0.74, 0.11])
CLOUD = np.array([0.66, 0.64, 0.63, 0.66, 0.44])

# How much each kind varies from place to place, relative: over 25 m, 90 m and 400 m.
TEXTURE: dict[str, tuple[float, float, float]] = {
    "conifer": (0.16, 0.08, 0.05), "broadleaf": (0.13, 0.07, 0.04), "mixed": (0.20, 0.12, 0.05),
    "meadow": (0.03, 0.06, 0.06), "garden": (0.10, 0.05, 0.03), "grain": (0.025, 0.06, 0.06),
    "rape": (0.03, 0.06, 0.05), "maize": (0.035, 0.06, 0.06), "beet": (0.03, 0.05, 0.05),
    "river": (0.02, 0.03, 0.02), "lake": (0.01, 0.02, 0.03), "track": (0.05, 0.04, 0.03),
    "paved": (0.08, 0.06, 0.02), "quarry": (0.08, 0.12, 0.05), "clearing": (0.12, 0.10, 0.04),
    "solar": (0.03, 0.02, 0.0), "bare": (0.06, 0.08, 0.04),
}  # fmt: skip


def colours(day: int) -> Floats:
    """What every kind reflects on a day of the year [kind, band]."""
    return np.array([_on(keys, day) for keys in YEARS.values()])


def _on(keys: list[tuple], day: int) -> list[float]:
    days = [key[0] for key in keys]
    return [float(np.interp(day, days, [key[1][band] for key in keys])) for band in range(len(BANDS))]


def textures() -> Floats:
    """The relative variation of every kind at the three scales [kind, 3]."""
    return np.array([TEXTURE.get(kind, (0.0, 0.0, 0.0)) for kind in KINDS])


def roof(rng: np.random.Generator, kind: str) -> Floats:
    """The colour of a roof of a house or a hall [band]."""
    table = looks.TILES if kind == "house" else np.concatenate([looks.FLATS, looks.SHEETS])
    red, green, blue, nir = table[rng.integers(len(table))] * rng.uniform(0.65, 0.9)
    return np.array([blue, green, red, nir, nir * 1.02])
