"""What can be asked of a catalogue, and what comes back."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from geolab.catalog import shapes, times
from geolab.errors import BadInput, one_line

LARGEST_PAGE = 10_000


@dataclass(frozen=True)
class Search:
    """A question to a catalogue; what is left out does not restrict.

    bbox: west, south, east, north in degrees; west > east crosses the antimeridian.
    intersects: a GeoJSON geometry. Both mean: the item's geometry touches it.
    datetime: an RFC 3339 time or date, or `A/B` with `..` for an open end.
    filter: CQL2 as text or as JSON (a dict).
    sortby: property names after + or -, such as ("-datetime", "+properties.gsd").
    limit: items on a page, 1..10,000. token: `next_token` of the page before, same question.
    """

    ids: Sequence[str] | None = None
    collections: Sequence[str] | None = None
    bbox: Sequence[float] | None = None
    intersects: Mapping[str, Any] | None = None
    datetime: str | None = None
    filter: str | Mapping[str, Any] | None = None
    sortby: Sequence[str] = ()
    limit: int = 100
    token: str | None = None


@dataclass(frozen=True)
class Page:
    """Some of the items that were found.

    matched: how many were found in all, counted with the first page.
    next_token: for the next page; None on the last.
    """

    items: list[dict[str, Any]] = field(default_factory=list)
    next_token: str | None = None
    matched: int = 0


@dataclass(frozen=True)
class SortKey:
    """One field to sort by; values that are absent come last, up or down."""

    name: str
    descending: bool = False


@dataclass(frozen=True)
class Position:
    """Where a page ended: the sort values of its last item, its collection and id."""

    values: tuple[str | int | float | None, ...]
    collection: str
    id: str
    matched: int


@dataclass(frozen=True)
class Query:
    """A checked `Search`: nothing in it can be refused any more, but for its CQL2."""

    ids: tuple[str, ...] | None
    collections: tuple[str, ...] | None
    bbox: tuple[shapes.Box, ...]
    intersects: Any  # a shape, or None
    start: int | None
    stop: int | None
    filter: str | Mapping[str, Any] | None
    sortby: tuple[SortKey, ...]
    limit: int
    after: Position | None


def check(search: Search) -> Query:
    """The search with every part understood. Raises BadInput for the first part that is not."""
    start, stop = times.interval(search.datetime) if search.datetime is not None else (None, None)
    intersects = search.intersects
    return Query(
        ids=_names(search.ids, "ids"),
        collections=_names(search.collections, "collections"),
        bbox=tuple(shapes.query_boxes(search.bbox)) if search.bbox is not None else (),
        intersects=shapes.read(intersects, "intersects") if intersects is not None else None,
        start=start,
        stop=stop,
        filter=search.filter,
        sortby=_sort_keys(search.sortby),
        limit=_limit(search.limit),
        after=_read_token(search) if search.token is not None else None,
    )


def _names(names: Sequence[str] | None, what: str) -> tuple[str, ...] | None:
    if names is None:
        return None
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise BadInput(what, found=one_line(repr(names), 80), expected="a list of texts")
    return tuple(names)


def _limit(limit: int) -> int:
    if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= LARGEST_PAGE:
        raise BadInput("limit", found=repr(limit), expected=f"a whole number from 1 to {LARGEST_PAGE}")
    return limit


def _sort_keys(sortby: Sequence[str]) -> tuple[SortKey, ...]:
    if isinstance(sortby, str):
        sortby = [part.strip() for part in sortby.split(",")]
    keys: dict[str, SortKey] = {}
    for text in sortby:
        name = text[1:] if isinstance(text, str) and text[:1] in ("+", "-") else text
        if not isinstance(name, str) or not name:
            raise BadInput("sortby", found=repr(text), expected="property names after + or -")
        keys.setdefault(name, SortKey(name, descending=text.startswith("-")))
    return tuple(keys.values()) or (SortKey("datetime", descending=True),)


# ---------------------------------------------------------------- tokens

_TOKEN_REMEDY = "ask again without a token"  # noqa: S105 - words, not a secret


def write_token(search: Search, position: Position) -> str:
    """An opaque text from which the same search goes on behind `position`."""
    body = json.dumps([*position.values, position.collection, position.id, position.matched])
    data = _digest(search, body) + body.encode("ascii")
    return _spell(data)


def _read_token(search: Search) -> Position:
    token = search.token
    try:
        data = base64.urlsafe_b64decode(str(token).encode("ascii") + b"=" * (-len(str(token)) % 4))
        digest, body = data[:12], data[12:].decode("ascii")
    except (ValueError, binascii.Error) as error:
        raise _bad_token(token) from error
    if digest != _digest(search, body) or _spell(data) != token:
        raise _bad_token(token)
    *values, collection, item_id, matched = json.loads(body)
    return Position(tuple(values), collection, item_id, matched)


def _spell(data: bytes) -> str:
    """The one spelling of a token: Base64 has several for the same bytes."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _bad_token(token: object) -> BadInput:
    found = one_line(repr(token), 40)
    return BadInput("token", found=found, expected="the token of a page of this search", remedy=_TOKEN_REMEDY)


def _digest(search: Search, body: str) -> bytes:
    """Ties a token to its search; it guards against mistakes, forging it would gain nothing."""
    question = [search.ids, search.collections, search.bbox, search.intersects, search.datetime]
    question += [search.filter, search.sortby]
    text = json.dumps(question, sort_keys=True, default=_plain)
    return hashlib.blake2b(f"{text}\0{body}".encode("utf-8", "surrogatepass"), digest_size=12).digest()


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else list(value)


def item_collection(page: Page) -> dict[str, Any]:
    """The page as a STAC ItemCollection with numberMatched and numberReturned."""
    return {
        "type": "FeatureCollection",
        "features": page.items,
        "links": [],
        "numberMatched": page.matched,
        "numberReturned": len(page.items),
    }
