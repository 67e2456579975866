"""What the values of a set of labels mean, found out over the whole set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from geolab import raster
from geolab.errors import BadInput, FileRejected

UNKNOWN = 255  # in decoded labels: neither changed nor unchanged
CELL_PX = 32  # side of the cells in which a census counts
MOST_VALUES = 64  # a file with more values than this is an image, not a label


@dataclass(frozen=True)
class Coding:
    """`changed`: the value of changed pixels; `ignore`: that of unlabelled ones; 0 is unchanged."""

    changed: int
    ignore: int | None

    def decode(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Labels as 0, 1 or UNKNOWN; invalid (NaN) is unknown too."""
        decoded = np.full(values.shape, UNKNOWN, dtype=np.uint8)
        decoded[values == 0] = 0
        decoded[values == self.changed] = 1
        if self.ignore is not None:
            decoded[values == self.ignore] = UNKNOWN
        return decoded


@dataclass(frozen=True)
class Census:
    """Which values a label file holds, and how many pixels of each lie in every cell.

    counts: {value: [cell_y, cell_x]}.
    """

    values: tuple[float, ...]
    counts: Mapping[float, NDArray[np.int32]]


def census(uri: str) -> Census:
    """The values of a label file and where they are. Raises FileRejected for an image."""
    counts: dict[float, NDArray[np.int32]] = {}
    with raster.open_raster(uri) as dataset:
        shape = (-(-dataset.height // CELL_PX), -(-dataset.width // CELL_PX))
        for row in range(0, dataset.height, CELL_PX):
            height = min(CELL_PX, dataset.height - row)
            window = Window(0, row, dataset.width, height)  # pyright: ignore[reportCallIssue]
            strip = raster.read_window(dataset, window)[0]
            for value in np.unique(strip[np.isfinite(strip)]):
                grid = counts.setdefault(float(value), np.zeros(shape, dtype=np.int32))
                columns = (strip == value).sum(axis=0)
                grid[row // CELL_PX] = np.add.reduceat(columns, np.arange(0, dataset.width, CELL_PX))
            if len(counts) > MOST_VALUES:
                raise FileRejected(uri, f"not a label: more than {MOST_VALUES} values; expected 0/1 or 0/255")
    return Census(tuple(sorted(counts)), counts)


def coding(found: Mapping[str, Census], ignore: int | None = None) -> Coding:
    """The meaning of the values of all files together.

    found: the census of each file by its name. ignore: a value that says "unlabelled"; by default
    255 where the labels are 0/1, else none.
    Raises BadInput naming the first file with any other value.
    """
    values = {v for one in found.values() for v in one.values} - {ignore}
    changed = 1 if 1 in values or not values & {255} else 255
    if ignore is None and changed == 1:
        ignore = 255
    allowed = {0, changed, ignore}
    for name, one in found.items():
        if not set(one.values) <= allowed:
            listed = ", ".join(f"{v:g}" for v in one.values[:8]) + (", …" if len(one.values) > 8 else "")
            raise BadInput(
                f"label {name}", found=f"values {listed}",
                expected=f"0/{changed}" + (f" and {ignore} for unlabelled" if ignore is not None else ""),
                remedy="give ignore= for another unlabelled value; JPEG can't hold labels exactly",
            )  # fmt: skip
    return Coding(changed, ignore)
