"""Clouds and their shadows over the landscape on one day, the same for every granule."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from geolab.town.model import Floats
from geolab.town.satellite.noise import smooth

LAT = 48.75
KINDS = ("cumulus", "deck", "veil")
HEIGHT_M = {"cumulus": 1300.0, "deck": 900.0, "veil": 0.0}  # veils are too thin to cast a shadow
DEPTH = {"cumulus": 0.97, "deck": 0.98, "veil": 0.22}  # most of the ground that is hidden
SOFT = {"cumulus": 0.22, "deck": 0.45, "veil": 0.9}  # width of the edges, in units of the noise
SHADE = 0.62  # how much light a thick cloud takes from its shadow


@dataclass(frozen=True)
class Sky:
    """One overpass: when, from which side the sun shone, what clouds there were.

    cover: share of the area with any cloud. orbit: 0 sees the whole area, 1 leaves a part of it out.
    snow: share of the ground that is white.
    """

    number: int
    when: datetime
    kind: str
    cover: float
    orbit: int
    snow: float = 0.0

    @property
    def sun_elevation_deg(self) -> float:
        """At 10:10 UTC, from the day of the year."""
        tilt = -23.44 * np.cos(2 * np.pi * (self.when.timetuple().tm_yday + 10) / 365)
        hour = np.radians(-15.5)
        lat, tilt = np.radians(LAT), np.radians(tilt)
        sine = np.sin(lat) * np.sin(tilt) + np.cos(lat) * np.cos(tilt) * np.cos(hour)
        return float(np.degrees(np.arcsin(sine)))

    @property
    def sun_azimuth_deg(self) -> float:
        return 151.0 + 0.1 * (60 - self.sun_elevation_deg)


@dataclass(frozen=True)
class Veil:
    """What lies between ground and satellite at some places.

    hidden: share of the ground that clouds hide. bright: of the cloud, relative. shade: share of the
    light that shadows take. All 0 exactly where there is nothing.
    """

    hidden: Floats
    bright: Floats
    shade: Floats


def veil(seed: int, sky: Sky, places: Floats, area: Floats) -> Veil:
    """The clouds of a day over places [y, x, 2] of the local frame.

    area: places [N, 2] over the whole area, by which `cover` is understood.
    """
    if sky.cover <= 0:
        return Veil(*(np.zeros(places.shape[:2], np.float32) for _ in range(3)))
    clouds = _Clouds(seed, sky)
    limit = float(np.quantile(clouds.noise(area), 1 - sky.cover))
    hidden = clouds.hidden(places, limit)
    shade = np.zeros_like(hidden)
    if HEIGHT_M[sky.kind]:
        shade = SHADE * clouds.hidden(places + clouds.towards_sun_m(), limit)
    bright = 0.86 + 0.14 * clouds.grain(places) + 0.10 * (hidden - 0.5)
    return Veil(hidden.astype(np.float32), bright.astype(np.float32), shade.astype(np.float32))


class _Clouds:
    """Noise in several octaves that moves with the day."""

    def __init__(self, seed: int, sky: Sky):
        self.sky = sky
        waves = {"cumulus": 900.0, "deck": 2600.0, "veil": 2200.0}[sky.kind]
        number = 1000 + 10 * sky.number
        self.octaves = [smooth(seed, number + n, max(waves / 2.1**n, 60.0)) for n in range(5)]
        self.fine = smooth(seed, number + 7, 140.0)
        self.stretch = np.array([0.45, 1.4]) if sky.kind == "veil" else np.ones(2)

    def noise(self, places: Floats) -> Floats:
        layers = [octave(places * self.stretch) * 0.55**n for n, octave in enumerate(self.octaves)]
        return np.sum(layers, axis=0)

    def grain(self, places: Floats) -> Floats:
        return 0.6 * self.fine(places) + 0.4 * self.octaves[3](places)

    def hidden(self, places: Floats, limit: float) -> Floats:
        """0 beyond the edge of a cloud, exactly; rises smoothly inwards."""
        inward = np.clip((self.noise(places) - limit) / SOFT[self.sky.kind], 0, 1)
        return DEPTH[self.sky.kind] * inward * inward * (3 - 2 * inward)

    def towards_sun_m(self) -> Floats:
        """From a place on the ground to below the cloud that shades it, metres east and north."""
        away = HEIGHT_M[self.sky.kind] / np.tan(np.radians(self.sky.sun_elevation_deg))
        azimuth = np.radians(self.sky.sun_azimuth_deg)
        return away * np.array([np.sin(azimuth), np.cos(azimuth)])


# ---------------------------------------------------------------- the days of a year

DAYS = (97, 122, 143, 158, 173, 189, 205, 221, 237, 263, 284)  # six of them from June to August
SUMMER = slice(3, 9)
SUMMER_COVER = (0.0, 0.0, 0.08, 0.2, 0.42, 0.75)


def days(seed: int, years: range) -> list[Sky]:
    """The overpasses of some years: eleven each, six of them in summer, no two skies alike."""
    rng = np.random.default_rng([seed, 74])
    return [sky for n, year in enumerate(years) for sky in _year(rng, year, n * len(DAYS))]


def _year(rng: np.random.Generator, year: int, first: int) -> list[Sky]:
    cover = rng.choice([0.0, 0.04, 0.15, 0.3, 0.5, 0.7], len(DAYS))
    cover[SUMMER] = rng.permutation(SUMMER_COVER)
    cover = np.where(cover > 0, np.clip(cover + rng.uniform(-0.04, 0.06, len(DAYS)), 0.02, 0.95), 0)
    days = np.array(DAYS) + rng.integers(-3, 4, len(DAYS))
    snowy = rng.random() < 0.4
    made = []
    for n, (day, share) in enumerate(zip(days, cover, strict=True)):
        kind = str(rng.choice(KINDS, p=[0.62, 0.26, 0.12] if share < 0.6 else [0.2, 0.8, 0.0]))
        when = datetime.strptime(f"{year} {day}", "%Y %j").replace(
            hour=10, minute=int(rng.integers(8, 18)), second=int(rng.integers(60)), tzinfo=None
        )
        orbit = int(n % 4 == 2)
        made.append(Sky(first + n, when, kind, float(share), orbit, 0.35 if snowy and n == 0 else 0.0))
    return made
