"""Open rasters and their decoded blocks, kept for the next tile: opening and unpacking cost most of one.

GDAL's datasets may not be shared by threads, so each thread keeps its own; blocks are shared by all.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader
from rasterio.transform import Affine
from rasterio.windows import Window

from geolab import raster, store
from geolab.errors import NotFound
from geolab.raster.info import DRIVERS, gdal_env, positions
from geolab.service.tiles.keep import Kept

Array = np.ndarray

BLOCKS_BYTES = 96_000_000
GDAL_CACHE_BYTES = 16_000_000  # of its own: blocks are kept here
OPEN_PER_THREAD = 12
FORGET_S = 300  # a remote file of which nobody says the version is read anew after so long
LEAST_PX = 128
LARGEST_BLOCK_PX = 4_194_304  # larger ones (whole strips, untiled JPEGs) are not worth keeping


@dataclass(frozen=True)
class Source:
    """One version of a raster."""

    uri: str
    version: str


def source(uri: str, version: str = "") -> Source:
    """The raster as it is now. Raises NotFound. version: what tells its bytes from older ones, if known."""
    if version:
        return Source(uri, version)
    path = store.local_path(uri)
    if path is None:
        return Source(uri, f"at {int(time.time() // FORGET_S)}")
    try:
        status = path.stat()
    except OSError as error:
        raise NotFound("file", path.name) from error
    return Source(uri, f"{status.st_ino}-{status.st_size}-{status.st_mtime_ns}")


@dataclass(frozen=True)
class Header:
    """What a tile needs to know of a raster, or of one of its overviews."""

    width: int
    height: int
    count: int
    crs: CRS | None
    transform: Affine
    dtypes: tuple[str, ...]
    nodata: tuple[float | None, ...]
    descriptions: tuple[str | None, ...]
    colors: tuple[str, ...]
    overviews: tuple[int, ...]
    block: tuple[int, int]  # height, width
    masked: bool  # a mask or alpha says what is valid, besides nodata
    has_gcps: bool

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(left, bottom, right, top) of the box around all four corners, in the CRS's units."""
        columns, rows = np.array([0, self.width, 0, self.width]), np.array([0, 0, self.height, self.height])
        xs, ys = positions(self.transform, columns, rows)
        return float(xs.min()), float(ys.min()), float(xs.max()), float(ys.max())


@dataclass(frozen=True)
class Block:
    """Decoded pixels [band, y, x] and which of them are valid [y, x]; None: all."""

    pixels: Array
    valid: Array | None

    @property
    def size_bytes(self) -> int:
        return self.pixels.nbytes + (0 if self.valid is None else self.valid.nbytes)


_blocks: Kept[Block] = Kept(BLOCKS_BYTES, lambda block: block.size_bytes)
_mine = threading.local()


def _open(of: Source, level: int | None) -> DatasetReader:
    """This thread's open dataset of an overview (None: the raster itself)."""
    datasets: OrderedDict[Hashable, DatasetReader] = _mine.__dict__.setdefault("datasets", OrderedDict())
    key = (of, level)
    if key not in datasets:
        options = {} if level is None else {"overview_level": level}
        datasets[key] = DatasetReader(store.vsi_path(of.uri), driver=list(DRIVERS), **options)
        while len(datasets) > OPEN_PER_THREAD:
            datasets.popitem(last=False)[1].close()
    datasets.move_to_end(key)
    return datasets[key]


