"""Texts of a form of their own: dates, spans of time, boxes on the map."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date

from geolab.errors import BadInput

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def check(name: str, form: str, text: str) -> None:
    """Raise BadInput, which names the parameter, unless the text is a date, dates or bbox."""
    expected = _CHECKS[form](text)
    if expected:
        raise BadInput(name, found=repr(text), expected=expected)


def _date(text: str) -> str:
    """What was expected; "" if the text is that."""
    try:
        fits = _DAY.fullmatch(text) is not None and bool(date.fromisoformat(text))
    except ValueError:
        fits = False
    return "" if fits else "a day such as 2024-08-15"


def _dates(text: str) -> str:
    from geolab.catalog import times  # rasterio loads with the catalogue

    try:
        times.interval(text)
    except BadInput as error:
        return error.expected
    return ""


def _bbox(text: str) -> str:
    from geolab.catalog import shapes

    try:
        box = shapes.parse_bbox(text)
        shapes.query_boxes(box)
    except BadInput as error:
        return error.expected
    return "" if len(box) == 4 else "four numbers W,S,E,N"


_CHECKS: dict[str, Callable[[str], str]] = {"date": _date, "dates": _dates, "bbox": _bbox}
FORMS = tuple(_CHECKS)
