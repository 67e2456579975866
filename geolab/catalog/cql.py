"""CQL2 filters: read by the `cql2` package, then checked part by part.

`cql2.Expr.validate` is not used: version 0.6.0 takes 80 ms and 95 MB for the smallest filter and
gigabytes for a deeply nested one.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from geolab.catalog import shapes, times
from geolab.errors import BadInput, one_line

LONGEST_TEXT = 65_536
DEEPEST = 64  # cql2 0.6.0 overflows the stack, and ends the process, some thousand levels down
MOST_OPERATORS = 2_000
MOST_PARTS = 2_000

COMPARISONS = {"=", "<>", "<", "<=", ">", ">="}
SPATIAL = {"s_contains", "s_crosses", "s_disjoint", "s_equals", "s_intersects", "s_overlaps", "s_touches"}
SPATIAL |= {"s_within"}
TEMPORAL = {"after", "before", "contains", "disjoint", "during", "equals", "finishedby", "finishes"}
TEMPORAL |= {"intersects", "meets", "metby", "overlappedby", "overlaps", "startedby", "starts"}
TEMPORAL = {f"t_{name}" for name in TEMPORAL}
ARRAYS = {"a_containedby", "a_contains", "a_equals", "a_overlaps"}
ARITHMETIC = {"+", "-", "*", "/", "%", "^", "div"}
TEXTS = {"casei", "accenti"}

_PREDICATES = {
    "and": (2, LONGEST_TEXT),
    "or": (2, LONGEST_TEXT),
    "not": (1, 1),
    "between": (3, 3),
    "in": (2, 2),
    "like": (2, 2),
    "isnull": (1, 1),
    **dict.fromkeys(COMPARISONS | SPATIAL | TEMPORAL | ARRAYS, (2, 2)),
}
_VALUES = {**dict.fromkeys(TEXTS, (1, 1)), **dict.fromkeys(ARITHMETIC, (2, 2))}

Node = Any  # a part of CQL2 JSON


def parse(filter: str | Mapping[str, Any]) -> Node:
    """The filter as CQL2 JSON in which every part is known and has the arguments it needs.

    Raises BadInput.
    """
    text = filter if isinstance(filter, str) else _dump(filter)
    _refuse_monsters(text)
    node = _read(text)
    _check_predicate(node, _Budget())
    return node


def operator(node: Node) -> str:
    """The operator of a part in lower case; "" if it has none."""
    return str(node.get("op", "")).lower() if isinstance(node, Mapping) else ""


def expression(node: Node) -> Any:
    """The part as an expression of the `cql2` package, which can match items."""
    import cql2

    return cql2.Expr(json.dumps(node))


def _read(text: str) -> Node:
    import cql2

    try:
        return cql2.Expr(text).to_json()
    except Exception as error:  # cql2 0.6.0 raises bare Exception for what it can't parse
        if type(error) not in (Exception, cql2.ParseError, ValueError, UnicodeEncodeError):
            raise
        place = re.search(r"--> \d+:(\d+)", str(error))
        where = f", fault at character {place[1]}" if place else ""
        raise BadInput("filter", found=one_line(repr(text), 100) + where, expected="CQL2") from error


def _dump(filter: Mapping[str, Any]) -> str:
    try:
        return json.dumps(filter, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadInput("filter", found=one_line(str(error), 80), expected="CQL2 as text or JSON") from error


def _refuse_monsters(text: str) -> None:
    """Raise BadInput for a text on which the parser would run out of stack."""
    if len(text) > LONGEST_TEXT:
        raise BadInput("filter", found=f"{len(text)} characters", expected=f"at most {LONGEST_TEXT}")
    depth = deepest = operators = 0
    for part in re.findall(r"[(\[{]|[)\]}]|\b(?:not|div|and|or)\b|[-+*/%^]", text, re.IGNORECASE):
        depth += (part in "([{") - (part in ")]}")
        deepest = max(deepest, depth)
        operators += part not in "([{)]}"
    if deepest > DEEPEST:
        raise BadInput("filter", found=f"{deepest} levels of brackets", expected=f"at most {DEEPEST}")
    if operators > MOST_OPERATORS:
        raise BadInput("filter", found=f"{operators} operators", expected=f"at most {MOST_OPERATORS}")


# ---------------------------------------------------------------- checking the parts


class _Budget:
    """How much of a filter may still come."""

    def __init__(self) -> None:
        self.parts = MOST_PARTS

    def spend(self, depth: int) -> None:
        self.parts -= 1
        if self.parts < 0 or depth > DEEPEST:
            raise BadInput(
                "filter",
                found="more than can be computed",
                expected=f"at most {MOST_PARTS} parts, {DEEPEST} levels deep",
            )


def _bad(node: Node, expected: str) -> BadInput:
    return BadInput("filter", found=one_line(json.dumps(node, default=str), 80), expected=expected)


def _arguments(node: Node, table: Mapping[str, tuple[int, int]], expected: str) -> list[Node]:
    name = operator(node)
    if name not in table:
        raise _bad(node, expected)
    fewest, most = table[name]
    arguments = node.get("args")
    if not isinstance(arguments, list) or not fewest <= len(arguments) <= most:
        count = str(fewest) if fewest == most else f"{fewest} or more"
        raise _bad(node, f"{name} with {count} argument{'s' if count != '1' else ''}")
    return arguments


def _check_predicate(node: Node, budget: _Budget, depth: int = 0) -> None:
    budget.spend(depth)
    if isinstance(node, bool):
        return
    name = operator(node)
    arguments = _arguments(node, _PREDICATES, "a CQL2 condition, such as gsd < 1 or flag = true")
    if name in ("and", "or", "not"):
        for argument in arguments:
            _check_predicate(argument, budget, depth + 1)
    elif name in SPATIAL:
        _check_each(arguments, _check_place)
    elif name in TEMPORAL:
        _check_each(arguments, _check_time)
    elif name in ARRAYS:
        _check_each(arguments, _check_array)
    elif name == "in":
        _check_value(arguments[0], budget, depth + 1)
        if not isinstance(arguments[1], list):
            raise _bad(node, "in with a list")
        _check_array(arguments[1])
    else:
        for argument in arguments:
            _check_value(argument, budget, depth + 1)
        if name == "like" and not isinstance(_inside(arguments[1]), str):
            raise _bad(node, "like with a text pattern")


def _check_each(arguments: list[Node], check: Any) -> None:
    for argument in arguments:
        if not is_property(argument):
            check(argument)


def is_property(node: Node) -> bool:
    """Whether the part names a property of the item."""
    return isinstance(node, Mapping) and set(node) == {"property"} and isinstance(node["property"], str)


def _inside(node: Node) -> Node:
    """What casei and accenti are applied to."""
    while operator(node) in TEXTS:
        node = node["args"][0]
    return node


def _check_value(node: Node, budget: _Budget, depth: int) -> None:
    budget.spend(depth)
    if is_property(node) or isinstance(node, str | bool):
        return
    if isinstance(node, int | float):
        if not math.isfinite(node):
            raise _bad(node, "a finite number")
    elif is_moment(node):
        _check_time(node)
    else:
        expected = "a property, a number, a text in single quotes, a TIMESTAMP or a DATE"
        for argument in _arguments(node, _VALUES, expected):
            _check_value(argument, budget, depth + 1)


def is_moment(node: Node) -> bool:
    """Whether the part is a TIMESTAMP or a DATE."""
    return isinstance(node, Mapping) and set(node) in ({"timestamp"}, {"date"})


def _check_time(node: Node) -> None:
    kind, value = next(iter(node.items())) if isinstance(node, Mapping) and len(node) == 1 else ("", None)
    if kind == "timestamp" and times.instant(value) is not None:
        return
    if kind == "date" and day(value) is not None:
        return
    if kind == "interval" and isinstance(value, list) and len(value) == 2:
        for end in value:
            if not (is_property(end) or end in ("..", "") or moment(end) is not None):
                raise _bad(node, "an INTERVAL of times, dates, properties or '..'")
        first, last = (moment(end) for end in value)
        if first is not None and last is not None and first > last:
            raise _bad(node, "an INTERVAL that does not end before it starts")
        return
    raise _bad(node, "a property, a TIMESTAMP, a DATE or an INTERVAL, RFC 3339")


def day(text: object) -> times.Span | None:
    """The span of a date of the form 2024-08-15."""
    return times.date_span(text) if isinstance(text, str) and len(text) == 10 else None


def moment(text: object) -> int | None:
    """The instant of a time, or of the beginning of a day, as in an INTERVAL."""
    whole = day(text)
    return whole[0] if whole else times.instant(text)


def _check_place(node: Node) -> None:
    place(node)


def place(node: Node) -> Any:
    """The shape of a geometry or BBOX in a filter. Raises BadInput."""
    if isinstance(node, Mapping) and set(node) == {"bbox"} and isinstance(node["bbox"], list):
        return shapes.from_boxes(shapes.query_boxes(node["bbox"]))
    return shapes.read(node, "geometry in the filter")


def _check_array(node: Node) -> None:
    known = isinstance(node, list) and all(
        isinstance(value, str | bool | int | float) or is_moment(value) for value in node
    )
    if not known or not all(math.isfinite(v) for v in node if isinstance(v, float)):
        raise _bad(node, "a list of texts, numbers or truth values")
    _check_each([value for value in node if is_moment(value)], _check_time)
