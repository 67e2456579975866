"""A satellite archive of the sample world: Sentinel-2-like scenes of some years, and the exact truth.

    archive = satellite.write("world", years=range(2021, 2025), cells=12)

The ground is one landscape across the edge of two UTM zones. See README.txt in the folder for what is what.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from geolab.errors import BadInput
from geolab.store import write_bytes
from geolab.town.files import check_folder
from geolab.town.satellite import files, note, scene, stac, truth
from geolab.town.satellite.area import Area, Granule, lay_out
from geolab.town.satellite.ground import Ground, View, look, make_ground
from geolab.town.satellite.scene import Errors, Overpass
from geolab.town.satellite.sky import Sky, days

__all__ = ["Archive", "Errors", "write"]

FIRST_YEAR, LAST_YEAR, MOST_CELLS = 2016, 2099, 400


@dataclass(frozen=True)
class Archive:
    """Where the files of an archive are. items: of the STAC documents."""

    folder: Path
    grid: Path
    readme: Path
    items: tuple[Path, ...]
    truth: tuple[Path, ...]


def write(
    folder: str | Path,
    *,
    seed: int = 0,
    years: range = range(2021, 2025),
    cells: int = 12,
    cell_px: int = 128,
    errors: Errors | None = None,
    workers: int = 2,
) -> Archive:
    """The archive of a seed: scenes as COGs with STAC items, the grid of cells, the truth.

    years: the scenes of each year and the changes between them. cells: half of them lie in either UTM
    zone. cell_px: side of a cell in pixels of 10 m. The same arguments give the same bytes.
    Raises BadInput.
    """
    _check(seed, years, cells, cell_px)
    path, errors = check_folder(folder), errors or Errors()
    area = lay_out(cells, cell_px)
    ground = make_ground(seed, area, years)
    skies = days(seed, years)
    items, truths = [], []
    with ThreadPoolExecutor(workers) as pool:
        for year in years:
            work = _Year(path, area, ground, [s for s in skies if s.when.year == year], errors, pool)
            items += work.scenes()
            truths += work.truths(year)
    items.sort()
    _documents(path, area, skies, items)
    truths.append(truth.write_sites(path, ground))
    files.write_grid(path / files.GRID, area.cells)
    text = note.words(area, ground, skies, errors, len(items))
    write_bytes(path / note.README, text.encode())
    return Archive(path, path / files.GRID, path / note.README, tuple(items), tuple(truths))


def _check(seed: int, years: range, cells: int, cell_px: int) -> None:
    if not _is_whole(seed) or seed < 0:
        raise BadInput("seed", found=repr(seed), expected="a whole number of at least 0")
    if not len(years) or years.step != 1 or years[0] < FIRST_YEAR or years[-1] > LAST_YEAR or len(years) > 20:
        found = f"{years.start} to {years.stop - 1}"
        raise BadInput("years", found=found, expected=f"1 to 20 years in a row, {FIRST_YEAR} to {LAST_YEAR}")
    if not _is_whole(cells) or not 1 <= cells <= MOST_CELLS:
        raise BadInput("cells", found=repr(cells), expected=f"a whole number, 1 to {MOST_CELLS}")
    if not _is_whole(cell_px) or cell_px % 2 or not 32 <= cell_px <= 512:
        raise BadInput("cell_px", found=repr(cell_px), expected="an even number, 32 to 512")


def _is_whole(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


@dataclass
class _Year:
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
        self.passes: dict[int, list[Overpass]] = {epsg: [] for epsg in self.views}

    def scenes(self) -> list[Path]:
        """Write every scene; the paths of the items."""
        written: list[Path] = []
        for part in self.pool.map(self._overpass, self.skies):
            for seen, paths in part:
                self.passes[seen.window.epsg].append(seen)
                written += paths
        return written

    def _overpass(self, sky: Sky) -> list[tuple[Overpass, list[Path]]]:
        return [self._zone(sky, epsg) for epsg in self.views]

    def _zone(self, sky: Sky, epsg: int) -> tuple[Overpass, list[Path]]:
        shift = self._shift(sky, epsg)
        view = self.views[epsg]
        if shift != (0.0, 0.0):
            view = look(self.ground, self.mosaic, view.window, sky.when.year, shift_px=shift)
        seen = scene.overpass(self.ground.seed, sky, view, self.area, self.errors)
        granules = [(n, g) for n, g in enumerate(self.area.granules) if g.window.epsg == epsg]
        paths = [self._write(seen, granule, number) for number, granule in granules]
        return seen, [path for path in paths if path is not None]

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


def _documents(path: Path, area: Area, skies: list[Sky], items: list[Path]) -> None:
    files.write_json(path / "catalog.json", stac.catalog())
    folder = path / stac.COLLECTION
    hrefs = [item.relative_to(folder).as_posix() for item in items]
    files.write_json(folder / "collection.json", stac.collection(area, skies, hrefs))
