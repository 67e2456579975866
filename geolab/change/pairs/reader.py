"""Windows of images, from memory where the images fit there."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from geolab import raster
from geolab.change.windows import Span

Pixels = NDArray[np.float32]

CACHE_BYTES = 1 << 30  # pixels kept in memory, all images together
LARGEST_CACHED_BYTES = 256 << 20  # a larger image is read window by window
STRIP_ROWS = 512


@dataclass(frozen=True)
class _Kept:
    """An image in its own data type; `invalid` is [band, y, x], or None where all of it is valid."""

    values: NDArray
    invalid: NDArray[np.bool_] | None

    @property
    def nbytes(self) -> int:
        return self.values.nbytes + (0 if self.invalid is None else self.invalid.nbytes)


class Reader:
    """Reads windows as float32 with NaN where invalid; remembers small images, least used go first.

    Safe for several threads.
    """

    def __init__(self, cache_bytes: int = CACHE_BYTES):
        self._budget = cache_bytes
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._large: set[str] = set()
        self._lock = threading.Lock()

    def read(self, uri: str, rows: Span, cols: Span) -> Pixels:
        """Pixels [band, y, x] of a window that lies inside the image."""
        with self._lock:
            kept = self._kept.get(uri)
            if kept is None and uri not in self._large:
                kept = self._load(uri)
            elif kept is not None:
                self._kept.move_to_end(uri)
        if kept is None:
            return _read_window(uri, rows, cols)
        part = np.s_[:, rows.start : rows.stop, cols.start : cols.stop]
        pixels = kept.values[part].astype(np.float32)
        if kept.invalid is not None:
            pixels[kept.invalid[part]] = np.nan
        return pixels

    def _load(self, uri: str) -> _Kept | None:
        info = raster.read_info(uri)
        size = info.height * info.width * info.count * np.dtype(info.dtype).itemsize
        if size > min(LARGEST_CACHED_BYTES, self._budget):
            self._large.add(uri)
            return None
        kept = _read_whole(uri, info)
        self._kept[uri] = kept
        while len(self._kept) > 1 and sum(k.nbytes for k in self._kept.values()) > self._budget:
            self._kept.popitem(last=False)
        return kept


def _window(rows: Span, cols: Span) -> Window:
    return Window(cols.start, rows.start, cols.size, rows.size)  # pyright: ignore[reportCallIssue]


def _read_window(uri: str, rows: Span, cols: Span) -> Pixels:
    with raster.open_raster(uri) as dataset:
        return raster.read_window(dataset, _window(rows, cols))


def _read_whole(uri: str, info: raster.Info) -> _Kept:
    """The image in strips, so that its float32 form never stands in memory as a whole."""
    # float32, which windows come in, holds integers of up to 16 bits exactly
    dtype = np.dtype(info.dtype if np.can_cast(info.dtype, np.float32) else np.float32)
    values = np.empty((len(info.data_bands), info.height, info.width), dtype=dtype)
    invalid: NDArray[np.bool_] | None = None
    with raster.open_raster(uri) as dataset:
        for row in range(0, info.height, STRIP_ROWS):
            rows = Span(row, min(row + STRIP_ROWS, info.height))
            strip = raster.read_window(dataset, _window(rows, Span(0, info.width)))
            unknown = np.isnan(strip)
            if unknown.any():
                invalid = np.zeros(values.shape, dtype=bool) if invalid is None else invalid
                invalid[:, rows.start : rows.stop] = unknown
                strip[unknown] = 0
            values[:, rows.start : rows.stop] = strip
    return _Kept(values, invalid)
