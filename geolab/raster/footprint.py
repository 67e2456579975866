"""The outline of a raster in longitude and latitude."""

from __future__ import annotations

from typing import Any

import numpy as np
from shapely import MultiPoint, MultiPolygon, Polygon, affinity, box, make_valid, unary_union
from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry
from shapely.geometry.polygon import orient

from geolab.errors import BadInput
from geolab.raster.grid import gsd_m, lonlat
from geolab.raster.info import Info

Array = np.ndarray
EDGE_POINTS = 20  # on each side: edges that are straight on the grid are curves in lon/lat
TOLERANCE_PX = 0.05  # an edge that bends by less is straight
DIGITS = 9  # of a degree: 0.1 mm


def outline(info: Info) -> dict[str, Any]:
    """The footprint as GeoJSON: Polygon, or MultiPolygon cut at the antimeridian, rings counter-clockwise.

    Curved edges carry up to 20 points. A raster that reaches beyond the Earth's disc (geostationary) gets the
    convex hull of what lies on Earth. Raises BadInput without a CRS.
    """
    if info.crs is None:
        raise BadInput(info.uri, found="no CRS", expected="a CRS, to know where the raster lies")
    lon, lat = lonlat(info, *_edge(info))
    if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
        return as_geojson(_hull_on_earth(info))
    whole = lonlat_polygon(lon, lat.clip(-90, 90))  # half pixels may stand out beyond a pole
    return as_geojson(whole.simplify(TOLERANCE_PX * gsd_m(info) / 111_000))


def _edge(info: Info) -> tuple[Array, Array]:
    """Columns and rows of points along the outline, not closed."""
    steps = np.linspace(0, 1, EDGE_POINTS, endpoint=False)
    none, all_ = np.zeros_like(steps), np.ones_like(steps)
    columns = np.concatenate([steps, all_, 1 - steps, none]) * info.width
    rows = np.concatenate([none, steps, all_, 1 - steps]) * info.height
    return columns, rows


def lonlat_polygon(lon: Array, lat: Array) -> BaseGeometry:
    """The polygon within ±180 of an open ring, degrees, that may cross the antimeridian or hold a pole."""
    continuous = np.unwrap(lon, period=360)
    turn = continuous[-1] + _wrap_one(lon[0] - continuous[-1]) - continuous[0]
    if abs(turn) > 180:
        return _around_pole(continuous, lat, turn)
    return _within_180(Polygon(list(zip(continuous, lat, strict=True))))


def _around_pole(lon: Array, lat: Array, turn: float) -> BaseGeometry:
    """The polygon of a ring that runs once round the Earth, the pole inside: three turns, one cut out."""
    lon, lat = np.concatenate([lon - turn, lon, lon + turn]), np.tile(lat, 3)
    pole = 90.0 if lat.mean() > 0 else -90.0
    ring = [*zip(lon, lat, strict=True), (lon[-1], pole), (lon[0], pole)]
    return Polygon(ring).intersection(box(-180, -90, 180, 90))


def _wrap_one(degrees: float) -> float:
    return (degrees + 180) % 360 - 180


def _within_180(polygon: BaseGeometry) -> BaseGeometry:
    shape = polygon if polygon.is_valid else make_valid(polygon)
    west, south, east, north = shape.bounds
    if west >= -180 and east <= 180:
        return shape
    turns = range(int((west + 180) // 360), int((east + 180) // 360) + 1)
    pieces = [
        affinity.translate(shape.intersection(box(360 * k - 180, south, 360 * k + 180, north)), -360 * k)
        for k in turns
    ]
    return unary_union([piece for piece in pieces if piece.area > 0])


def _hull_on_earth(info: Info) -> BaseGeometry:
    columns, rows = np.meshgrid(np.linspace(0, info.width, 65), np.linspace(0, info.height, 65))
    lon, lat = lonlat(info, columns.ravel(), rows.ravel())
    good = np.isfinite(lon) & np.isfinite(lat)
    if good.sum() < 3:
        raise BadInput(
            info.uri, found="a position that is not on Earth", expected="a transform that fits its CRS",
            remedy="check both with: rio info FILE",
        )  # fmt: skip
    centre = np.median(lon[good])
    near = (lon[good] - centre + 180) % 360 - 180 + centre
    return _within_180(MultiPoint(np.column_stack([near, lat[good]])).convex_hull)


def as_geojson(shape: BaseGeometry) -> dict[str, Any]:
    """A geometry as GeoJSON with counter-clockwise outer rings, rounded to 0.1 mm."""
    if isinstance(shape, Polygon):
        shape = orient(shape)
    elif isinstance(shape, MultiPolygon):
        shape = MultiPolygon([orient(part) for part in shape.geoms])
    return _rounded(mapping(shape))


def _rounded(geometry: dict[str, Any]) -> dict[str, Any]:
    def walk(value: Any) -> Any:
        if isinstance(value, (int, float)):
            return round(float(value), DIGITS)
        return [walk(v) for v in value]

    return {"type": geometry["type"], "coordinates": walk(geometry["coordinates"])}
