"""Polygons of a change mask: GeoParquet in the mask's CRS and GeoJSON in longitude and latitude."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.windows import Window

from geolab import raster, store
from geolab.change import components, engine
from geolab.change.components import Patches, Strip
from geolab.errors import BadInput
from geolab.raster.grid import lonlat

if TYPE_CHECKING:
    import pyarrow as pa

Array = NDArray[Any]

STRIP_PIXELS = 1 << 21  # pixels of the mask held at a time
GROUP_POLYGONS = 20_000  # polygons written at a time (a row group)
DIGITS = 9  # of a degree: 0.1 mm


@dataclass(frozen=True)
class Polygons:
    """Where the polygons are and what they sum up to.

    geojson and area_m2 are None for a mask without a CRS: its place and size on Earth are unknown.
    """

    parquet: str
    geojson: str | None
    count: int
    area_m2: float | None


def polygons(
    mask: str | os.PathLike[str],
    probability: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    min_area_m2: float = 0.0,
) -> Polygons:
    """The patches of 1 in a mask as `polygons.parquet` and `polygons.geojson` in the folder `out`.

    A polygon is a 4-connected patch with its holes; patches that meet at a corner only are two.
    Columns: id, area_m2 (on the ground: true in degrees and Web Mercator too), mean_probability,
    max_probability, pixels. The GeoParquet keeps the mask's CRS; the GeoJSON is RFC 7946. Without
    changes both are valid and empty. Memory does not depend on the size of the scene (an outline of
    more than 250,000 vertices comes in several polygons).

    min_area_m2: smaller polygons are left out. Raises GridMismatch; BadInput for a least area when
    the mask has no CRS.
    """
    info = raster.read_info(mask)
    raster.same_grid(info, raster.read_info(probability))
    with closing(engine.ahead(_strips(mask, probability, info), 1)) as strips:
        return trace(strips, info, Path(out), scale=_scale(probability), min_area_m2=min_area_m2)


def trace(
    strips: Iterable[Strip], info: raster.Info, folder: Path, *, scale: float, min_area_m2: float = 0.0
) -> Polygons:
    """What `polygons` makes, of strips that need not lie in a file.

    info: the grid. scale: probability = scale * level.
    """
    located = info.crs is not None
    if min_area_m2 > 0 and not located:
        raise BadInput("min_area_m2", found=f"{min_area_m2} and a mask without a CRS", expected="0")
    areas = raster.row_areas_m2(info) if located else np.full(info.height, np.nan)
    parquet, geojson = folder / "polygons.parquet", folder / "polygons.geojson"
    count, total = 0, 0.0
    with ExitStack() as stack:
        table = stack.enter_context(_Parquet.open(parquet, info))
        features = stack.enter_context(_open_geojson(geojson)) if located else None
        for part in _grouped(components.patches(strips, areas)):
            if min_area_m2 > 0:
                part = part.take(np.flatnonzero(part.area >= min_area_m2))
            columns = _columns(part, count, scale)
            table.write(columns, part.outlines)
            if features is not None:
                _write_features(features, columns, _in_lonlat(part.outlines, info), first=count == 0)
            count, total = count + len(part), total + float(part.area.sum())
    return Polygons(
        parquet=str(parquet),
        geojson=str(geojson) if located else None,
        count=count,
        area_m2=total if located else None,
    )


def _scale(probability: str | os.PathLike[str]) -> float:
    with raster.open_raster(probability) as dataset:
        return float(dataset.scales[0])


def _strips(
    mask: str | os.PathLike[str], probability: str | os.PathLike[str], info: raster.Info
) -> Iterator[Strip]:
    rows = max(1, STRIP_PIXELS // info.width)
    with raster.open_raster(mask) as changed, raster.open_raster(probability) as level:
        for top in range(0, info.height, rows):
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


# ---------------------------------------------------------------- GeoParquet


class _Parquet:
    """A GeoParquet 1.1 file, written one row group at a time (geopandas holds the whole table)."""

    def __init__(self, path: Path, info: raster.Info):
        import pyarrow as pa  # 0.2 s to import
        import pyarrow.parquet as pq

        self._transform = info.transform
        self._schema = pa.schema(
            [
                ("id", pa.int64()),
                ("area_m2", pa.float64()),
                ("mean_probability", pa.float64()),
                ("max_probability", pa.float64()),
                ("pixels", pa.int64()),
                ("geometry", pa.binary()),
            ],
            metadata={"geo": json.dumps(_geo_metadata(info))},
        )
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")

    @classmethod
    @contextmanager
    def open(cls, path: Path, info: raster.Info) -> Iterator[_Parquet]:
        """The file at `path`, whole when the block ends well and absent otherwise."""
        with store.atomic_path(path) as temporary:
            table = cls(temporary, info)
            with table._writer:
                yield table

    def write(self, columns: dict[str, Array], outlines: Array) -> None:
        import pyarrow as pa

        geometry = shapely.to_wkb(shapely.transform(outlines, self._place))
        arrays = [_arrow(values) for values in columns.values()]
        self._writer.write_batch(pa.record_batch([*arrays, _arrow_binary(geometry)], schema=self._schema))

    def _place(self, pixels: Array) -> Array:
        t = self._transform
        x, y = pixels[:, 0], pixels[:, 1]
        return np.column_stack([t.a * x + t.b * y + t.c, t.d * x + t.e * y + t.f])


# Arrow arrays are made of bare buffers: pa.array() imports pandas first, a second that no one needs.


def _arrow(values: Array) -> pa.Array:
    import pyarrow as pa

    kind = pa.from_numpy_dtype(values.dtype)
    if np.isnan(values).all():
        return pa.nulls(len(values), kind)
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])


def _arrow_binary(values: Array) -> pa.Array:
    import pyarrow as pa

    ends = np.cumsum([0, *map(len, values)], dtype=np.int32)
    return pa.Array.from_buffers(
        pa.binary(), len(values), [None, pa.py_buffer(ends), pa.py_buffer(b"".join(values))]
    )


def _geo_metadata(info: raster.Info) -> dict[str, Any]:
    from pyproj import CRS

    crs = CRS.from_wkt(info.crs.to_wkt()).to_json_dict() if info.crs is not None else None
    column = {"encoding": "WKB", "geometry_types": ["Polygon"], "crs": crs}
    return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}


# ---------------------------------------------------------------- GeoJSON


@contextmanager
def _open_geojson(path: Path) -> Iterator[IO[str]]:
    with store.atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        stream.write('{"type":"FeatureCollection","features":[')
        yield stream
        stream.write("\n]}\n")


def _write_features(stream: IO[str], columns: dict[str, Array], shapes: Array, *, first: bool) -> None:
    names = list(columns)
    values_of = zip(*(values.tolist() for values in columns.values()), strict=True)
    rows = zip(values_of, shapely.to_geojson(shapes), strict=True)
    for number, (values, geometry) in enumerate(rows):
        comma = "" if first and number == 0 else ","
        properties = json.dumps(dict(zip(names, values, strict=True)), allow_nan=False)
        stream.write(
            f'{comma}\n{{"type":"Feature","id":{values[0]},"properties":{properties},"geometry":{geometry}}}'
        )


def _in_lonlat(outlines: Array, info: raster.Info) -> Array:
    """Outlines in degrees, outer rings counter-clockwise, cut at the antimeridian."""

    def place(pixels: Array) -> Array:
        lon, lat = lonlat(info, pixels[:, 0], pixels[:, 1])
        return np.round(np.column_stack([lon, lat]), DIGITS)

    shapes = shapely.transform(outlines, place)
    bounds = shapely.bounds(shapes)
    for i in np.flatnonzero(bounds[:, 2] - bounds[:, 0] > 180):
        shapes[i] = _cut_at_antimeridian(shapes[i])
    return shapely.orient_polygons(shapes, exterior_cw=False)


def _cut_at_antimeridian(shape: shapely.Polygon) -> shapely.MultiPolygon:
    """A polygon whose longitudes jump between 180 and -180, in a part on each side."""
    east = shapely.transform(shape, lambda xy: np.column_stack([xy[:, 0] % 360, xy[:, 1]]))
    parts = [
        east.intersection(shapely.box(0, -90, 180, 90)),
        east.intersection(shapely.box(180, -90, 360, 90)),
    ]
    parts[1] = shapely.transform(parts[1], lambda xy: xy - [360, 0])
    pieces = [p for part in parts for p in shapely.get_parts(part) if p.geom_type == "Polygon"]
    return shapely.MultiPolygon(pieces)
