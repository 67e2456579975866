"""The files that detection makes: levels of probability, the mask cut from them, their sums, their place."""

from __future__ import annotations

import fcntl
import os
import shutil
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
from geolab.change.components import Strip
from geolab.change.windows import Span, Tile

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


class Spool:
    """The levels of all tiles in a plain file, so that patches can be traced while COGs are compressed.

    Tiles are appended as they come; whole rows are read back once all tiles are there.
    """

    def __init__(self, path: Path, width: int):
        self._file = path.open("w+b", buffering=0)
        self._width = width
        self._end = 0
        self._rows: dict[Span, list[tuple[Span, int]]] = {}

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def add(self, tile: Tile, levels: Levels) -> None:
        """Keep the levels [y, x] of a tile's core."""
        self._rows.setdefault(tile.rows, []).append((tile.cols, self._end))
        self._end += self._file.write(np.ascontiguousarray(levels).data)

    def strips(self, most_pixels: int, changed: Levels, every: int = 1) -> Iterator[Strip]:
        """The scene from the top, in strips of at most so many pixels (or one row), each n-th of them.

        changed: [256], 1 for the levels that count as change.
        """
        table = changed == 1
        step = max(1, most_pixels // self._width)
        tops = [
            (rows, top)
            for rows in sorted(self._rows, key=lambda span: span.start)
            for top in range(rows.start, rows.stop, step)
        ]
        for rows, top in tops[::every]:
            levels = self._read(rows, Span(top, min(top + step, rows.stop)))
            yield Strip(top, table[levels], levels)

    def _read(self, tile_rows: Span, rows: Span) -> Levels:
        levels = np.empty((rows.size, self._width), np.uint8)
        for cols, offset in self._rows[tile_rows]:
            size = rows.size * cols.size
            data = os.pread(self._file.fileno(), size, offset + (rows.start - tile_rows.start) * cols.size)
            levels[:, cols.start : cols.stop] = np.frombuffer(data, np.uint8).reshape(rows.size, cols.size)
        return levels


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
            level=1,
        ) as target:
            for tile, levels in cores:
                window = Window(tile.cols.start, tile.rows.start, tile.cols.size, tile.rows.size)  # pyright: ignore[reportCallIssue]
                target.write(levels, window)

    return consume


@contextmanager
def workplace(out: str) -> Iterator[Path]:
    """A hidden folder for unfinished products, beside their place where that is local.

    It is locked while in use, so that what a killed run left behind is known and removed.
    """
    local = store.local_path(out)
    if local is not None:
        local.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(local)
    with (
        tempfile.TemporaryDirectory(prefix=".detect-", dir=local) as folder,
        Path(folder, "lock.new").open("wb") as lock,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)
        Path(lock.name).rename(Path(folder, "lock"))  # seen by others only once it is locked
        yield Path(folder)


def _remove_abandoned(folder: Path) -> None:
    for lock in folder.glob(".detect-*/lock"):
        try:
            with lock.open("rb") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.parent, ignore_errors=True)
        except (BlockingIOError, FileNotFoundError):
            continue  # in use, or just finished


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