@lru_cache(2048)
def header(of: Source, level: int | None = None) -> Header:
    """The header of a raster or of one of its overviews. Raises NotFound, FileRejected."""
    options = {} if level is None else {"overview_level": level}
    with raster.open_raster(of.uri, **options) as dataset:
        flags = {flag for band in dataset.mask_flag_enums for flag in band}
        return Header(
            dataset.width,
            dataset.height,
            dataset.count,
            dataset.crs,
            dataset.transform,
            tuple(dataset.dtypes),
            tuple(dataset.nodatavals),
            tuple(dataset.descriptions),
            tuple(c.name for c in dataset.colorinterp),
            tuple(dataset.overviews(1)) if dataset.count else (),
            tuple(dataset.block_shapes[0]) if dataset.count else (1, 1),
            bool(flags & {MaskFlags.per_dataset, MaskFlags.alpha})
            or ColorInterp.alpha in dataset.colorinterp,
            bool(dataset.gcps[0]),
        )


@lru_cache(256)
def colormap(of: Source, band: int) -> dict[int, tuple[int, int, int, int]]:
    """The file's own colours of a band of classes."""
    with raster.open_raster(of.uri) as dataset:
        return dataset.colormap(band)


def region(of: Source, level: int | None, bands: tuple[int, ...], box: tuple[int, int, int, int]) -> Block:
    """The pixels of rows top..bottom and columns left..right, put together from kept blocks.

    box: top, bottom, left, right, inside the raster. Raises RasterioError.
    """
    top, bottom, left, right = box
    head = header(of, level)
    high, wide = _unit(head.block)
    if high * wide > LARGEST_BLOCK_PX:
        return _read(of, level, bands, box)
    pixels = np.empty((len(bands), bottom - top, right - left), head.dtypes[bands[0] - 1])
    valid: Array | None = None
    for row in range(top // high, -(-bottom // high)):
        for column in range(left // wide, -(-right // wide)):
            y0, x0 = row * high, column * wide
            y1, x1 = min(y0 + high, head.height), min(x0 + wide, head.width)
            block = _block(of, level, bands, (y0, y1, x0, x1))
            ys, xs = slice(max(top, y0), min(bottom, y1)), slice(max(left, x0), min(right, x1))
            here = np.s_[ys.start - top : ys.stop - top, xs.start - left : xs.stop - left]
            there = np.s_[ys.start - y0 : ys.stop - y0, xs.start - x0 : xs.stop - x0]
            pixels[(slice(None), *here)] = block.pixels[(slice(None), *there)]
            if block.valid is not None:
                valid = np.ones(pixels.shape[1:], bool) if valid is None else valid
                valid[here] = block.valid[there]
    return Block(pixels, valid)


def _unit(block: tuple[int, int]) -> tuple[int, int]:
    """What is kept as one: a block, or several strips that are thinner than LEAST_PX."""
    high, wide = block
    return high * -(-LEAST_PX // high), wide * -(-LEAST_PX // wide)


def _block(of: Source, level: int | None, bands: tuple[int, ...], box: tuple[int, int, int, int]) -> Block:
    return _blocks.get((of, level, bands, box), lambda: _read(of, level, bands, box))


def _read(of: Source, level: int | None, bands: tuple[int, ...], box: tuple[int, int, int, int]) -> Block:
    top, bottom, left, right = box
    window = Window(left, top, right - left, bottom - top)  # pyright: ignore[reportCallIssue]
    head = header(of, level)
    remote = store.local_path(of.uri) is None
    with gdal_env(remote=remote), rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_BYTES):
        dataset = _open(of, level)
        pixels = dataset.read(bands, window=window)
        valid = dataset.read_masks(bands[0], window=window) > 0 if head.masked else None
    known = [_known(pixels[i], head.nodata[band - 1]) for i, band in enumerate(bands)]
    for one in known:
        if one is not None:
            valid = one if valid is None else valid & one
    return Block(pixels, None if valid is None or valid.all() else valid)


def _known(pixels: Array, nodata: float | None) -> Array | None:
    """Where a band has a value; None: everywhere."""
    if np.issubdtype(pixels.dtype, np.inexact):
        finite = np.isfinite(pixels)
        return (
            finite if nodata is None or np.isnan(nodata) else finite & (pixels != pixels.dtype.type(nodata))
        )
    return None if nodata is None else pixels != nodata
