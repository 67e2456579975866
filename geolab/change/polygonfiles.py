"""How polygons are written: GeoParquet and GeoJSON, piece by piece."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray

from geolab import raster, store
from geolab.raster.grid import lonlat

if TYPE_CHECKING:
    import pyarrow as pa

Array = NDArray[Any]

DIGITS = 9  # of a degree: 0.1 mm


# ---------------------------------------------------------------- GeoParquet


class Parquet:
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
    def open(cls, path: Path, info: raster.Info) -> Iterator[Parquet]:
        """The file at `path`, whole when the block ends well and absent otherwise."""
        with store.atomic_path(path) as temporary:
            table = cls(temporary, info)
            with table._writer:
                yield table

    def write(self, columns: dict[str, Array], outlines: Array) -> None:
        """Append polygons: their attributes [N] and their outlines [N] in pixels."""
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
def open_geojson(path: Path) -> Iterator[IO[str]]:
    """A FeatureCollection to which features are written; at `path` when the block ends well."""
    with store.atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        stream.write('{"type":"FeatureCollection","features":[')
        yield stream
        stream.write("\n]}\n")


def write_features(stream: IO[str], columns: dict[str, Array], shapes: Array, *, first: bool) -> None:
    """Append features with their attributes [N] and shapes [N] in degrees."""
    names = list(columns)
    values_of = zip(*(values.tolist() for values in columns.values()), strict=True)
    rows = zip(values_of, shapely.to_geojson(shapes), strict=True)
    for number, (values, geometry) in enumerate(rows):
        comma = "" if first and number == 0 else ","
        properties = json.dumps(dict(zip(names, values, strict=True)), allow_nan=False)
        stream.write(
            f'{comma}\n{{"type":"Feature","id":{values[0]},"properties":{properties},"geometry":{geometry}}}'
        )


def in_lonlat(outlines: Array, info: raster.Info) -> Array:
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
