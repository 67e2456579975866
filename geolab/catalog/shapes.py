"""Footprints for searching: longitude -180..180, cut at the antimeridian."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

from geolab.errors import BadInput, one_line

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

Box = tuple[float, float, float, float]  # west, south, east, north; west <= east

_LONLAT = "longitudes -180..180 and latitudes -90..90, west, south, east, north"


def parse_bbox(text: str) -> tuple[float, ...]:
    """The numbers of `W,S,E,N`. Raises BadInput."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise BadInput("bbox", found=repr(text), expected="four numbers W,S,E,N") from error


def query_boxes(bbox: Sequence[float]) -> list[Box]:
    """One box, or two when `bbox` crosses the antimeridian (west > east).

    bbox: 4 numbers, or 6 with heights, which are not used. Raises BadInput.
    """
    numbers = [v for v in bbox if isinstance(v, Real) and not isinstance(v, bool)]
    if len(numbers) != len(bbox) or len(bbox) not in (4, 6):
        raise BadInput("bbox", found=list(bbox), expected="four numbers W,S,E,N (or six with heights)")
    west, south, east, north = (float(v) for v in (bbox if len(bbox) == 4 else (*bbox[:2], *bbox[3:5])))
    if not all(math.isfinite(float(v)) for v in numbers):
        raise BadInput("bbox", found=list(bbox), expected="finite numbers")
    if max(abs(west), abs(east)) > 180 or max(abs(south), abs(north)) > 90:
        remedy = "a box across the antimeridian has west greater than east"
        raise BadInput("bbox", found=list(bbox), expected=_LONLAT, remedy=remedy)
    if south > north:
        raise BadInput("bbox", found=list(bbox), expected="a south that is not above north")
    if west <= east:
        return [(west, south, east, north)]
    return [(west, south, 180.0, north), (-180.0, south, east, north)]


def from_boxes(boxes: Sequence[Box]) -> BaseGeometry:
    """The area of the boxes; a box without width or height is a line or a point."""
    import shapely

    return shapely.union_all([_box(box) for box in boxes])


def _box(box: Box) -> BaseGeometry:
    import shapely

    west, south, east, north = box
    if west < east and south < north:
        return shapely.box(west, south, east, north)
    if (west, south) == (east, north):
        return shapely.Point(west, south)
    return shapely.LineString([(west, south), (east, north)])


def read(geometry: Any, what: str) -> BaseGeometry:
    """The GeoJSON geometry as a valid shape in two dimensions, cut at the antimeridian.

    what: how to call it in a message. Raises BadInput.
    """
    import numpy as np
    import shapely
    from shapely.errors import ShapelyError

    if not isinstance(geometry, Mapping):
        raise BadInput(what, found=one_line(repr(geometry), 60), expected="a GeoJSON geometry")
    try:
        shape = shapely.force_2d(shapely.geometry.shape(dict(geometry)))
    except (ShapelyError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        found = one_line(f"{geometry.get('type')} ({error})", 120)
        raise BadInput(what, found=found, expected="a GeoJSON geometry") from error
    places = shapely.get_coordinates(shape)
    if not np.isfinite(places).all():
        raise BadInput(what, found="a coordinate that is not finite", expected="finite coordinates")
    if len(places) and (np.abs(places[:, 0]).max() > 360 or np.abs(places[:, 1]).max() > 90):
        found = "[{:.6g}, {:.6g}]".format(*places[np.abs(places).max(axis=1).argmax()])
        raise BadInput(what, found=found, expected="longitudes and latitudes in degrees")
    return _wrapped(shape if shape.is_valid else shapely.make_valid(shape))


def item_shape(item: Mapping[str, Any]) -> BaseGeometry | None:
    """The shape by which an item is found; None without a geometry. Raises BadInput."""
    import shapely

    geometry = item.get("geometry")
    if geometry is None:
        return None
    shape = read(geometry, f"geometry of item {item.get('id')!r}")
    bbox = item.get("bbox")
    crosses = isinstance(bbox, list | tuple) and len(bbox) in (4, 6) and bbox[0] > bbox[len(bbox) // 2]
    if crosses and any(_width(part) > 180 for part in shapely.get_parts(shape)):
        shape = _wrapped(shapely.transform(shape, _unwrap))
    return None if shape.is_empty else shape


def _width(shape: BaseGeometry) -> float:
    return shape.bounds[2] - shape.bounds[0] if not shape.is_empty else 0.0


def _unwrap(places: Any) -> Any:
    places[places[:, 0] < 0, 0] += 360
    return places


def _wrapped(shape: BaseGeometry) -> BaseGeometry:
    """What lies beyond ±180 degrees moved to the other side."""
    import shapely

    if shape.is_empty or (shape.bounds[0] >= -180 and shape.bounds[2] <= 180):
        return shape
    shape = shape if shape.is_valid else shapely.make_valid(shape)
    worlds = [(shapely.box(c - 180, -90, c + 180, 90), c) for c in (-360, 0, 360)]
    cut = [shapely.transform(shape.intersection(world), _shift(-c)) for world, c in worlds]
    return shapely.union_all([part for part in cut if not part.is_empty])


def _shift(degrees: float) -> Any:
    def move(places: Any) -> Any:
        places[:, 0] += degrees
        return places

    return move


def boxes(shape: BaseGeometry) -> list[Box]:
    """At most two boxes that together hold the shape; two when it lies on both sides of ±180."""
    import shapely

    west, south, east, north = shape.bounds
    if east - west <= 180:
        return [(west, south, east, north)]
    sides: dict[bool, list[Box]] = {}
    for part in shapely.get_parts(shape):
        sides.setdefault(part.bounds[0] + part.bounds[2] > 0, []).append(part.bounds)
    return [_around(side) for _, side in sorted(sides.items())]


def _around(parts: Iterable[Box]) -> Box:
    west, south, east, north = zip(*parts, strict=True)
    return min(west), min(south), max(east), max(north)


def longitudes(spans: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """West and east of the smallest arc that holds every span; west > east across the antimeridian.

    spans: (west, east) in degrees, west > east for a span that crosses.
    """
    found = set(spans)
    if len(found) == 1:  # as it is: the arithmetic below would round the last digit away
        return found.pop()
    arcs = sorted((w, e if e >= w else e + 360) for w, e in found)
    end, gap, best = arcs[0][1], -1.0, (arcs[0][0], max(e for _, e in arcs))
    for west, east in [*arcs[1:], (arcs[0][0] + 360, arcs[0][1] + 360)]:
        if west - end > gap:
            gap, best = west - end, (west, end)
        end = max(end, east)
    if gap <= 0:
        return -180.0, 180.0
    west, east = (value - 360 if value > 180 else value for value in best)
    return west, east
