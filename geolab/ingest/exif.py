"""What a photo's EXIF says: position, time, camera. Pure functions on Pillow's tables.

Nothing is guessed: a value that is damaged or impossible is left out, with a warning that says so.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from PIL import Image

from geolab.errors import one_line
from geolab.ingest import dates
from geolab.ingest.dates import Taken

# Pillow's parsers may raise any of these on damaged or hostile EXIF; UserWarning when warnings are errors.
DAMAGED = (
    ValueError, TypeError, KeyError, IndexError, OSError, SyntaxError, OverflowError, ZeroDivisionError,
    AttributeError, struct.error, UserWarning,
)  # fmt: skip

_EXIF_IFD, _GPS_IFD = 0x8769, 0x8825
LONGEST_TEXT = 120
T = TypeVar("T")


@dataclass(frozen=True)
class Position:
    """WGS 84 degrees; altitude in metres above `datum`, None where the photo does not say."""

    lon: float
    lat: float
    altitude_m: float | None = None
    datum: str | None = None  # "sea level" | "ellipsoid"


@dataclass(frozen=True)
class Exif:
    """What EXIF says. Focal lengths in mm; exif_width, exif_height: of the picture the camera made."""

    position: Position | None = None
    taken: Taken | None = None
    local_time: str | None = None
    orientation: int = 1
    make: str | None = None
    model: str | None = None
    focal_mm: float | None = None
    focal_35mm: float | None = None
    sensor_mm: tuple[float, float] | None = None  # width, height
    exif_width: int | None = None
    exif_height: int | None = None
    warnings: tuple[str, ...] = field(default=())


def read_exif(image: Image.Image) -> Exif:
    """What the EXIF of an opened image says; pixels are not read."""
    warnings: list[str] = []
    main = _table(lambda: dict(image.getexif()), warnings)
    if not main:
        if image.info.get("exif"):
            warnings.append("the EXIF is damaged and can't be read")
        return Exif(warnings=tuple(dict.fromkeys(warnings)))
    photo = _table(lambda: dict(image.getexif().get_ifd(_EXIF_IFD)), warnings)
    gps = _table(lambda: dict(image.getexif().get_ifd(_GPS_IFD)), warnings)
    taken, local_time = moment(main, photo, gps, warnings)
    width, height = _whole(photo.get(0xA002)), _whole(photo.get(0xA003))
    orientation = _whole(main.get(0x0112)) or 1
    if not 1 <= orientation <= 8:
        warnings.append(f"orientation {orientation} does not exist; the pixels are shown as stored")
        orientation = 1
    return Exif(
        position=position(gps, warnings),
        taken=taken,
        local_time=local_time,
        orientation=orientation,
        make=text(main.get(0x010F)),
        model=text(main.get(0x0110)),
        focal_mm=_positive(photo.get(0x920A)),
        focal_35mm=_positive(photo.get(0xA405)),
        sensor_mm=_sensor_mm(photo, width, height),
        exif_width=width,
        exif_height=height,
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _table(read: Callable[[], dict[int, Any]], warnings: list[str]) -> dict[int, Any]:
    try:
        return read()
    except DAMAGED as error:
        warnings.append(f"a part of the EXIF is damaged and can't be read: {one_line(error, 80)}")
        return {}


# ---------------------------------------------------------------- values


def text(value: object) -> str | None:
    """Printable text of a limited length; None without any. It is data: whoever shows it escapes it."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        return None
    return one_line(value.split("\0")[0].encode("utf-8", "replace").decode("utf-8"), LONGEST_TEXT) or None


def number(value: object) -> float:
    """A finite float, or NaN: a zero denominator, a damaged or missing value."""
    try:
        found = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return math.nan
    return found if math.isfinite(found) else math.nan


def _positive(value: object) -> float | None:
    found = number(value)
    return found if found > 0 else None


def _whole(value: object) -> int | None:
    found = number(value[0] if isinstance(value, tuple) and value else value)
    return int(found) if found > 0 else None


def _sensor_mm(photo: Mapping[int, Any], width: int | None, height: int | None) -> tuple[float, float] | None:
    """The sensor's size from FocalPlane*Resolution, which count the pixels of the camera's own picture."""
    unit_mm = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}.get(_whole(photo.get(0xA210)) or 2)
    x, y = _positive(photo.get(0xA20E)), _positive(photo.get(0xA20F))
    if not (unit_mm and x and y and width and height):
        return None
    size = (width / x * unit_mm, height / y * unit_mm)
    return size if all(0.5 < side < 200 for side in size) else None


# ---------------------------------------------------------------- position


