"""An item as the columns of a table: what a back end stores beside the document."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from geolab.catalog import shapes, times
from geolab.errors import BadInput, one_line

DEEPEST = 200  # SQLite's JSON functions refuse documents nested deeper than 1,000


@dataclass(frozen=True)
class Row:
    """An item ready to be stored. Times are microseconds since 1970, UTC."""

    collection: str  # "" for an item without one
    id: str
    title: str | None
    datetime: int | None
    start: int
    stop: int
    bounds: shapes.Box | None  # west > east across the antimeridian
    boxes: tuple[shapes.Box, ...]
    shape: bytes | None  # WKB, longitude -180..180, cut at the antimeridian
    document: str


def row(item: Mapping[str, Any]) -> Row:
    """The item checked as far as search depends on it. Raises BadInput."""
    item_id, collection = _identity(item)
    properties = item.get("properties")
    if not isinstance(properties, Mapping):
        raise _bad(item_id, "properties", properties, "an object")
    moment, start, stop = _times(item_id, properties)
    document = dump(f"item {item_id!r}", item)
    shape = shapes.item_shape(item)
    boxes = tuple(shapes.boxes(shape)) if shape is not None else ()
    title = properties.get("title")
    return Row(
        collection=collection,
        id=item_id,
        title=title if isinstance(title, str) else None,
        datetime=moment,
        start=start,
        stop=stop,
        bounds=_bounds(boxes),
        boxes=boxes,
        shape=shape.wkb if shape is not None else None,
        document=document,
    )


def _identity(item: Mapping[str, Any]) -> tuple[str, str]:
    if not isinstance(item, Mapping) or item.get("type") != "Feature":
        found = one_line(repr(item.get("type") if isinstance(item, Mapping) else item), 60)
        raise BadInput("STAC item", found=found, expected="an object of type Feature")
    item_id, collection = item.get("id"), item.get("collection")
    if not isinstance(item_id, str) or not item_id:
        raise BadInput("id of a STAC item", found=one_line(repr(item_id), 60), expected="a text")
    if collection is not None and (not isinstance(collection, str) or not collection):
        raise _bad(item_id, "collection", collection, "a text")
    return item_id, collection or ""


def _bad(item_id: str, what: str, found: object, expected: str) -> BadInput:
    return BadInput(f"{what} of item {item_id!r}", found=one_line(repr(found), 80), expected=expected)


def _times(item_id: str, properties: Mapping[str, Any]) -> tuple[int | None, int, int]:
    """The item's datetime (if it has one) and the first and last moment it covers."""
    found = {}
    for name in ("datetime", "start_datetime", "end_datetime"):
        text = properties.get(name)
        found[name] = times.instant(text)
        if text is not None and found[name] is None:
            raise _bad(item_id, name, text, "an RFC 3339 time such as 2024-08-15T10:30:00Z")
    moment, start, stop = found.values()
    start, stop = (moment if value is None else value for value in (start, stop))
    if start is None or stop is None:
        raise _bad(item_id, "datetime", None, "a time, or null with start_datetime and end_datetime")
    if start > stop:
        raise _bad(item_id, "start_datetime", properties.get("start_datetime"), "a time before the end")
    return moment, start, stop


def dump(what: str, value: Mapping[str, Any]) -> str:
    """The value as compact JSON that SQLite and Python both read back. Raises BadInput."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise BadInput(what, found=one_line(str(error), 100), expected="values that JSON can hold") from error
    if text.count("[") + text.count("{") > DEEPEST and _depth(text) > DEEPEST:
        raise BadInput(what, found="deep nesting", expected=f"at most {DEEPEST} levels")
    return text


def _depth(text: str) -> int:
    """How deep the JSON text is nested; brackets inside strings do not count."""
    depth = deepest = 0
    quoted = escaped = False
    for char in text:
        if quoted:
            quoted = escaped or char != '"'
            escaped = char == "\\" and not escaped
        elif char == '"':
            quoted = True
        elif char in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in "]}":
            depth -= 1
    return deepest


def _bounds(boxes: tuple[shapes.Box, ...]) -> shapes.Box | None:
    if not boxes:
        return None
    first, last = boxes[0], boxes[-1]
    west, east = shapes.longitudes([(box[0], box[2]) for box in boxes])
    return west, min(first[1], last[1]), east, max(first[3], last[3])
