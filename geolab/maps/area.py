"""How large an area is on the ground, and in which words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from geolab.catalog import shapes
from geolab.errors import BadInput


def square_metres(geometry: Mapping[str, Any]) -> float:
    """The area of a GeoJSON polygon on the WGS 84 ellipsoid, m²; its edges are geodesics.

    Raises BadInput for anything that has no area.
    """
    from pyproj import Geod

    shape = shapes.read(geometry, "area")
    if shape.geom_type not in ("Polygon", "MultiPolygon"):
        raise BadInput("area", found=shape.geom_type, expected="a polygon")
    return abs(Geod(ellps="WGS84").geometry_area_perimeter(shape)[0])


def words(m2: float) -> str:
    """An area as people say it: 640 m², 12.4 ha, 3.21 km²."""
    if m2 < 10_000:
        return f"{m2:.0f} m²"
    if m2 < 1_000_000:
        return f"{m2 / 1e4:.1f} ha"
    return f"{m2 / 1e6:,.2f} km²" if m2 < 1e9 else f"{m2 / 1e6:,.0f} km²"


def parsed_box(text: str) -> tuple[float, float, float, float]:
    """The box that a text names, west,south,east,north in degrees; east > 180 across the date line.

    Raises BadInput.
    """
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise BadInput("bbox", found=text[:60], expected="four numbers W,S,E,N") from error
    if len(numbers) != 4:
        raise BadInput("bbox", found=text[:60], expected="four numbers W,S,E,N")
    shapes.query_boxes(numbers)
    west, south, east, north = numbers
    return west, south, east + (360 if east < west else 0), north


def box(geometry: Mapping[str, Any]) -> tuple[float, float, float, float]:
    """West, south, east, north of a geometry, degrees; west > east when it crosses the date line."""
    found = shapes.boxes(shapes.read(geometry, "area"))
    west, east = shapes.longitudes([(one[0], one[2]) for one in found])
    return west, min(one[1] for one in found), east, max(one[3] for one in found)
