"""What a photo sees: its focal length in pixels, and the ground it covers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from pyproj import Geod

from geolab.ingest.exif import Exif

Array = np.ndarray
_WGS84 = Geod(ellps="WGS84")
_DIAGONAL_35MM = math.hypot(36.0, 24.0)
SAME_ASPECT = 0.02  # a picture whose sides have another ratio than the camera's was cropped
FARTHEST = 10.0  # the footprint ends at this many heights of distance, towards the horizon


@dataclass(frozen=True)
class View:
    """A camera above flat ground. Angles in degrees: yaw clockwise from north, pitch -90 straight down,
    roll positive when the right side is down; focal length and size in pixels of the upright picture."""

    lon: float
    lat: float
    height_m: float
    yaw: float
    pitch: float
    roll: float
    focal_px: float
    width: int
    height: int


def focal_px(exif: Exif, width: int, height: int, calibrated_px: float | None = None) -> float | None:
    """The focal length in pixels of the picture as it is: EXIF may describe a larger original.

    From the maker's calibration, else sensor size, else the 35 mm equivalent (CIPA: equal diagonals).
    width, height: of the stored pixels. None if unknown, or if the picture was cropped.
    """
    same_shape = _same_aspect(exif, width, height)
    if exif.exif_width and exif.exif_height and not same_shape:
        return None
    if calibrated_px and exif.exif_width:
        return calibrated_px * max(width, height) / max(exif.exif_width, exif.exif_height or 0)
    if exif.focal_mm and exif.sensor_mm:
        return exif.focal_mm / max(exif.sensor_mm) * max(width, height)
    if exif.focal_35mm:
        return exif.focal_35mm / _DIAGONAL_35MM * math.hypot(width, height)
    return None


def _same_aspect(exif: Exif, width: int, height: int) -> bool:
    if not (exif.exif_width and exif.exif_height):
        return True
    own, original = max(width, height) / min(width, height), exif.exif_width / exif.exif_height
    return abs(own / max(original, 1 / original) - 1) < SAME_ASPECT


def gsd_m(view: View) -> float | None:
    """The size on the ground of the middle pixel, across the view, metres; None above the horizon."""
    down = -math.sin(math.radians(view.pitch))
    return view.height_m / down / view.focal_px if down > 1 / FARTHEST else None


def footprint(view: View) -> tuple[Array, Array] | None:
    """Longitudes and latitudes of the outline on flat ground, from the upper left corner on; None if
    the camera looks at or above the horizon. Towards the horizon it ends at FARTHEST heights."""
    if view.height_m <= 0 or gsd_m(view) is None:
        return None
    rays = _rays(view)  # [points, east north up]
    down = -rays[:, 2]
    flat = np.hypot(rays[:, 0], rays[:, 1])
    reach = np.where(down * FARTHEST > flat, flat / np.maximum(down, 1e-12), FARTHEST)
    azimuth = np.degrees(np.arctan2(rays[:, 0], rays[:, 1]))
    here = np.full_like(azimuth, view.lon), np.full_like(azimuth, view.lat)
    lon, lat, _ = _WGS84.fwd(*here, azimuth, reach * view.height_m)
    return np.asarray(lon), np.asarray(lat)


def _rays(view: View) -> Array:
    """Directions through the outline of the picture, east north up: corners, and points between them
    where an edge reaches the limit and is no longer straight on the ground."""
    steps = np.linspace(0, 1, 8, endpoint=False) if _sees_far(view) else np.zeros(1)
    zero, one = np.zeros_like(steps), np.ones_like(steps)
    x = (np.concatenate([steps, one, 1 - steps, zero]) - 0.5) * view.width
    y = (np.concatenate([zero, steps, one, 1 - steps]) - 0.5) * view.height
    return _directions(view, x, y)


def _sees_far(view: View) -> bool:
    x = np.array([-0.5, 0.5, 0.5, -0.5]) * view.width
    y = np.array([-0.5, -0.5, 0.5, 0.5]) * view.height
    rays = _directions(view, x, y)
    return bool(np.any(-rays[:, 2] * FARTHEST <= np.hypot(rays[:, 0], rays[:, 1])))


def _directions(view: View, x: Array, y: Array) -> Array:
    """Rays [points, 3] east north up through pixels x right, y down of the centre."""
    yaw, pitch, roll = (math.radians(a) for a in (view.yaw, view.pitch, view.roll))
    forward = np.array([math.sin(yaw) * math.cos(pitch), math.cos(yaw) * math.cos(pitch), math.sin(pitch)])
    level = np.array([math.cos(yaw), -math.sin(yaw), 0.0])
    upright = np.cross(level, forward)
    right = level * math.cos(roll) - upright * math.sin(roll)
    up = upright * math.cos(roll) + level * math.sin(roll)
    return forward + (x[:, None] * right - y[:, None] * up) / view.focal_px


def footprint_geojson(view: View) -> dict[str, Any] | None:
    """The footprint as a GeoJSON Polygon (MultiPolygon across the antimeridian), or None."""
    outline = footprint(view)
    if outline is None:
        return None
    from geolab.raster.footprint import as_geojson, lonlat_polygon  # needs shapely

    return as_geojson(lonlat_polygon(*outline))
