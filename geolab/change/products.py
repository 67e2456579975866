"""The files that detection makes: levels of probability, the mask cut from them, their sums, their place."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from geolab import raster, store
from geolab.change.windows import Tile

Array = NDArray[Any]
Levels = NDArray[np.uint8]

TOP_LEVEL = 254  # stored for a probability of 1: probability = level / 254
NODATA = 255
FILES = ("probability.tif", "mask.tif", "polygons.parquet", "polygons.geojson")


def quantise(score: Array, valid: NDArray[np.bool_] | None) -> Levels:
    """Levels 0..254 of scores 0..1, 255 where not valid or where the score is NaN."""
    known = np.isfinite(score) if valid is None else valid & np.isfinite(score)
    if known.all():
        return (score * TOP_LEVEL + 0.5).astype(np.uint8)
    levels = (np.where(known, score, 0) * TOP_LEVEL + 0.5).astype(np.uint8)
    levels[~known] = NODATA
    return levels


def cut(threshold: float) -> Levels:
    """[256]: 1 for every level whose probability is at least the threshold, else 0; nodata stays."""
    table = (np.arange(256) / TOP_LEVEL >= threshold).astype(np.uint8)
    table[NODATA] = NODATA
    return table


class Tally:
    """Pixels that changed and pixels that are valid, counted for every row of a scene."""

    def __init__(self, height: int):
        self.changed = np.zeros(height, np.int64)
        self.valid = np.zeros(height, np.int64)

    def add(self, tile: Tile, mask: Levels) -> None:
        """Count the mask [y, x] of a tile's core."""
        rows = slice(tile.rows.start, tile.rows.stop)
        self.changed[rows] += np.count_nonzero(mask == 1, axis=1)
        self.valid[rows] += np.count_nonzero(mask != NODATA, axis=1)


@dataclass(frozen=True)
class Sheet:
    """One raster to be written: its file and what its header says. The grid is that of `like`."""

    path: Path
    like: raster.Info
    name: str
    tags: Mapping[str, str]
    scale: float = 1.0
    resampling: str = "nearest"


def writer(sheet: Sheet) -> Callable[[Iterator[tuple[Tile, Levels]]], None]:
    """A consumer that writes the cores of tiles, for a thread of its own."""

    def consume(cores: Iterator[tuple[Tile, Levels]]) -> None:
        with raster.write_cog(
            sheet.path,
            like=sheet.like,
            count=1,
            dtype="uint8",
            nodata=NODATA,
            band_names=[sheet.name],
            tags=sheet.tags,
            scales=[sheet.scale],
            resampling=sheet.resampling,
        ) as target:
            for tile, levels in cores:
                window = Window(tile.cols.start, tile.rows.start, tile.cols.size, tile.rows.size)  # pyright: ignore[reportCallIssue]
                target.write(levels, window)

    return consume


@contextmanager
def workplace(out: str) -> Iterator[Path]:
    """A hidden folder for unfinished products, beside their place where that is local."""
    local = store.local_path(out)
    if local is not None:
        local.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".detect-", dir=local) as folder:
        yield Path(folder)


def publish(work: Path, out: str) -> dict[str, str]:
    """The URIs of the finished products, by file name; each appears whole."""
    local = store.local_path(out)
    made = [name for name in FILES if (work / name).exists()]
    if local is None:
        for name in made:
            store.put_file(work / name, f"{out.rstrip('/')}/{name}")
        return {name: f"{out.rstrip('/')}/{name}" for name in made}
    for name in FILES:
        if name in made:
            (work / name).replace(local / name)
        else:
            (local / name).unlink(missing_ok=True)  # of an earlier run on other images
    return {name: str(local / name) for name in made}
