"""What a person asks of the catalogue, as a search: words, a collection, a role, a place, days, CQL2."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import date
from typing import Any

from geolab import catalog
from geolab.catalog import cql, items, shapes
from geolab.errors import BadInput, one_line

MOST_WORDS = 8
WORD_FIELDS = ("title", "id", "description", "geolab:notebook", "platform")
SORTS = {
    "newest": ("-datetime",),
    "oldest": ("+datetime",),
    "title": ("+title",),
    "finest": ("+gsd",),
}


@dataclass(frozen=True)
class Question:
    """What is asked; an empty text does not restrict.

    bbox: west,south,east,north in degrees. start, end: days, 2024-08-15, both included.
    filter: CQL2 as text. sort: one of SORTS.
    """

    text: str = ""
    collection: str = ""
    role: str = ""
    bbox: str = ""
    start: str = ""
    end: str = ""
    filter: str = ""
    sort: str = "newest"

    @property
    def restricts(self) -> bool:
        """Whether anything is left out."""
        return replace(self, sort="newest") != Question()


def search(asked: Question, *, limit: int = 100, token: str | None = None) -> catalog.Search:
    """The search that a question means. Raises BadInput for the first part that can't be understood."""
    if asked.sort not in SORTS:
        raise BadInput("order", found=repr(asked.sort), expected=" or ".join(SORTS))
    return catalog.Search(
        collections=(asked.collection,) if asked.collection else None,
        bbox=box(asked.bbox) if asked.bbox.strip() else None,
        datetime=interval(asked.start, asked.end),
        filter=condition(asked),
        sortby=SORTS[asked.sort],
        limit=limit,
        token=token,
    )


def box(text: str) -> list[float]:
    """west, south, east, north of a text, degrees. Raises BadInput."""
    found = [float(value) for value in catalog.parse_bbox(text)]
    shapes.query_boxes(found)  # raises for what is no box
    return found


def interval(start: str, end: str) -> str | None:
    """The days as RFC 3339 with `..` for an open end; None if both are. Raises BadInput."""
    first, last = _day("from", start), _day("to", end)
    if first and last and first > last:
        raise BadInput("days", found=f"{first} to {last}", expected="the first day first")
    if not first and not last:
        return None
    return f"{f'{first}T00:00:00Z' if first else '..'}/{f'{last}T23:59:59.999999Z' if last else '..'}"


def _day(name: str, text: str) -> str:
    if not text.strip():
        return ""
    try:
        return date.fromisoformat(text.strip()).isoformat()
    except ValueError as error:
        found = one_line(text, 40)
        raise BadInput(name, found=found, expected="a day such as 2024-08-15") from error


def condition(asked: Question) -> dict[str, Any] | None:
    """Words, role and the expert's filter as one CQL2 condition; None without any. Raises BadInput."""
    words = asked.text.split()
    if len(words) > MOST_WORDS:
        raise BadInput("text", found=f"{len(words)} words", expected=f"at most {MOST_WORDS}")
    parts = [_word(word) for word in words]
    if asked.role:
        parts.append(_role(asked.role))
    if asked.filter.strip():
        parts.append(cql.parse(asked.filter))
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else {"op": "and", "args": parts}


def _word(word: str) -> dict[str, Any]:
    """The word in one of the fields, in large or small letters; % and _ are letters like others."""
    literal = "".join(f"\\{c}" if c in "%_\\" else c for c in word)
    pattern = {"op": "casei", "args": [f"%{literal}%"]}
    named = [{"op": "casei", "args": [{"property": name}]} for name in WORD_FIELDS]
    return {"op": "or", "args": [{"op": "like", "args": [field, pattern]} for field in named]}


def _role(role: str) -> dict[str, Any]:
    if role not in items.ROLES:
        raise BadInput("type", found=repr(one_line(role, 40)), expected=" or ".join(items.ROLES))
    same = {"op": "=", "args": [{"property": "geolab:role"}, role]}
    if role != "image":
        return same
    unsaid = {"op": "isNull", "args": [{"property": "geolab:role"}]}  # an image unless it says otherwise
    return {"op": "or", "args": [same, unsaid]}


def from_address(asked: Mapping[str, Any]) -> Question:
    """The question that a page's parameters ask; `datetime` is A, A/B, A/.. or ../B."""
    first, slash, last = str(asked.get("datetime") or "").partition("/")
    days = {"start": first, "end": last if slash else first}
    given = {name: "" if text == ".." else text[:10] for name, text in days.items()}
    known = {f.name for f in fields(Question)}
    return Question(**given, **{k: str(v) for k, v in asked.items() if k in known - set(given) and v})


def to_address(asked: Question) -> dict[str, str]:
    """The parameters of the page that ask this question again."""
    told = {f.name: getattr(asked, f.name) for f in fields(asked) if f.name not in ("start", "end")}
    days = f"{asked.start or '..'}/{asked.end or '..'}" if asked.start or asked.end else ""
    return {**told, "datetime": days, "sort": "" if asked.sort == "newest" else asked.sort}
