"""Parts of a file as a request asks for them: RFC 9110, sections 13 and 14."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from itertools import pairwise

MOST_RANGES = 16  # more are answered with the whole file, which the RFC allows
_RANGE = re.compile(r"[ \t]*(\d{0,18})-(\d{0,18})[ \t]*", re.ASCII)


@dataclass(frozen=True)
class Span:
    """Bytes `start` to `stop`, which is one behind the last."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        return self.stop - self.start

    def of(self, total: int) -> str:
        """As Content-Range has it."""
        return f"bytes {self.start}-{self.stop - 1}/{total}"


class Unsatisfiable(Exception):
    """None of the ranges lies in the file: 416."""


def spans(header: str | None, total: int) -> list[Span]:
    """The ranges that a Range header asks of `total` bytes; none: send the whole file.

    A header that is malformed, of another unit, of many ranges or of ranges that overlap counts as none.
    """
    unit, equals, rest = (header or "").partition("=")
    if unit.strip().lower() != "bytes" or not equals:
        return []
    asked = [_RANGE.fullmatch(part) for part in rest.split(",") if part.strip()]
    if not asked or len(asked) > MOST_RANGES or not all(asked):
        return []
    pairs = [(m[1], m[2]) for m in asked if m is not None]
    if any(not (first or last) or (first and last and int(last) < int(first)) for first, last in pairs):
        return []
    found = [span for first, last in pairs if (span := _span(first, last, total)).size > 0]
    if not found:
        raise Unsatisfiable
    return [] if _overlap(found) else found


def _span(first: str, last: str, total: int) -> Span:
    if not first:
        return Span(max(0, total - int(last)), total)
    return Span(int(first), min(total, int(last) + 1) if last else total)


def _overlap(found: list[Span]) -> bool:
    ordered = sorted(found, key=lambda span: span.start)
    return any(a.stop > b.start for a, b in pairwise(ordered))


# ---------------------------------------------------------------- conditions


def http_date(seconds: float) -> str:
    """A time as HTTP writes it; whole seconds."""
    return format_datetime(datetime.fromtimestamp(int(seconds), UTC), usegmt=True)


def _seconds(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def precondition(headers: Mapping[str, str], tag: str, modified: float) -> int:
    """304 or 412 where the request's conditions say so, else 200. tag: strong, with its quotes."""
    match, none_match = headers.get("If-Match"), headers.get("If-None-Match")
    if match is not None:
        if match.strip() != "*" and tag not in _tags(match):
            return 412
    elif (since := _seconds(headers.get("If-Unmodified-Since", ""))) is not None and int(modified) > since:
        return 412
    if none_match is not None:
        same = none_match.strip() == "*" or tag in {t.removeprefix("W/") for t in _tags(none_match)}
        return 304 if same else 200
    since = _seconds(headers.get("If-Modified-Since", ""))
    return 304 if since is not None and int(modified) <= since else 200


def _tags(header: str) -> list[str]:
    return re.findall(r'(?:W/)?"[^"]*"', header)


def still_the_same(if_range: str | None, tag: str, modified: float) -> bool:
    """Whether a range may be sent: the file is the one of which the client has the rest."""
    if if_range is None:
        return True
    if '"' in if_range:
        return if_range.strip() == tag  # a weak tag never equals a strong one
    return _seconds(if_range) == int(modified)


# ---------------------------------------------------------------- several at once


@dataclass(frozen=True)
class Parts:
    """A multipart/byteranges body: what stands before each range, and at the end."""

    boundary: str
    heads: tuple[bytes, ...]
    end: bytes
    size: int  # bytes, with the ranges

    @property
    def content_type(self) -> str:
        return f"multipart/byteranges; boundary={self.boundary}"


def parts(found: list[Span], total: int, kind: str) -> Parts:
    """The frame around several ranges of a file of this media type."""
    boundary = secrets.token_hex(16)
    heads = tuple(
        f"\r\n--{boundary}\r\nContent-Type: {kind}\r\nContent-Range: {span.of(total)}\r\n\r\n".encode()
        for span in found
    )
    end = f"\r\n--{boundary}--\r\n".encode()
    size = sum(map(len, heads)) + sum(span.size for span in found) + len(end)
    return Parts(boundary, heads, end, size)
