"""What a raster says at one place: the values of its bands in their own units."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.warp import transform
from rasterio.windows import Window

from geolab import raster
from geolab.errors import BadInput, FileRejected
from geolab.maps.origin import Item, title

_SHORT = {
    "metre": "m",
    "meter": "m",
    "metres": "m",
    "meters": "m",
    "degree": "°",
    "degrees": "°",
    "celsius": "°C",
}
PROBABILITY_ONE = 254.0  # the byte that is probability 1, see change.detect


@dataclass(frozen=True)
class Band:
    """One band at a place. value: None where there is no data. unit: "" where nobody says it."""

    name: str
    value: float | None
    unit: str = ""
    meaning: str = ""

    @property
    def text(self) -> str:
        """The value as people read it, its unit behind."""
        if self.value is None:
            return "no data"
        number = f"{self.value:.0f}" if self.value == int(self.value) else f"{self.value:.4g}"
        return " ".join(part for part in (number, self.unit, self.meaning) if part)


@dataclass(frozen=True)
class Reading:
    """The pixel of an item at a place. column, row: from 0, of the raster as it is stored."""

    column: int
    row: int
    bands: tuple[Band, ...]


def reading(item: Item, longitude: float, latitude: float, asset: str = "data") -> Reading | None:
    """The pixel in which a place lies; None where the raster does not reach.

    Stored values are turned into their own by the scale and offset that the item says, else the file.
    Raises NotFound, FileRejected; BadInput when the item has no such asset or lies nowhere on Earth.
    """
    described = item.get("assets", {}).get(asset)
    if described is None:
        raise BadInput(f"item {title(item)}", found=f"no asset '{asset}'", expected="pixels to read")
    try:
        with raster.open_raster(described["href"]) as dataset:
            return _read(dataset, item, described, longitude, latitude)
    except RasterioError as error:
        raise FileRejected(title(item), f"its pixels can't be read: {error.__cause__ or error}") from error


def _read(
    dataset: DatasetReader, item: Item, asset: Mapping[str, Any], longitude: float, latitude: float
) -> Reading | None:
    place = _place(dataset, longitude, latitude)
    if place is None:
        return None
    column, row = place
    values = dataset.read(window=Window(column, row, 1, 1), masked=True)  # type: ignore[call-arg]
    told = asset.get("bands") or []
    bands = tuple(
        _band(
            dataset,
            item,
            told[i] if i < len(told) and isinstance(told[i], Mapping) else {},
            i,
            values[i, 0, 0],
        )
        for i, colour in enumerate(dataset.colorinterp)
        if colour.name != "alpha"
    )
    return Reading(column, row, bands)


def _place(dataset: DatasetReader, longitude: float, latitude: float) -> tuple[int, int] | None:
    """Column and row of the pixel; None outside."""
    if dataset.crs is None:
        raise BadInput(dataset.name, found="no coordinate system", expected="one, to lie on a map")
    xs, ys = transform("EPSG:4326", dataset.crs, [longitude], [latitude])[:2]
    if not (math.isfinite(xs[0]) and math.isfinite(ys[0])):
        return None
    back = ~dataset.transform
    column = math.floor(back.a * xs[0] + back.b * ys[0] + back.c)
    row = math.floor(back.d * xs[0] + back.e * ys[0] + back.f)
    return (column, row) if 0 <= column < dataset.width and 0 <= row < dataset.height else None


def _band(dataset: DatasetReader, item: Item, told: Mapping[str, Any], index: int, value: Any) -> Band:
    name = str(told.get("name") or dataset.descriptions[index] or f"band {index + 1}")[:60]
    unit = str(told.get("unit") or dataset.units[index] or "")[:20]
    unit = _SHORT.get(unit, unit)
    if np.ma.is_masked(value) or not np.isfinite(value):
        return Band(name, None, unit)
    if np.iscomplexobj(value):
        return Band(name, float(abs(value)), unit, "(magnitude)")
    kind = item["properties"].get("geolab:result") or item["properties"].get("geolab:role")
    if kind == "probability":
        return Band("probability of change", float(value) / PROBABILITY_ONE)
    if kind in ("mask", "label") and value in (0, 1):
        return Band(name, float(value), meaning="changed" if value else "unchanged")
    scale, offset = _scaling(told, dataset, index)
    return Band(name, float(value) * scale + offset, unit)


def _scaling(told: Mapping[str, Any], dataset: DatasetReader, index: int) -> tuple[float, float]:
    found = []
    for name, own in (("scale", dataset.scales[index]), ("offset", dataset.offsets[index])):
        said = told.get(f"raster:{name}", told.get(name))
        known = isinstance(said, int | float) and not isinstance(said, bool) and math.isfinite(said)
        found.append(float(said) if known else float(own))  # type: ignore[arg-type]
    return found[0], found[1]
