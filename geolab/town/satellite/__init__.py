"""A satellite archive of the sample world: Sentinel-2-like scenes of some years, and the exact truth.

    archive = satellite.write("world", years=range(2021, 2025), cells=12)

The ground is one landscape across the edge of two UTM zones. See README.txt in the folder for what is what.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from geolab.errors import BadInput
from geolab.store import write_bytes
from geolab.town.files import check_folder
from geolab.town.satellite import files, note, stac, truth
from geolab.town.satellite.area import Area, lay_out
from geolab.town.satellite.ground import make_ground
from geolab.town.satellite.scene import Errors
from geolab.town.satellite.sky import Sky, days
from geolab.town.satellite.year import Year

__all__ = ["Archive", "Errors", "Progress", "making", "write"]

FIRST_YEAR, LAST_YEAR, MOST_CELLS = 2016, 2099, 400


@dataclass(frozen=True)
class Archive:
    """Where the files of an archive are. items: of the STAC documents."""

    folder: Path
    grid: Path
    readme: Path
    items: tuple[Path, ...]
    truth: tuple[Path, ...]


@dataclass(frozen=True)
class Progress:
    """How many of the overpasses are written; with the last word, the archive."""

    done: int
    total: int
    archive: Archive | None = None


def write(folder: str | Path, **settings: Any) -> Archive:
    """The archive of a seed: scenes as COGs with STAC items, the grid of cells, the truth.

    settings: as of `making`. Raises BadInput.
    """
    *_, last = making(folder, **settings)
    assert last.archive is not None
    return last.archive


def making(
    folder: str | Path,
    *,
    seed: int = 0,
    years: range = range(2021, 2025),
    cells: int = 12,
    cell_px: int = 128,
    errors: Errors | None = None,
    workers: int = 2,
) -> Iterator[Progress]:
    """Make the archive of a seed, and say how far it is.

    years: the scenes of each year and the changes between them. cells: half of them lie in either UTM
    zone. cell_px: side of a cell in pixels of 10 m. The same arguments give the same bytes. An archive
    that was in the folder is replaced; until the new one is whole, it can't be served. Raises BadInput.
    """
    _check(seed, years, cells, cell_px)
    return _making(check_folder(folder), seed, years, lay_out(cells, cell_px), errors or Errors(), workers)


def _making(
    folder: Path, seed: int, years: range, area: Area, errors: Errors, workers: int
) -> Iterator[Progress]:
    ground, skies = make_ground(seed, area, years), days(seed, years)
    _clear(folder)
    items: list[Path] = []
    truths: list[Path] = []
    done = 0
    with ThreadPoolExecutor(workers) as pool:
        for year in years:
            work = Year(folder, area, ground, [s for s in skies if s.when.year == year], errors, pool)
            for written in work.scenes():
                items += written
                done += 1
                yield Progress(done, len(skies))
            truths += work.truths(year)
    truths.append(truth.write_sites(folder, ground))
    files.write_grid(folder / files.GRID, area.cells)
    text = note.words(area, ground, skies, errors, len(items))
    write_bytes(folder / note.README, text.encode())
    items.sort()
    _documents(folder, area, skies, items)
    made = Archive(folder, folder / files.GRID, folder / note.README, tuple(items), tuple(truths))
    yield Progress(done, len(skies), made)


def _clear(folder: Path) -> None:
    """Remove an archive that this module has written; the catalogue first, which makes it one."""
    catalog = folder / "catalog.json"
    if files.is_archive(catalog):
        catalog.unlink()
        for name in (stac.COLLECTION, truth.FOLDER):
            shutil.rmtree(folder / name, ignore_errors=True)


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


def _documents(path: Path, area: Area, skies: list[Sky], items: list[Path]) -> None:
    """The documents that name the items; the catalogue last, so that only a whole archive has one."""
    folder = path / stac.COLLECTION
    hrefs = [item.relative_to(folder).as_posix() for item in items]
    files.write_json(folder / "collection.json", stac.collection(area, skies, hrefs))
    files.write_json(path / "catalog.json", stac.catalog())
