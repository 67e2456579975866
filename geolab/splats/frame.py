"""Where a model lies on the Earth: local east, north, up metres at a float64 origin."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pyproj import Transformer

from geolab.errors import BadInput

Floats = NDArray[np.float64]
UNKNOWN_DATUM = "unknown"


@cache
def _to_earth() -> Transformer:
    return Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)


@dataclass(frozen=True)
class Frame:
    """A local tangent frame: x east, y north, z up, metres; true north, not a grid's.

    lon, lat: of the origin, degrees, WGS 84. height_m: of the origin, in the vertical datum. vertical_datum:
    in words or as a code; "ellipsoid" (WGS 84), "EGM96", or "unknown" as of most drones. epoch: RFC 3339 day
    of the photos, or "" if unknown. uncertainty_m: standard deviation of the frame's place (east, north, up).
    """

    lon: float
    lat: float
    height_m: float = 0.0
    vertical_datum: str = UNKNOWN_DATUM
    epoch: str = ""
    uncertainty_m: tuple[float, float, float] | None = field(default=None)

    def __post_init__(self) -> None:
        numbers = (self.lon, self.lat, self.height_m)
        good = all(math.isfinite(v) for v in numbers) and abs(self.lon) <= 180 and abs(self.lat) <= 90
        if not good or abs(self.height_m) > 1e5:
            raise BadInput(
                "origin", found=numbers, expected="longitude, latitude in degrees, height in metres"
            )

    @property
    def crs(self) -> str:
        """The UTM zone of the origin, for products on a grid."""
        zone = int((self.lon + 180) // 6) % 60 + 1
        return f"EPSG:{(32600 if self.lat >= 0 else 32700) + zone}"

    @property
    def axes(self) -> Floats:
        """East, north and up as rows [3, 3], in geocentric axes."""
        a, b = np.radians([self.lon, self.lat])
        return np.array([
            [-np.sin(a), np.cos(a), 0.0],
            [-np.sin(b) * np.cos(a), -np.sin(b) * np.sin(a), np.cos(b)],
            [np.cos(b) * np.cos(a), np.cos(b) * np.sin(a), np.sin(b)],
        ])  # fmt: skip

    @property
    def origin_ecef(self) -> Floats:
        """The origin [3] in EPSG:4978; the height is taken as ellipsoidal, whatever its datum."""
        return np.array(_to_earth().transform(self.lon, self.lat, self.height_m), np.float64)

    @property
    def enu_to_ecef(self) -> Floats:
        """[4, 4], float64."""
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = self.axes.T, self.origin_ecef
        return matrix

    def lonlat(self, enu: ArrayLike) -> Floats:
        """Longitude, latitude (degrees) and height (metres, in the frame's datum) [N, 3] of points [N, 3]."""
        earth = np.atleast_2d(np.asarray(enu, np.float64)) @ self.axes + self.origin_ecef
        return np.stack(_to_earth().transform(*earth.T, direction="INVERSE"), axis=1)

    def enu(self, lonlat: ArrayLike) -> Floats:
        """Points [N, 3] of the frame from longitude, latitude, height [N, 3]."""
        earth = np.stack(_to_earth().transform(*np.atleast_2d(np.asarray(lonlat, np.float64)).T), axis=1)
        return (earth - self.origin_ecef) @ self.axes.T

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"crs": "EPSG:4979", "axes": "east, north, up; metres"}

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Frame:
        """The frame of `as_json`. Raises BadInput."""
        try:
            sigma = told.get("uncertainty_m")
            return cls(
                float(told["lon"]), float(told["lat"]), float(told["height_m"]),
                str(told.get("vertical_datum", UNKNOWN_DATUM)), str(told.get("epoch", "")),
                None if sigma is None else (float(sigma[0]), float(sigma[1]), float(sigma[2])),
            )  # fmt: skip
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise BadInput(
                "frame", found=repr(told)[:80], expected="lon, lat and height_m as numbers"
            ) from error
