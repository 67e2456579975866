"""One year of an archive: its scenes written, and the truth that belongs to them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from geolab.town.satellite import files, scene, stac, truth
from geolab.town.satellite.area import Area, Granule
from geolab.town.satellite.ground import Ground, View, look
from geolab.town.satellite.scene import Errors, Overpass
from geolab.town.satellite.sky import Sky
from geolab.town.satellite.truth import Classed


@dataclass
class Year:
    """The scenes and the truth of one year."""

    folder: Path
    area: Area
    ground: Ground
    skies: list[Sky]
    errors: Errors
    pool: ThreadPoolExecutor

    def __post_init__(self) -> None:
        year = self.skies[0].when.year
        self.mosaic = self.ground.mosaic(year)
        self.views: dict[int, View] = {
            epsg: look(self.ground, self.mosaic, window, year) for epsg, window in self.area.zones.items()
        }
        self.passes: dict[int, list[Classed]] = {epsg: [] for epsg in self.views}

    def scenes(self) -> Iterator[list[Path]]:
        """Write every scene; the paths of the items, day by day."""
        for part in self.pool.map(self._overpass, self.skies):
            for epsg, (classed, _) in part.items():
                self.passes[epsg].append(classed)
            yield [path for _, paths in part.values() for path in paths]

    def _overpass(self, sky: Sky) -> dict[int, tuple[Classed, list[Path]]]:
        return {epsg: self._zone(sky, epsg) for epsg in self.views}

    def _zone(self, sky: Sky, epsg: int) -> tuple[Classed, list[Path]]:
        shift = self._shift(sky, epsg)
        view = self.views[epsg]
        if shift != (0.0, 0.0):
            view = look(self.ground, self.mosaic, view.window, sky.when.year, shift_px=shift)
        seen = scene.overpass(self.ground.seed, sky, view, self.area, self.errors)
        granules = [(n, g) for n, g in enumerate(self.area.granules) if g.window.epsg == epsg]
        paths = [self._write(seen, granule, number) for number, granule in granules]
        return Classed(sky, seen.classes), [path for path in paths if path is not None]

    def _shift(self, sky: Sky, epsg: int) -> tuple[float, float]:
        if self.errors.shift_px <= 0:
            return 0.0, 0.0
        rng = np.random.default_rng([self.ground.seed, 78, sky.number, epsg])
        x, y = rng.normal(0, self.errors.shift_px, 2)
        return float(x), float(y)

    def _write(self, seen: Overpass, granule: Granule, number: int) -> Path | None:
        """Write a granule's files and item; None if the strip missed it."""
        stored = scene.measured(seen, granule.window, number, seed=self.ground.seed, errors=self.errors)
        if not stored[0].any():
            return None
        name = stac.item_id(seen.sky, granule)
        folder = self.folder / stac.COLLECTION / str(seen.sky.when.year) / name
        facts = dict(_cogs(folder, granule, stored))
        document = stac.item(seen.sky, granule, stored[2], facts)
        if document is None:
            return None
        files.write_json(folder / f"{name}.json", document)
        return folder / f"{name}.json"

    def truths(self, year: int) -> list[Path]:
        """Write the truth of a year and of the changes since the year before."""
        return truth.write_year(self.folder, self.ground, self.area, self.views, self.passes, year)


def _cogs(
    folder: Path, granule: Granule, stored: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Write the files of a scene; asset by asset, what is known of each."""
    window = granule.window
    about: dict[str, Any] = {"epsg": window.epsg, "nodata": 0}
    for band, asset in enumerate(("blue", "green", "red", "nir")):
        path = folder / f"{asset}.tif"
        yield asset, files.write_cog(path, stored[0][band], transform=window.transform, **about)
    half = window.transform_at(20)
    yield "swir16", files.write_cog(folder / "swir16.tif", stored[1], transform=half, **about)
    yield "scl", files.write_cog(folder / "scl.tif", stored[2], transform=half, resampling="MODE", **about)