def position(gps: Mapping[int, Any], warnings: list[str]) -> Position | None:
    """The position, or None with a warning where there is one that can't be believed."""
    if not any(tag in gps for tag in (1, 2, 3, 4)):
        return None
    if 2 not in gps or 4 not in gps:
        missing = "latitude" if 2 not in gps else "longitude"
        warnings.append(f"no position: the GPS data hold no {missing}")
        return None
    south, west = text(gps.get(1)), text(gps.get(3))
    if south not in ("N", "S") or west not in ("E", "W"):
        warnings.append("no position: the GPS data do not say north or south, east or west")
        return None
    lat, lon = _degrees(gps[2]), _degrees(gps[4])
    if math.isnan(lat) or math.isnan(lon):
        warnings.append("no position: the GPS coordinates are not numbers (zero denominators or damage)")
        return None
    if lat > 90 or lon > 180:
        warnings.append(f"no position: latitude {lat:g}, longitude {lon:g} do not exist")
        return None
    if lat == lon == 0:
        warnings.append("no position: the GPS coordinates are exactly 0, 0; the receiver had no fix")
        return None
    altitude, datum = _altitude(gps, warnings)
    return Position(
        round(-lon if west == "W" else lon, 9), round(-lat if south == "S" else lat, 9), altitude, datum
    )


def _degrees(value: object) -> float:
    """Degrees, minutes and seconds as one number of degrees; NaN if they are not that."""
    parts = [number(v) for v in value] if isinstance(value, (tuple, list)) else [number(value)]
    if not 1 <= len(parts) <= 3 or any(math.isnan(p) or p < 0 for p in parts) or max([0, *parts[1:]]) > 60:
        return math.nan
    return sum(part / 60**i for i, part in enumerate(parts))


def _altitude(gps: Mapping[int, Any], warnings: list[str]) -> tuple[float | None, str | None]:
    """Metres, negative below the datum. EXIF 3.0: reference 0, 1 sea level; 2, 3 the ellipsoid."""
    if 6 not in gps:
        return None, None
    altitude = number(gps[6])
    if math.isnan(altitude) or abs(altitude) > 100_000:
        warnings.append("the GPS altitude is not a number")
        return None, None
    reference = gps.get(5, 0)
    code = reference[0] if isinstance(reference, (bytes, tuple)) and reference else reference
    below = code in (1, 3, "1", "3")
    return (-altitude if below else altitude), ("ellipsoid" if code in (2, 3, "2", "3") else "sea level")


# ---------------------------------------------------------------- time

_TIMES = ((0x9003, 0x9291, 0x9011), (0x9004, 0x9292, 0x9012), (0x0132, 0x9290, 0x9010))
A_DAY = timedelta(hours=26)  # the zones of the Earth span 26 hours


def moment(
    main: Mapping[int, Any], photo: Mapping[int, Any], gps: Mapping[int, Any], warnings: list[str]
) -> tuple[Taken | None, str | None]:
    """When it was taken, and the camera's clock as it stood.

    The camera's clock with its zone; else the GPS clock, which is UTC; else the camera's clock taken as
    UTC (source "exif-without-zone").
    """
    clock, zoned = _camera_clock(main, photo, warnings)
    satellite = _gps_clock(gps)
    local = clock.replace(tzinfo=None).isoformat() if clock and not zoned else None
    if clock and zoned:
        return Taken(clock, "exif"), None
    if satellite and (clock is None or abs(satellite - clock) <= A_DAY):
        return Taken(satellite, "gps"), local
    if satellite:
        warnings.append(f"the GPS clock ({dates.rfc3339(satellite)}) is days off the camera's; not used")
    return (Taken(clock, "exif-without-zone") if clock else None), local


def _camera_clock(
    main: Mapping[int, Any], photo: Mapping[int, Any], warnings: list[str]
) -> tuple[datetime | None, bool]:
    """The first usable time of the camera's clock, and whether it has a zone (else its digits as UTC)."""
    for tag, fraction_tag, zone_tag in _TIMES:
        written = text(main.get(tag) if tag == 0x0132 else photo.get(tag))
        if not written:
            continue
        fraction = "".join(c for c in text(photo.get(fraction_tag)) or "" if c.isdigit() and c.isascii())
        stamp = f"{written}.{fraction}" if fraction and "." not in written else written
        zone = text(photo.get(zone_tag)) or ""
        zoned = dates.parse(stamp + zone) if zone else None
        found = zoned or dates.parse(stamp)
        if found is not None:
            return found, zoned is not None
        warnings.append(f"'{one_line(written, 40)}' is not a date; not used")
    return None, False


def _gps_clock(gps: Mapping[int, Any]) -> datetime | None:
    day, clock = text(gps.get(29)), gps.get(7)
    if not day or not isinstance(clock, tuple) or len(clock) != 3:
        return None
    hours, minutes, seconds = (number(v) for v in clock)
    midnight = dates.parse(day)
    if midnight is None or math.isnan(hours + minutes + seconds):
        return None
    since = hours * 3600 + minutes * 60 + seconds
    return midnight + timedelta(milliseconds=round(since * 1000)) if 0 <= since < 86_401 else None
