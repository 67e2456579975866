"""One scene: what a granule's pixels say on a day, and how they are classed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

from geolab.town.model import Floats
from geolab.town.satellite import spectra
from geolab.town.satellite.area import Area, Window, local_grid, to_local
from geolab.town.satellite.ground import View, coarse
from geolab.town.satellite.noise import smooth
from geolab.town.satellite.sky import Sky, Veil, veil

# The scene classification of Sentinel-2's level 2A.
NO_DATA, SHADOW, VEGETATION, BARE, WATER, UNCLASSIFIED, MEDIUM, HIGH, CIRRUS, SNOW = (
    0,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
    10,
    11,
)
CLEAR = (VEGETATION, BARE, WATER, UNCLASSIFIED, SNOW)
OFFSET_SINCE = date(2022, 1, 25)  # processing baseline 04.00: stored = 10,000 * reflectance + 1,000
QUANTUM = 0.0001


@dataclass(frozen=True)
class Errors:
    """What a sensor adds to the truth.

    noise: standard deviation of the reflectance of every pixel and band. shift_px: standard deviation
    of the misregistration of a scene. scl: share of thin cloud edges that are classed as clear ground.
    """

    noise: float = 0.002
    shift_px: float = 0.0
    scl: float = 0.0


@dataclass(frozen=True)
class Overpass:
    """What one zone shows on a day, before noise: [band, y, x] reflectance, [y, x] classes of 20 m."""

    sky: Sky
    window: Window
    reflectance: Floats
    classes: np.ndarray
    seen: np.ndarray  # [y, x] of 10 m: within the swath


def offset(day: date) -> int:
    """What is added to the stored values of a day."""
    return 1000 if day >= OFFSET_SINCE else 0


def overpass(seed: int, sky: Sky, view: View, area: Area, errors: Errors) -> Overpass:
    """What a zone shows on a day."""
    window = view.window
    ground = view.reflectance(sky.when.date())
    white = _snow(seed, sky, window)
    ground = ground + (spectra.SNOW[:, None, None].astype(np.float32) - ground) * white
    places = np.moveaxis(local_grid(window), 0, -1)
    clouds = veil(seed, sky, places, _sample(area))
    seen = swath(sky, places)
    return Overpass(
        sky,
        window,
        _through(ground, clouds),
        _classes(seed, sky, ground, view.water(), white, clouds, seen, places, errors),
        seen,
    )


def _sample(area: Area) -> Floats:
    """Places [N, 2] all over the area."""
    west, south, east, north = area.bounds
    x, y = np.meshgrid(np.linspace(west, east, 90), np.linspace(south, north, 90))
    return np.stack([x.ravel(), y.ravel()], axis=1)


def _snow(seed: int, sky: Sky, window: Window) -> Floats:
    """How white the ground is, 0..1."""
    if sky.snow <= 0:
        return np.zeros(window.shape, np.float32)
    places = np.moveaxis(local_grid(window), 0, -1)
    noise = smooth(seed, 75, 1100.0)(places) + 0.35 * smooth(seed, 76, 160.0)(places)
    return np.clip((noise - 0.9 + 2 * sky.snow) / 0.3, 0, 0.9).astype(np.float32)


def swath(sky: Sky, places: Floats) -> np.ndarray:
    """Which places the satellite's strip holds; that of orbit 1 ends in the area."""
    if sky.orbit == 0:
        return np.ones(places.shape[:-1], bool)
    return places @ swath_edge()[:2] < swath_edge()[2]


def swath_edge() -> Floats:
    """a, b, c of a x + b y = c, the edge of orbit 1's strip in the local frame."""
    heading = np.radians(13.0)
    return np.array([np.cos(heading), -np.sin(heading), 900.0])


def _through(ground: Floats, clouds: Veil) -> Floats:
    """The ground in shadow and behind clouds; short-wave infrared as means of 2 x 2 pixels."""
    colour = spectra.CLOUD[:, None, None].astype(np.float32) * clouds.bright
    lit = ground * (1 - clouds.shade)
    mixed = lit + (colour - lit) * clouds.hidden
    mixed[4] = coarse(mixed[4]).repeat(2, axis=0).repeat(2, axis=1)
    return mixed


def _classes(
    seed: int,
    sky: Sky,
    ground: Floats,
    water: np.ndarray,
    white: Floats,
    clouds: Veil,
    seen: np.ndarray,
    places: Floats,
    errors: Errors,
) -> np.ndarray:
    """The class of every 20 m; what is touched by cloud or shadow is never called clear, but for errors."""
    red, nir = coarse(ground[2]), coarse(ground[3])
    ndvi = (nir - red) / (nir + red)
    classes = np.select([ndvi > 0.42, ndvi > 0.36], [VEGETATION, UNCLASSIFIED], BARE).astype(np.uint8)
    classes[coarse(water) > 0.5] = WATER
    classes[coarse(white) > 0.4] = SNOW
    hidden, shade = _most(clouds.hidden), _most(clouds.shade)
    if errors.scl > 0:
        missed = (smooth(seed, 1008 + 10 * sky.number, 90.0)(places[::2, ::2]) * 0.5 + 0.5) < errors.scl
        hidden = np.where(missed & (hidden < 0.3), 0, hidden)
        shade = np.where(missed & (shade < 0.2), 0, shade)
    classes[shade > 0] = SHADOW
    classes[hidden > 0] = CIRRUS
    if sky.kind != "veil":
        classes[hidden > 0.12] = MEDIUM
        classes[hidden > 0.6] = HIGH
    classes[_most(~seen)] = NO_DATA
    return classes


def _most(pixels: np.ndarray) -> np.ndarray:
    """The largest of 2 x 2 pixels."""
    height, width = pixels.shape
    return pixels.reshape(height // 2, 2, width // 2, 2).max(axis=(1, 3))


def measured(
    seen: Overpass, window: Window, number: int, *, seed: int, errors: Errors
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a granule's files store: [4, y, x] at 10 m, [y, x] at 20 m, classes at 20 m; 0 is no data.

    number: of the granule, so that two granules of a day have noise of their own.
    """
    rng = np.random.default_rng([seed, 77, seen.sky.number, number])
    rows, columns = seen.window.slices(window)
    inside = seen.seen[rows, columns]
    pixels = _stored(seen.reflectance[:4, rows, columns], inside, seen.sky, errors, rng)
    infrared = _stored(
        seen.reflectance[4:, rows, columns][:, ::2, ::2], ~_most(~inside), seen.sky, errors, rng
    )
    half = seen.classes[_halved(rows), _halved(columns)]
    return pixels, infrared[0], half


def _halved(part: slice) -> slice:
    return slice(part.start // 2, part.stop // 2)


def _stored(
    reflectance: Floats, inside: np.ndarray, sky: Sky, errors: Errors, rng: np.random.Generator
) -> np.ndarray:
    noisy = reflectance + np.float32(errors.noise) * rng.standard_normal(reflectance.shape, np.float32)
    stored = np.round(noisy / np.float32(QUANTUM)) + offset(sky.when.date())
    return np.where(inside, np.clip(stored, 1, 65535), 0).astype(np.uint16)


def corners_local(window: Window) -> Floats:
    """The corners of a window in the local frame [4, 2]."""
    return to_local(window.epsg, window.outline())
