"""What a photo says of itself before its camera is known: its lens, where it was, which way it looked."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from geolab.errors import FileRejected, one_line
from geolab.ingest import photos
from geolab.ingest.camera import focal_px
from geolab.ingest.dates import rfc3339
from geolab.splats.views import Camera, View

GUESSED_FOCAL = 1.2  # of the longer side, where a photo tells nothing: COLMAP's guess
GPS_SIGMA_M = (5.0, 10.0)  # across, up: of a receiver alone
RTK_SIGMA_M = (0.05, 0.1)  # of one with corrections that does not state its own
_RTK_FIXED = 50  # DJI's RtkFlag


@dataclass(frozen=True)
class Photo:
    """A photo by its header.

    width, height: of the stored pixels. focal_px: of these, or None if the photo does not say. measured:
    longitude, latitude, height (NaN where not stated), or None; datum: of that height, or ""; sigma_m: of
    these, across and up. orientation: of EXIF, 1..8. lens: photos of one lens share a camera. xmp: as
    `ingest.xmp` names it. item: its id in the catalogue, or "". problem: why it can't be read, or "".
    """

    name: str
    path: Path
    width: int = 0
    height: int = 0
    focal_px: float | None = None
    measured: tuple[float, float, float] | None = None
    datum: str = ""
    sigma_m: tuple[float, float] = GPS_SIGMA_M
    taken: str = ""
    orientation: int = 1
    lens: tuple[object, ...] = ()
    xmp: dict[str, float] = field(default_factory=dict)
    item: str = ""
    problem: str = ""

    @property
    def above_takeoff_m(self) -> float | None:
        """XMP's RelativeAltitude."""
        return self.xmp.get("relative_altitude_m")

    @property
    def guessed_focal_px(self) -> float:
        """As stated, or what is usual."""
        return self.focal_px or GUESSED_FOCAL * max(self.width, self.height)

    def view(self) -> View:
        """With the camera that the photo's own words make, at the origin."""
        focal = self.guessed_focal_px
        K = np.array([[focal, 0, self.width / 2], [0, focal, self.height / 2], [0, 0, 1.0]])
        camera = Camera(self.width, self.height, K, np.eye(4))
        return View(self.name, self.path, camera, measured=self.measured, taken=self.taken, item=self.item)


def read(path: Path, name: str = "", item: str = "") -> Photo:
    """A photo by its header; no pixel is read. What can't be read has a `problem`.

    name: by default the file's.
    """
    name = name or path.name
    try:
        seen = photos.read_photo(path)
    except (FileRejected, OSError) as error:
        reason = error.reason if isinstance(error, FileRejected) else one_line(error, 100)
        return Photo(name, path, item=item, problem=reason)
    exif, place = seen.exif, seen.exif.position
    height = math.nan if place is None or place.altitude_m is None else place.altitude_m
    return Photo(
        name, path, seen.width, seen.height,
        focal_px=focal_px(exif, seen.width, seen.height, seen.xmp.get("calibrated_focal_px")),
        measured=None if place is None else (place.lon, place.lat, height),
        datum="" if place is None or place.datum is None else place.datum,
        sigma_m=_sigma_m(seen.xmp),
        taken=rfc3339(exif.taken.at) if exif.taken else "",
        orientation=exif.orientation,
        lens=(exif.make, exif.model, exif.focal_mm and round(exif.focal_mm, 2), seen.width, seen.height),
        xmp=seen.xmp, item=item,
    )  # fmt: skip


def _sigma_m(xmp: dict[str, float]) -> tuple[float, float]:
    """Standard deviation of the position, metres across and up."""
    told = [xmp.get(name, 0.0) for name in ("rtk_std_lon_m", "rtk_std_lat_m", "rtk_std_height_m")]
    if xmp.get("rtk_flag") != _RTK_FIXED:
        return GPS_SIGMA_M
    if all(0 < sigma < GPS_SIGMA_M[1] for sigma in told):
        return max(told[0], told[1], 0.01), max(told[2], 0.01)
    return RTK_SIGMA_M
