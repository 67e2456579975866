"""The largest polygons of a file of any size, placed on Earth for a map."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray

from geolab.errors import FileRejected, NotFound

if TYPE_CHECKING:
    import pyarrow.parquet as pq

Array = NDArray[Any]

COLUMNS = ("id", "area_m2", "mean_probability", "max_probability", "pixels")
MOST_VERTICES = 2000  # of one outline that travels to a map


@dataclass(frozen=True)
class Patch:
    """One polygon. area_m2: NaN where unknown; geometry: GeoJSON in degrees, None without a CRS.

    box: west, south, east, north, degrees.
    """

    id: int
    area_m2: float
    mean_probability: float
    max_probability: float
    pixels: int
    geometry: dict[str, Any] | None
    box: tuple[float, float, float, float] | None


@dataclass(frozen=True)
class Largest:
    """The largest patches, in falling order, and how many there are in all."""

    patches: list[Patch]
    count: int


def largest(parquet: str | os.PathLike[str], most: int = 100) -> Largest:
    """The largest polygons of a file of `vector.polygons`, by pixels.

    The file is read one row group at a time. Outlines of many points are simplified, for a look only.
    Raises NotFound, FileRejected.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(parquet) as file:
            winners = _winners(file, most)
            rows = [row for group in sorted(set(winners[:, 0])) for row in _rows(file, winners, int(group))]
            count, place = file.metadata.num_rows, _placing(file.schema_arrow.metadata or {})
    except FileNotFoundError as error:
        raise NotFound("file", os.fspath(parquet)) from error
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise FileRejected(os.fspath(parquet), f"no polygons of a detection: {error}") from error
    rows.sort(key=lambda row: (-row["pixels"], row["id"]))
    return Largest([_patch(row, place) for row in rows], count)


def _winners(file: pq.ParquetFile, most: int) -> Array:
    """[N, 2]: row group and row of the largest, of which no more than `most` are held at a time."""
    found = np.empty((0, 3), np.int64)
    for group in range(file.num_row_groups):
        pixels = file.read_row_group(group, columns=["pixels"])["pixels"].to_numpy()
        here = np.column_stack([np.full(len(pixels), group), np.arange(len(pixels)), pixels])
        both = np.concatenate([found, here])
        found = both[np.argsort(-both[:, 2], kind="stable")[:most]]
    return found[:, :2]


def _rows(file: pq.ParquetFile, winners: Array, group: int) -> list[dict[str, Any]]:
    here = winners[winners[:, 0] == group, 1]
    return file.read_row_group(group, columns=[*COLUMNS, "geometry"]).take(here).to_pylist()


def _placing(metadata: dict[bytes, bytes]) -> Callable[[Array], Array] | None:
    """What turns the file's coordinates into degrees; None where it has no CRS."""
    crs = json.loads(metadata[b"geo"])["columns"]["geometry"].get("crs")
    if crs is None:
        return None
    from pyproj import CRS, Transformer

    there = Transformer.from_crs(CRS.from_json_dict(crs), CRS.from_epsg(4326), always_xy=True)
    return lambda xy: np.column_stack(there.transform(xy[:, 0], xy[:, 1]))


def _patch(row: dict[str, Any], place: Callable[[Array], Array] | None) -> Patch:
    geometry, box = None, None
    if place is not None:
        shape = _thinned(shapely.transform(shapely.from_wkb(row["geometry"]), place))
        geometry, box = shapely.geometry.mapping(shape), tuple(shape.bounds)
    facts: dict[str, Any] = {name: row[name] for name in COLUMNS} | {"area_m2": _number(row["area_m2"])}
    return Patch(**facts, geometry=geometry, box=box)


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _thinned(shape: Any) -> Any:
    """The shape with fewer points where it has very many."""
    tolerance = max(np.ptp(np.array(shape.bounds).reshape(2, 2), axis=0)) / 4000
    while shapely.get_num_coordinates(shape) > MOST_VERTICES:
        simpler = shapely.simplify(shape, tolerance)
        if simpler.is_empty:
            return shape
        shape, tolerance = simpler, tolerance * 2
    return shape
