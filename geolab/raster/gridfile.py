"""A grid's GeoPackage, read as the SQLite file that it is: far sooner than GDAL is imported."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import shapely
from rasterio.crs import CRS
from rasterio.errors import CRSError
from shapely.geometry.base import BaseGeometry

from geolab import store
from geolab.errors import FileRejected, NotFound

IDS = ("id", "cell_id", "cell", "name")  # columns that name a cell, the surest first
LONGEST_ID = 100
_ENVELOPES = (0, 32, 48, 48, 64)  # bytes of the box before a geometry, by its kind


@dataclass(frozen=True)
class Row:
    """One cell as it stands in the file; epsg and gsd_m where there are such columns."""

    id: str
    geometry: BaseGeometry
    epsg: int | None
    gsd_m: float | None


@dataclass(frozen=True)
class _Layer:
    table: str
    geometry: str
    crs: CRS
    id: str
    epsg: str | None
    gsd_m: str | None


def layer(path: str | os.PathLike[str]) -> tuple[str, CRS]:
    """The file's path and the CRS of its only layer. Raises NotFound, FileRejected."""
    with _open(path) as (name, database):
        return name, _layer(name, database).crs


def rows(path: str | os.PathLike[str], *, geometry: bool = True) -> Iterator[Row]:
    """The cells in the order of the file; without geometry, ids only. Raises NotFound, FileRejected."""
    with _open(path) as (name, database):
        found = _layer(name, database)
        columns = [found.id, *(c for c in (geometry and found.geometry, found.epsg, found.gsd_m) if c)]
        picked = ", ".join(map(_quoted, columns))
        query = f"SELECT {picked} FROM {_quoted(found.table)} ORDER BY rowid"  # noqa: S608 - quoted names
        seen: set[str] = set()
        for values in database.execute(query):
            row = dict(zip(columns, values, strict=True))
            id = _checked_id(row[found.id], name, seen)
            yield Row(
                id,
                _polygon(row[found.geometry], name, id) if geometry else shapely.Polygon(),
                _epsg(row[found.epsg], name, id) if found.epsg else None,
                _gsd_m(row[found.gsd_m], name, id) if found.gsd_m else None,
            )
        if not seen:
            raise FileRejected(name, "its layer holds no cell")


@contextmanager
def _open(path: str | os.PathLike[str]) -> Iterator[tuple[str, sqlite3.Connection]]:
    local = store.local_path(path)
    if local is None or not local.is_file():
        raise NotFound("grid", os.fspath(path), remedy="make one: geolab grid AREA --out grid.gpkg")
    _check_head(local)
    try:
        with closing(sqlite3.connect(f"file:{quote(str(local))}?mode=ro", uri=True)) as database:
            yield str(local), database
    except sqlite3.Error as error:
        raise FileRejected(str(local), f"not a GeoPackage that can be read: {error}") from error


def _check_head(path: Path) -> None:
    with path.open("rb") as stream:
        if stream.read(15) != b"SQLite format 3":
            raise FileRejected(
                str(path), "not a GeoPackage; make a grid of it: geolab grid FILE --out grid.gpkg"
            )


def _layer(path: str, database: sqlite3.Connection) -> _Layer:
    layers = database.execute("SELECT table_name, column_name, srs_id FROM gpkg_geometry_columns").fetchall()
    if len(layers) != 1:
        names = ", ".join(str(one[0]) for one in layers) or "none"
        raise FileRejected(path, f"it has {len(layers)} layers ({names}); a grid has one")
    table, column, srs = layers[0]
    listed = database.execute("SELECT name, pk FROM pragma_table_info(?)", (table,)).fetchall()
    columns = {str(name).lower(): str(name) for name, _ in listed}
    primary = next((str(name) for name, pk in listed if pk), "rowid")
    named = next((columns[c] for c in IDS if c in columns), primary)
    return _Layer(table, column, _crs(path, database, srs), named, columns.get("epsg"), columns.get("gsd_m"))


def _crs(path: str, database: sqlite3.Connection, srs: int) -> CRS:
    query = (
        "SELECT organization, organization_coordsys_id, definition FROM gpkg_spatial_ref_sys WHERE srs_id = ?"
    )
    organization, code, definition = database.execute(query, (srs,)).fetchone() or ("", 0, "")
    try:
        if str(organization).upper() == "EPSG":
            return CRS.from_epsg(code)
        return CRS.from_wkt(definition)
    except (CRSError, TypeError) as error:
        raise FileRejected(path, "its layer has no CRS; assign one and save it again") from error


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _checked_id(value: Any, path: str, seen: set[str]) -> str:
    """An id that can stand in a table and a name, and once only."""
    id = "" if value is None else str(value)
    if not id.strip() or not id.isprintable() or len(id) > LONGEST_ID or id != id.strip():
        raise FileRejected(path, f"the id {id[:LONGEST_ID]!r} is empty, too long or not printable")
    if id in seen:
        raise FileRejected(path, f"two cells have the id {id!r}")
    seen.add(id)
    return id


def _polygon(blob: Any, path: str, id: str) -> BaseGeometry:
    """The geometry in a GeoPackage's binary form: a header, a box, well-known binary."""
    if isinstance(blob, bytes) and blob[:2] == b"GP" and len(blob) > 8:
        kind = blob[3] >> 1 & 7
        if kind < len(_ENVELOPES):
            try:
                found = shapely.from_wkb(blob[8 + _ENVELOPES[kind] :])
            except shapely.errors.GEOSException as error:
                raise FileRejected(path, f"cell {id}: its geometry is damaged: {error}") from error
            if found is not None and found.geom_type in ("Polygon", "MultiPolygon") and found.area > 0:
                return found
    raise FileRejected(path, f"cell {id} has no polygon")


def _epsg(value: Any, path: str, id: str) -> int | None:
    if value is None:
        return None
    try:
        crs = CRS.from_epsg(int(value))
    except (CRSError, TypeError, ValueError) as error:
        raise FileRejected(path, f"cell {id}: {value!r} is no EPSG code") from error
    if not crs.is_projected or crs.linear_units_factor[1] != 1:
        raise FileRejected(path, f"cell {id}: EPSG:{value} is not in metres; a cell's pixels are")
    return int(value)


def _gsd_m(value: Any, path: str, id: str) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int | float) or not 0.1 <= value <= 1000:
        raise FileRejected(path, f"cell {id}: gsd_m is {value!r}; expected 0.1 to 1000 metres")
    return float(value)
