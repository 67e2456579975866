"""Is every pixel of a file readable, and is anything there?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rasterio.enums import MaskFlags
from rasterio.io import DatasetReader
from rasterio.windows import Window

from geolab import store
from geolab.errors import FileRejected, one_line
from geolab.raster.checksums import damaged_block
from geolab.raster.info import GDAL_ERRORS, open_raster

CHECK_PX = 4_000_000  # pixels of all bands read at a time, about


@dataclass(frozen=True)
class Content:
    """What reading all pixels found."""

    any_valid: bool


def check(uri: str) -> None:
    """Nothing, if every block of every band can be read. Raises FileRejected with the reason, NotFound."""
    check_content(uri)


def check_content(uri: str) -> Content:
    """What all pixels of a raster hold, after reading every block. Raises FileRejected, NotFound."""
    with open_raster(uri) as dataset:
        if dataset.count == 0:
            raise FileRejected(uri, _container(dataset))
        any_valid = False
        for window in _strips(dataset):
            try:
                pixels = dataset.read(window=window)
                any_valid = any_valid or _any_valid(dataset, window, pixels)
            except GDAL_ERRORS as error:
                raise FileRejected(uri, _damage(dataset, window, error)) from error
        path = store.local_path(uri)
        row = damaged_block(dataset, path) if path is not None else None
        if row is not None:
            raise FileRejected(uri, _damage_at(dataset, row, "wrong checksum"))
    return Content(any_valid)


def _container(dataset: DatasetReader) -> str:
    names = [name.rsplit(":", 1)[-1] for name in dataset.subdatasets]
    if not names:
        return "it holds no raster bands"
    return (
        f"it holds {len(names)} rasters ({', '.join(names[:8])}); take one out first: "
        f"gdal_translate {dataset.driver.upper()}:FILE:{names[0]} {names[0]}.tif"
    )


def _strips(dataset: DatasetReader) -> list[Window]:
    """Whole rows of blocks, so that no block is decoded twice, of about CHECK_PX pixels."""
    block_rows = dataset.block_shapes[0][0]
    rows_wanted = max(1, CHECK_PX // max(1, dataset.width * dataset.count))
    rows = max(block_rows, rows_wanted // block_rows * block_rows)
    return [
        Window(0, row, dataset.width, min(rows, dataset.height - row))  # pyright: ignore[reportCallIssue]
        for row in range(0, dataset.height, rows)
    ]


def _any_valid(dataset: DatasetReader, window: Window, pixels: np.ndarray) -> bool:
    flags = dataset.mask_flag_enums[0]
    if np.issubdtype(pixels.dtype, np.inexact) and not np.isfinite(pixels).any():
        return False
    return True if MaskFlags.all_valid in flags else bool(dataset.dataset_mask(window=window).any())


def _damage(dataset: DatasetReader, window: Window, error: Exception) -> str:
    cause = str(error.__cause__ or error).replace(dataset.name, "the file")
    detail = one_line(cause.removeprefix(Path(dataset.name).name + ", "), 140)
    return _damage_at(dataset, int(window.row_off), detail)


def _damage_at(dataset: DatasetReader, row: int, detail: str) -> str:
    return (
        f"its pixels can't be read from row {row} of {dataset.height} on, the file is "
        f"cut off or damaged; copy or download it again ({detail})"
    )
