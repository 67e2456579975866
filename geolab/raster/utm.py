"""UTM zones: which one a place lies in, and what they cover.

Zones are 6 degrees wide, but for Norway and Svalbard, as the grid of Sentinel-2's tiles has them.
"""

from __future__ import annotations

from collections.abc import Iterator

from shapely import box
from shapely.geometry import MultiPolygon
from shapely.geometry.base import BaseGeometry

from geolab.errors import BadInput

SOUTH, NORTH = -80.0, 84.0  # UTM's own limits; the poles have another system

Spans = dict[int, tuple[float, float]]  # zone: west, east
NORWAY: Spans = {31: (0, 3), 32: (3, 12)}  # 56..64 degrees north
SVALBARD: Spans = {31: (0, 9), 33: (9, 21), 35: (21, 33), 37: (33, 42)}  # 72..84
BANDS: tuple[tuple[float, float, Spans], ...] = (
    (SOUTH, 0.0, {}),
    (0.0, 56.0, {}),
    (56.0, 64.0, NORWAY),
    (64.0, 72.0, {}),
    (72.0, NORTH, SVALBARD),
)


def epsg_of(lon: float, lat: float) -> int:
    """The EPSG code of the UTM zone of a place, WGS 84. Raises BadInput beyond 80 S and 84 N."""
    if not (-180 <= lon <= 180 and SOUTH <= lat <= NORTH):
        raise BadInput(
            "place", found=f"longitude {lon:.4f}, latitude {lat:.4f}",
            expected=f"longitude -180..180 and latitude {SOUTH:g}..{NORTH:g}, where UTM is defined",
        )  # fmt: skip
    return (32600 if lat >= 0 else 32700) + _zone(lon, lat)


def _zone(lon: float, lat: float) -> int:
    special = next(spans for south, north, spans in BANDS if south <= lat < north or lat == north == NORTH)
    for zone, (west, east) in special.items():
        if west <= lon < east:
            return zone
    return min(int((lon + 180) // 6) + 1, 60)


def is_utm(epsg: int | None) -> bool:
    """Whether a code is a UTM zone on WGS 84."""
    return epsg is not None and (32601 <= epsg <= 32660 or 32701 <= epsg <= 32760)


def name(epsg: int) -> str:
    """A zone's short name: 32N, 07S."""
    return f"{epsg % 100:02d}{'N' if epsg < 32700 else 'S'}"


def parts(area: BaseGeometry) -> Iterator[tuple[int, BaseGeometry]]:
    """What of an area (longitude, latitude) lies in each zone that it touches: EPSG code and geometry."""
    _, low, _, high = area.bounds
    for zone in range(1, 61):
        for base, bands in ((32700, BANDS[:1]), (32600, BANDS[1:])):
            if low < bands[-1][1] and high > bands[0][0]:
                part = area.intersection(_reach(zone, bands))
                if part.area > 0:
                    yield base + zone, part


def _reach(zone: int, bands: tuple[tuple[float, float, Spans], ...]) -> MultiPolygon:
    """What a zone covers in some bands of latitude."""
    usual = (zone * 6 - 186.0, zone * 6 - 180.0)
    boxes = []
    for south, north, special in bands:
        taken = special and 31 <= zone <= max(special)  # zones 32, 34 and 36 have nothing of Svalbard
        span = special.get(zone) if taken else usual
        if span is not None:
            boxes.append(box(span[0], south, span[1], north))
    return MultiPolygon(boxes)
