"""The ground as a satellite sees it without clouds: mixtures of things in the pixels of a window."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from geolab.town.model import Floats
from geolab.town.satellite import spectra
from geolab.town.satellite.area import GSD_M, Area, Window, local_grid
from geolab.town.satellite.land import make
from geolab.town.satellite.landscape import SUB_M, Land, paint
from geolab.town.satellite.noise import smooth
from geolab.town.satellite.sites import Site, choose

if TYPE_CHECKING:
    from scipy.sparse import csr_array

PER_PX = int(GSD_M / SUB_M)
WAVES_M = (25.0, 90.0, 400.0)
ROTATION = 0.08  # share of the fields on which another crop grows than the year before


@dataclass(frozen=True)
class Ground:
    """A landscape and its changes over some years."""

    seed: int
    years: range
    land: Land
    sites: tuple[Site, ...]
    crops: np.ndarray  # [year, thing] kind of every thing in every year

    def mosaic(self, year: int) -> np.ndarray:
        """The thing at every place of the landscape in a year [y, x]."""
        ids = np.zeros(self.land.shape, np.int32)
        shapes = self.land.shapes + self.land.woods
        for site in self.sites:
            shapes += site.after if year >= site.year else site.before
        paint(ids, self.land.transform, shapes + self.land.above)
        return ids

    def changed(self, year: int) -> np.ndarray:
        """1 at every place whose use is another in a year than in the year before, else 0 [y, x]."""
        mask = np.zeros(self.land.shape, np.uint8)
        paint(mask, self.land.transform, [(s.outline, 1) for s in self.sites if s.year == year])
        paint(mask, self.land.transform, [(outline, 0) for outline, _ in self.land.above])
        return mask


def make_ground(seed: int, area: Area, years: range) -> Ground:
    """The landscape of a seed around an area, with the changes of some years."""
    land = make(seed, area.bounds)
    sites = tuple(choose(land, area, years))
    return Ground(seed, years, land, sites, _rotate(land, len(years)))


def _rotate(land: Land, years: int) -> np.ndarray:
    """What every thing is in every year: crops change, everything else stays."""
    kinds = np.array(land.things.kinds)
    names = [spectra.KINDS.index(crop) for crop in spectra.CROPS]
    rows = [kinds]
    for _ in range(years - 1):
        turn = np.isin(kinds, names) & (land.rng.random(len(kinds)) < ROTATION)
        rows.append(np.where(turn, land.rng.choice(names, len(kinds)), rows[-1]))
    return np.array(rows)


@dataclass(frozen=True)
class View:
    """What the pixels of a window hold in one year: shares of things, and how the ground varies."""

    window: Window
    shares: csr_array  # [pixel, thing]
    kinds: np.ndarray  # [thing]
    tints: Floats  # [thing, band]
    variation: Floats  # [pixel]

    def reflectance(self, day: date) -> Floats:
        """[band, y, x] float32, 0..1, without clouds and noise; short-wave infrared in pairs of pixels."""
        table = spectra.colours(day.timetuple().tm_yday)[self.kinds] * self.tints
        flat = (self.shares @ table) * self.variation[:, None]
        pixels = np.clip(flat, 0.008, 0.98).T.reshape(5, *self.window.shape).astype(np.float32)
        pixels[4] = coarse(pixels[4]).repeat(2, axis=0).repeat(2, axis=1)
        return pixels

    def water(self) -> np.ndarray:
        """Where most of a pixel is water [y, x]."""
        wet = np.isin(self.kinds, [spectra.KINDS.index("river"), spectra.KINDS.index("lake")])
        return ((self.shares @ wet.astype(float)) > 0.5).reshape(self.window.shape)


def coarse(pixels: np.ndarray) -> np.ndarray:
    """Means of 2 x 2 pixels."""
    height, width = pixels.shape
    return pixels.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3), dtype=np.float64)


def look(
    ground: Ground, mosaic: np.ndarray, window: Window, year: int, *, shift_px: tuple[float, float] = (0, 0)
) -> View:
    """The view of a year, whose mosaic is given, through a window."""
    from scipy.sparse import csr_array, vstack

    kinds = ground.crops[year - ground.years[0]]
    parts = [
        _part(ground, sampled(mosaic, ground, strip, shift_px), kinds, local_grid(strip, shift_px=shift_px))
        for strip in window.strips()
    ]
    shares = csr_array(vstack([part[0] for part in parts]))
    variation = np.concatenate([part[1] for part in parts])
    return View(window, shares, kinds, np.array(ground.land.things.tints), variation)


def _part(ground: Ground, ids: np.ndarray, kinds: np.ndarray, grid: Floats) -> tuple[csr_array, Floats]:
    """Shares and variation of the pixels of a strip."""
    shares = _shares(ids, len(kinds))
    places = np.moveaxis(grid, 0, -1).reshape(-1, 2)
    strength = shares @ spectra.textures()[kinds]
    noise = np.stack([smooth(ground.seed, 80 + n, wave)(places) for n, wave in enumerate(WAVES_M)], axis=1)
    return shares, np.clip(1 + (strength * noise).sum(axis=1), 0.5, 1.6)


def sampled(
    mosaic: np.ndarray, ground: Ground, window: Window, shift_px: tuple[float, float] = (0, 0)
) -> np.ndarray:
    """The mosaic at PER_PX x PER_PX places of every pixel [pixel, place]."""
    x, y = local_grid(window, per_px=PER_PX, shift_px=shift_px)
    west, _, _, north = ground.land.bounds
    found = mosaic[((north - y) / SUB_M).astype(int), ((x - west) / SUB_M).astype(int)]
    blocks = found.reshape(window.height, PER_PX, window.width, PER_PX)
    return blocks.transpose(0, 2, 1, 3).reshape(-1, PER_PX**2)


def _shares(ids: np.ndarray, things: int) -> csr_array:
    """How much of each pixel is each thing, from the things at its places [pixel, place]."""
    from scipy.sparse import coo_array

    pixels = np.arange(len(ids)).repeat(ids.shape[1])
    share = np.full(ids.size, 1 / ids.shape[1], np.float32)
    return coo_array((share, (pixels, ids.ravel())), shape=(len(ids), things)).tocsr()
