"""Where the world lies on the Earth: a local east-north-up frame with a float64 origin."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from pyproj import Transformer

from geolab.town.model import CRS, Floats, World


@cache
def _to_lonlat() -> Transformer:
    return Transformer.from_crs(CRS, "EPSG:4326", always_xy=True)


@cache
def _to_earth() -> Transformer:
    return Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)


def lonlat(points: Floats, corner: tuple[float, float]) -> Floats:
    """Longitude, latitude (degrees), height (metres above the ellipsoid) of world points [N, 3].

    corner: World.corner.
    """
    points = np.atleast_2d(points)
    lon, lat = _to_lonlat().transform(points[:, 0] + corner[0], points[:, 1] + corner[1])
    return np.stack([lon, lat, points[:, 2]], axis=1)


@dataclass(frozen=True)
class Frame:
    """East, north, up in metres at an origin.

    lon, lat, height: the origin. corner: the world's. world: the origin in the world.
    to_world [3, 3]: world = origin + to_world @ enu; grid north and scale differ a little from true
    ones, and over 200 m this is exact to about 3 mm (the Earth's curvature).
    """

    lon: float
    lat: float
    height: float
    corner: tuple[float, float]
    world: tuple[float, float, float]
    to_world: Floats

    def enu(self, points: Floats) -> Floats:
        """World points [N, 3] in the frame, by way of geocentric coordinates."""
        earth = np.stack(_to_earth().transform(*lonlat(points, self.corner).T), axis=1)
        origin = np.array(_to_earth().transform(self.lon, self.lat, self.height))
        return (earth - origin) @ _axes(self.lon, self.lat).T

    def lonlat(self, enu: Floats) -> Floats:
        """Longitude, latitude, height of points [N, 3] of the frame."""
        origin = np.array(_to_earth().transform(self.lon, self.lat, self.height))
        earth = np.atleast_2d(enu) @ _axes(self.lon, self.lat) + origin
        return np.stack(_to_earth().transform(*earth.T, direction="INVERSE"), axis=1)


def _axes(lon: float, lat: float) -> Floats:
    """East, north and up as rows, in geocentric axes."""
    a, b = np.radians([lon, lat])
    return np.array([
        [-np.sin(a), np.cos(a), 0.0],
        [-np.sin(b) * np.cos(a), -np.sin(b) * np.sin(a), np.cos(b)],
        [np.cos(b) * np.cos(a), np.cos(b) * np.sin(a), np.sin(b)],
    ])  # fmt: skip


def frame_at(world: World, point: tuple[float, float, float]) -> Frame:
    """The frame whose origin is a point of a world."""
    lon, lat, height = (float(v) for v in lonlat(np.array([point]), world.corner)[0])
    frame = Frame(lon, lat, height, world.corner, point, np.eye(3))
    reach = 50.0
    steps = np.concatenate([np.eye(3), -np.eye(3)]) * reach + np.array(point)
    enu = frame.enu(steps)
    from_world = (enu[:3] - enu[3:]).T / (2 * reach)
    return replace(frame, to_world=np.linalg.inv(from_world))
