"""Polygons of a change mask: GeoParquet in the mask's CRS and GeoJSON in longitude and latitude."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.windows import Window

from geolab import raster
from geolab.change import components, engine
from geolab.change import polygonfiles as files
from geolab.change.components import Patches, Strip
from geolab.errors import BadInput

Array = NDArray[Any]

STRIP_PIXELS = 1 << 21  # pixels of the mask held at a time
GROUP_POLYGONS = 20_000  # polygons written at a time (a row group)
MOST_POLYGONS = 1_000_000  # a mask of more patches is salt and pepper: gigabytes that no one can look at
COUNTED_STRIPS = 16  # about so many are counted to find out

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Polygons:
    """Where the polygons are and what they sum up to.

    geojson and area_m2 are None for a mask without a CRS: its place and size on Earth are unknown.
    smallest_px: 1, or the least size of the patches drawn where a noisy mask has too many.
    """

    parquet: str
    geojson: str | None
    count: int
    area_m2: float | None
    smallest_px: int = 1


def polygons(
    mask: str | os.PathLike[str],
    probability: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    min_area_m2: float = 0.0,
    most: int = MOST_POLYGONS,
) -> Polygons:
    """The patches of 1 in a mask as `polygons.parquet` and `polygons.geojson` in the folder `out`.

    A polygon is a 4-connected patch with its holes; patches that meet at a corner only are two.
    Columns: id, area_m2 (on the ground: true in degrees and Web Mercator too), mean_probability,
    max_probability, pixels. The GeoParquet keeps the mask's CRS; the GeoJSON is RFC 7946. Without
    changes both are valid and empty. Memory does not depend on the size of the scene (an outline of
    more than 100,000 vertices comes in several polygons).

    min_area_m2: smaller polygons are left out. most: of a mask of more patches, which is salt and
    pepper, about so many of the largest are drawn, with a warning. Raises GridMismatch; BadInput for
    a least area when the mask has no CRS.
    """
    info = raster.read_info(mask)
    raster.same_grid(info, raster.read_info(probability))

    def strips(every: int) -> Iterator[Strip]:
        return engine.ahead(_strips(mask, probability, info, every), 1)

    scale = _scale(probability)
    return trace(strips, info, Path(out), scale=scale, min_area_m2=min_area_m2, most=most)


def trace(
    strips: Callable[[int], Iterator[Strip]],
    info: raster.Info,
    folder: Path,
    *,
    scale: float,
    min_area_m2: float = 0.0,
    most: int = MOST_POLYGONS,
) -> Polygons:
    """What `polygons` makes, of strips that need not lie in a file.

    strips: strips(n) gives each n-th strip of the scene. info: the grid. scale: probability =
    scale * level.
    """
    located = info.crs is not None
    if min_area_m2 > 0 and not located:
        raise BadInput("min_area_m2", found=f"{min_area_m2} and a mask without a CRS", expected="0")
    areas = raster.row_areas_m2(info) if located else np.full(info.height, np.nan)
    smallest_px = _smallest_px(strips, info, most)
    parquet, geojson = folder / "polygons.parquet", folder / "polygons.geojson"
    count, total = 0, 0.0
    with ExitStack() as stack:
        table = stack.enter_context(files.Parquet.open(parquet, info))
        features = stack.enter_context(files.open_geojson(geojson)) if located else None
        whole = stack.enter_context(_closing(strips(1)))
        for part in _grouped(components.patches(whole, areas, smallest_px=smallest_px)):
            if min_area_m2 > 0:
                part = part.take(np.flatnonzero(part.area >= min_area_m2))
            columns = _columns(part, count, scale)
            table.write(columns, part.outlines)
            if features is not None:
                files.write_features(
                    features, columns, files.in_lonlat(part.outlines, info), first=count == 0
                )
            count, total = count + len(part), total + float(part.area.sum())
    return Polygons(
        parquet=str(parquet),
        geojson=str(geojson) if located else None,
        count=count,
        area_m2=total if located else None,
        smallest_px=smallest_px,
    )


def _smallest_px(strips: Callable[[int], Iterator[Strip]], info: raster.Info, most: int) -> int:
    every = max(1, info.height * info.width // STRIP_PIXELS // COUNTED_STRIPS)
    with _closing(strips(every)) as some:
        smallest_px = components.smallest_px(some, most, share=1 / every)
    if smallest_px > 1:
        log.warning(
            "the mask has more than %d patches: polygons only of those of at least %d px; "
            "a higher threshold gives fewer",
            most,
            smallest_px,
        )
    return smallest_px


@contextmanager
def _closing(items: Iterator[Strip]) -> Iterator[Iterator[Strip]]:
    """The iterator, closed when the block ends if it is a generator."""
    try:
        yield items
    finally:
        if isinstance(items, Generator):
            items.close()


def _scale(probability: str | os.PathLike[str]) -> float:
    with raster.open_raster(probability) as dataset:
        return float(dataset.scales[0])


def _strips(
    mask: str | os.PathLike[str], probability: str | os.PathLike[str], info: raster.Info, every: int
) -> Iterator[Strip]:
    rows = max(1, STRIP_PIXELS // info.width)
    with raster.open_raster(mask) as changed, raster.open_raster(probability) as level:
        for top in range(0, info.height, rows * every):
            window = Window(0, top, info.width, min(rows, info.height - top))  # pyright: ignore[reportCallIssue]
            yield Strip(top, changed.read(1, window=window) == 1, level.read(1, window=window))


def _grouped(parts: Iterable[Patches]) -> Iterator[Patches]:
    """The same patches in parts of about GROUP_POLYGONS, or of fewer but long outlines."""
    waiting: list[Patches] = []
    polygons, vertices = 0, 0
    for part in parts:
        if len(part):
            waiting.append(part)
            polygons += len(part)
            vertices += int(shapely.get_num_coordinates(part.outlines).sum())
        if polygons >= GROUP_POLYGONS or vertices >= components.LARGEST_VERTICES:
            yield Patches.concatenate(waiting)
            waiting, polygons, vertices = [], 0, 0
    if waiting:
        yield Patches.concatenate(waiting)


def _columns(part: Patches, first_id: int, scale: float) -> dict[str, Array]:
    """The attributes of patches; areas are NaN where unknown."""
    return {
        "id": np.arange(first_id + 1, first_id + len(part) + 1, dtype=np.int64),
        "area_m2": part.area.astype(np.float64),
        "mean_probability": part.level_sum / part.pixels * scale,
        "max_probability": part.level_max * scale,
        "pixels": part.pixels.astype(np.int64),
    }
