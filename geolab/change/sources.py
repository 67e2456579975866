"""Windows of a pair as they are stored, with what is invalid in them, reflected at the true border."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import MaskFlags
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from geolab import raster
from geolab.change.windows import Span, Tile, bounding, reflect
from geolab.errors import FileRejected

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Seen:
    """Pixels of one date: `values` [band, y, x] as stored, `invalid` likewise, None if all are valid."""

    values: Array
    invalid: NDArray[np.bool_] | None

    @property
    def valid(self) -> NDArray[np.bool_] | None:
        """[y, x], whether every band is valid; None if all are."""
        return None if self.invalid is None else np.logical_not(self.invalid.any(axis=0))

    def floats(self) -> NDArray[np.float32]:
        """The values as float32, NaN where invalid."""
        values = self.values.astype(np.float32)
        if self.invalid is not None:
            values[self.invalid] = np.nan
        return values

    def take(self, rows: Array, cols: Array) -> Seen:
        """The pixels at some rows and columns."""
        invalid = None if self.invalid is None else _taken(self.invalid, rows, cols)
        return Seen(_taken(self.values, rows, cols), invalid)


def _taken(pixels: Array, rows: Array, cols: Array) -> Array:
    """[band, y, x] at rows and columns; one axis at a time is several times faster than both at once."""
    if not np.array_equal(rows, np.arange(pixels.shape[1])):
        pixels = pixels.take(rows, axis=1)
    if not np.array_equal(cols, np.arange(pixels.shape[2])):
        pixels = pixels.take(cols, axis=2)
    return pixels


class Source:
    """An open raster that gives windows. Bands that hold transparency are not among them."""

    def __init__(self, dataset: DatasetReader, info: raster.Info):
        self._dataset, self._info = dataset, info
        self._bands = list(info.data_bands)
        flags = [dataset.mask_flag_enums[band - 1] for band in self._bands]
        whole = all(np.issubdtype(info.dtypes[band - 1], np.integer) for band in self._bands)
        self._all_valid = whole and all(flag == [MaskFlags.all_valid] for flag in flags)
        # integers with a plain nodata value are compared here: GDAL's mask bands cost a second reading
        self._by_value = whole and all(flag == [MaskFlags.nodata] for flag in flags)
        nodata = [dataset.nodatavals[band - 1] for band in self._bands]
        self._nodata = np.array([np.nan if value is None else value for value in nodata])[:, None, None]
        self._one_nodata = nodata[0] if len(set(nodata)) == 1 else None

    def read(self, rows: Span, cols: Span) -> Seen:
        """The pixels of a window that may reach beyond the raster. Raises FileRejected if damaged."""
        down, across = reflect(rows, self._info.height), reflect(cols, self._info.width)
        inner_rows, inner_cols = bounding(down), bounding(across)
        seen = self._read(inner_rows, inner_cols)
        if (inner_rows, inner_cols) == (rows, cols):
            return seen
        return seen.take(down - inner_rows.start, across - inner_cols.start)

    def _read(self, rows: Span, cols: Span) -> Seen:
        window = Window(cols.start, rows.start, cols.size, rows.size)  # pyright: ignore[reportCallIssue]
        if not (self._all_valid or self._by_value):
            values = raster.read_window(self._dataset, window)
            return Seen(values, np.isnan(values))
        try:
            values = self._dataset.read(self._bands, window=window)
        except RasterioError as error:
            raise FileRejected(
                self._info.uri, f"its pixels can't be read, the file is damaged: {error}"
            ) from error
        if self._all_valid:
            return Seen(values, None)
        invalid = values == (self._nodata if self._one_nodata is None else self._one_nodata)
        return Seen(values, invalid if invalid.any() else None)


def read_pair(
    before: raster.Info, after: raster.Info, places: Iterable[tuple[Span, Span]]
) -> Iterator[tuple[Seen, Seen]]:
    """Both dates at each place (rows, columns), in order."""
    with raster.open_raster(before.uri) as first, raster.open_raster(after.uri) as second:
        early, late = Source(first, before), Source(second, after)
        for rows, cols in places:
            yield early.read(rows, cols), late.read(rows, cols)


def read_tiles(
    before: raster.Info, after: raster.Info, tiles: Iterable[Tile]
) -> Iterator[tuple[Tile, Seen, Seen]]:
    """Every tile with what is seen of both dates around it."""
    with raster.open_raster(before.uri) as first, raster.open_raster(after.uri) as second:
        early, late = Source(first, before), Source(second, after)
        for tile in tiles:
            yield (
                tile,
                early.read(tile.read_rows, tile.read_cols),
                late.read(tile.read_rows, tile.read_cols),
            )
