"""Photos without poses, as their headers tell of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from geolab.errors import FileRejected
from geolab.ingest.camera import focal_px
from geolab.ingest.dates import rfc3339
from geolab.ingest.photos import read_photo


@dataclass(frozen=True)
class Photo:
    """A photo before structure from motion.

    name: below its folder. width, height, focal_px: of the stored pixels; focal_px None where the photo does
    not say. measured: longitude, latitude, height (NaN where not stated), or None; datum: of that height.
    above_takeoff_m: XMP's RelativeAltitude. taken: RFC 3339 or "". item: its id in the catalogue, or "".
    problem: why it can't be read, or "".
    """

    name: str
    path: Path
    width: int = 0
    height: int = 0
    focal_px: float | None = None
    measured: tuple[float, float, float] | None = None
    datum: str = ""
    above_takeoff_m: float | None = None
    taken: str = ""
    item: str = ""
    problem: str = ""


def read(path: Path, folder: Path, items: Mapping[str, str]) -> Photo:
    """A photo by its header. items: ids by name."""
    name = path.relative_to(folder).as_posix()
    try:
        seen = read_photo(path)
    except FileRejected as error:
        return Photo(name, path, item=items.get(name, ""), problem=error.reason)
    exif, place = seen.exif, seen.exif.position
    height = math.nan if place is None or place.altitude_m is None else place.altitude_m
    return Photo(
        name,
        path,
        seen.width,
        seen.height,
        focal_px(exif, seen.width, seen.height, seen.xmp.get("calibrated_focal_px")),
        None if place is None else (place.lon, place.lat, height),
        "" if place is None or place.datum is None else place.datum,
        seen.xmp.get("relative_altitude_m"),
        rfc3339(exif.taken.at) if exif.taken else "",
        items.get(name, ""),
    )
