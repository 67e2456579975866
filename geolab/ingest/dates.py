"""When an image was taken: from its tags, its name, or at last the time of its file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone

EARLIEST = 1900  # years before are clocks that were never set

# GDAL's and other programs' names for the moment of acquisition, the surest first.
TAGS = (
    "ACQUISITIONDATETIME",
    "ACQUISITION_DATETIME",
    "ACQUISITION_DATE",
    "DATE_ACQUIRED",
    "SENSING_TIME",
    "TIFFTAG_DATETIME",
)


@dataclass(frozen=True)
class Taken:
    """A moment and where it is known from."""

    at: datetime
    source: str


def rfc3339(moment: datetime) -> str:
    """The moment in UTC, such as 2024-08-15T10:20:30Z, with sub-seconds only where there are any."""
    text = moment.astimezone(UTC).replace(tzinfo=None).isoformat()
    return f"{text}Z"


def from_tags(tags: Mapping[str, str]) -> Taken | None:
    """The moment of acquisition that a raster's tags give; times without zone count as UTC."""
    upper = {key.upper(): value for key, value in tags.items()}
    for name in TAGS:
        moment = parse(upper.get(name, ""))
        if moment is not None:
            return Taken(moment, f"tag:{name}")
    return None


def span(tags: Mapping[str, str]) -> dict[str, str]:
    """The time that a product of several images shows, by its tags, as STAC says it; empty without."""
    ends = [parse(tags.get(name, "")) for name in ("START_DATETIME", "END_DATETIME")]
    if ends[0] is None or ends[1] is None or ends[0] > ends[1]:
        return {}
    return {"start_datetime": rfc3339(ends[0]), "end_datetime": rfc3339(ends[1])}


_ISO = re.compile(
    r"(?P<y>\d{4})[-:/](?P<m>\d{1,2})[-:/](?P<d>\d{1,2})"
    r"(?:[T ]+(?P<H>\d{1,2}):(?P<M>\d{2})(?::(?P<S>\d{2})(?:[.,](?P<f>\d+))?)?"
    r"\s*(?P<zone>Z|[+-]\d{2}:?\d{2})?)?",
    re.ASCII,
)


def parse(text: str) -> datetime | None:
    """A moment from ISO 8601 or the TIFF and EXIF form 2024:08:15 10:20:30; None if it is neither.

    Without a zone it counts as UTC; without a time as midnight.
    """
    match = _ISO.fullmatch(text.strip("\0 \t\r\n"))
    if match is None:
        return None
    part = match.groupdict()
    micro = int((part["f"] or "0")[:6].ljust(6, "0"))
    clock = (int(part["H"] or 0), int(part["M"] or 0), int(part["S"] or 0), micro)
    return _moment(int(part["y"]), int(part["m"]), int(part["d"]), *clock, zone=_zone(part["zone"]))


def _zone(text: str | None) -> timezone:
    if not text or text == "Z":
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return timezone(timedelta(minutes=minutes if text[0] == "+" else -minutes)) if minutes < 24 * 60 else UTC


def _moment(year: int, month: int, day: int, *clock: int, zone: timezone = UTC) -> datetime | None:
    if year < EARLIEST:
        return None
    try:
        return datetime(year, month, day, *clock, tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


# ---------------------------------------------------------------- names

_YEAR = r"(?P<y>(?:19[3-9]|20\d)\d)"
_TIME = r"(?P<H>[01]\d|2[0-3])[-:]?(?P<M>[0-5]\d)[-:]?(?P<S>[0-5]\d)"
_MONTH_DAY = r"(?P<m>0[1-9]|1[0-2])(?P<d>[0-2]\d|3[01])"
_NAMES = (
    # LT51200382000124BJC00: sensor, path, row, year, day of the year
    re.compile(rf"(?<![A-Za-z0-9])L[COTEM]\d\d{{6}}{_YEAR}(?P<doy>[0-3]\d\d)", re.ASCII),
    # MOD09A1.A2018123: day of the year after an A
    re.compile(rf"(?<![A-Za-z0-9])A{_YEAR}(?P<doy>[0-3]\d\d)(?!\d)", re.ASCII),
    # 20170105T013442, 20230512142233, IMG_20240815_142233
    re.compile(rf"(?<!\d){_YEAR}{_MONTH_DAY}[T_-]?{_TIME}(?:\d{{3}})?(?!\d)", re.ASCII),
    # 2024-08-15, with or without _10-20-30
    re.compile(rf"(?<!\d){_YEAR}([-_.])(?P<m>\d\d)\2(?P<d>\d\d)(?:[T_ -]+{_TIME})?(?!\d)", re.ASCII),
    # 20240815
    re.compile(rf"(?<!\d){_YEAR}{_MONTH_DAY}(?!\d)", re.ASCII),
)  # fmt: skip


def from_name(name: str) -> datetime | None:
    """The moment that a file name tells, in UTC, midnight where it tells only the day; None without one."""
    for pattern in _NAMES:
        for match in pattern.finditer(name):
            moment = _from_match(match.groupdict())
            if moment is not None:
                return moment
    return None


def _from_match(part: Mapping[str, str | None]) -> datetime | None:
    year = int(part["y"] or 0)
    clock = (int(part.get("H") or 0), int(part.get("M") or 0), int(part.get("S") or 0))
    if part.get("doy"):
        day = int(part["doy"] or 0)
        if not 1 <= day <= (date(year, 12, 31) - date(year, 1, 1)).days + 1:
            return None
        first = _moment(year, 1, 1)
        return None if first is None else first + timedelta(days=day - 1)
    return _moment(year, int(part["m"] or 0), int(part["d"] or 0), *clock)


def from_names(names: Iterable[str]) -> Taken | None:
    """The moment told by the first of the names, in alphabetical order, that tells one."""
    for name in sorted(names):
        moment = from_name(name)
        if moment is not None:
            return Taken(moment, "filename")
    return None
