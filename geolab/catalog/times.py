"""Instants and intervals of time as whole microseconds since 1970, UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from geolab.errors import BadInput

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
DAY = 86_400_000_000

_STAMP = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:[.,](\d+))?(?:([Zz])|([+-])(\d\d):?(\d\d))?", re.ASCII
)
_DATE = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?", re.ASCII)

Span = tuple[int, int]  # first and last microsecond, both included


def instant(text: object) -> int | None:
    """The microsecond of an RFC 3339 time; None if the text is not one. Without a zone it is UTC."""
    found = _STAMP.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    leap = second == 60  # a leap second is counted as the first moment of the next minute
    offset = timedelta(hours=int(found[10] or 0), minutes=int(found[11] or 0))
    try:
        zone = timezone(-offset if found[9] == "-" else offset)
        moment = datetime(year, month, day, hour, minute, 59 if leap else second, tzinfo=zone)
    except ValueError:
        return None
    fraction = 1_000_000 if leap else int((found[7] or "0")[:6].ljust(6, "0"))
    return (moment - EPOCH) // MICROSECOND + fraction


def date_span(text: object) -> Span | None:
    """The span of a year, month or day (2024, 2024-08, 2024-08-15); None if the text is not one."""
    found = _DATE.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return None
    year, month, day = (int(part) if part else None for part in found.groups())
    try:
        first = datetime(year or 0, month or 1, day or 1, tzinfo=UTC)
    except ValueError:
        return None
    start = (first - EPOCH) // MICROSECOND
    return start, start + _length(first, month, day) - 1


def _length(first: datetime, month: int | None, day: int | None) -> int:
    if day:
        return DAY
    days = 31 if month else 366
    while True:  # the longest span that still ends inside the month or year
        last = first.toordinal() + days - 1
        ends = datetime.max.toordinal() if last > datetime.max.toordinal() else last
        moment = datetime.fromordinal(ends)
        if (moment.year, moment.month if month else 0) == (first.year, month or 0):
            return (ends - first.toordinal() + 1) * DAY
        days -= 1


def span(text: object) -> Span | None:
    """The span of a time or a date; None if the text is neither."""
    moment = instant(text)
    return (moment, moment) if moment is not None else date_span(text)


def interval(text: str) -> tuple[int | None, int | None]:
    """The first and last microsecond of `A`, `A/B`, `A/..` or `../B`; None is an open end.

    A and B: RFC 3339 times, or dates (whole days, months or years). Raises BadInput.
    """
    parts = text.split("/") if isinstance(text, str) else [text]
    if len(parts) == 1:
        return _end(parts[0], text)
    if len(parts) != 2:
        raise _refused(text)
    start, stop = (None if part in ("", "..") else _end(part, text) for part in parts)
    first, last = (start[0] if start else None), (stop[1] if stop else None)
    if first is not None and last is not None and first > last:
        raise BadInput("datetime", found=repr(text), expected="a start that is not after the end")
    return first, last


def _end(part: Any, text: object) -> Span:
    found = span(part)
    if found is None:
        raise _refused(text)
    return found


def _refused(text: object) -> BadInput:
    return BadInput(
        "datetime",
        found=repr(text),
        expected="an RFC 3339 time or date, or two of them as A/B, with .. for an open end",
    )


def iso(microseconds: int) -> str:
    """The RFC 3339 text of an instant, UTC."""
    moment = EPOCH + timedelta(microseconds=microseconds)
    return moment.isoformat().replace("+00:00", "Z")
