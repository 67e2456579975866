"""Times in cron's words, checked, and in the form that crontab, croniter and Airflow all read alike."""

from __future__ import annotations

import re
from dataclasses import dataclass

from geolab.errors import BadInput

_WORDS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LONGEST_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@dataclass(frozen=True)
class _Field:
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()  # of `low` and those after it


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of the week", 0, 7, _DAYS),
)
_PART = re.compile(r"(\*|\w+)(?:-(\w+))?(?:/(\d{1,3}))?", re.ASCII)


def checked(text: str) -> str:
    """The same times as five fields of numbers. Raises BadInput for what is no time, or never comes."""
    words = _WORDS.get(text.strip().lower(), text).split()
    if len(words) != 5:
        expected = "minute, hour, day of the month, month and day of the week, such as '0 3 * * 1'"
        raise BadInput("schedule", found=repr(text), expected=expected)
    made = [_checked(field, word) for field, word in zip(_FIELDS, words, strict=True)]
    _refuse_never(text, *(made[i] for i in (2, 3, 4)))
    return " ".join(made)


def _checked(field: _Field, word: str) -> str:
    return ",".join(_part(field, part) for part in word.split(","))


def _part(field: _Field, text: str) -> str:
    found = _PART.fullmatch(text)
    if found is None:
        expected = f"*, a number, a range such as {field.low}-{field.low + 2}, with a step */5, or a list"
        raise BadInput(f"schedule, {field.name}", found=repr(text), expected=expected)
    first, last, step = found.groups()
    if step is not None and int(step) == 0:
        raise BadInput(f"schedule, {field.name}", found=repr(text), expected="a step of at least 1")
    if first == "*" and last is None:
        return text
    low = _number(field, first, text)
    if last is None:
        if step is not None:
            remedy = f"write {first}-{field.high}/{step}"
            raise BadInput(
                f"schedule, {field.name}", found=repr(text), expected="a step of a range", remedy=remedy
            )
        return str(low % 7 if field.names == _DAYS else low)
    high = _number(field, last, text)
    if high < low:
        raise BadInput(
            f"schedule, {field.name}", found=repr(text), expected="a range that ends after it begins"
        )
    if field.names == _DAYS and high == 7:  # Sunday as 7 is not understood by all
        return ",".join(str(day % 7) for day in range(low, high + 1, int(step or 1)))
    return f"{low}-{high}" + (f"/{step}" if step else "")


def _number(field: _Field, word: str, text: str) -> int:
    name = word.lower()
    number = (
        field.low + field.names.index(name) if name in field.names else int(word) if word.isdecimal() else -1
    )
    if not field.low <= number <= field.high:
        names = f" or {field.names[0]}..{field.names[-1]}" if field.names else ""
        expected = f"{field.low} to {field.high}{names}"
        raise BadInput(f"schedule, {field.name}", found=repr(text), expected=expected)
    return number


def _refuse_never(text: str, days: str, months: str, weekdays: str) -> None:
    """A day that no month of the schedule has, such as 31 February; any day of the week would do too."""
    if days.startswith("*") or not weekdays.startswith("*"):
        return
    longest = max(_LONGEST_MONTH[month - 1] for month in _values(months, 1, 12))
    if min(_values(days, 1, 31)) > longest:
        raise BadInput("schedule", found=repr(text), expected="a day that comes")


def _values(field: str, low: int, high: int) -> set[int]:
    """The numbers that a checked field stands for."""
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = (f"{low}-{high}" if span == "*" else span).partition("-")
        found.update(range(int(first), int(last or first) + 1, int(step or 1)))
    return found
