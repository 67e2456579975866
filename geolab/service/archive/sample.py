"""The API and the grid that a notebook is given; the word "sample" makes a small archive and serves it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from geolab.errors import BadInput
from geolab.service.archive.aside import aside
from geolab.town import satellite

SAMPLE = "sample"


@dataclass(frozen=True)
class Source:
    """An API's address, and the path of a grid of cells."""

    api: str
    grid: str


@contextmanager
def source(api: str, grid: str, *, year: int, cell_px: int = 64) -> Iterator[Source]:
    """Both as they are given; with "sample" an archive of one year and two cells, gone after the block.

    The sample is made only where it is asked for by name. Raises BadInput for a grid of it without its API.
    """
    if api != SAMPLE:
        if grid == SAMPLE:
            raise BadInput("grid", found=grid, expected="a GeoPackage", remedy="make one: geolab grid --help")
        yield Source(api, grid)
        return
    with tempfile.TemporaryDirectory(prefix="geolab-sample-") as folder:
        made = satellite.write(Path(folder), years=range(year, year + 1), cells=2, cell_px=cell_px)
        with aside(folder) as address:
            yield Source(address, str(made.grid) if grid == SAMPLE else grid)
