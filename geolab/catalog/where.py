"""CQL2 as SQL for the SQLite back end, with CQL2's three truth values as SQL's.

A field that is absent, null or of another type than what it is compared with makes a comparison
unknown, which neither it nor its negation matches. What SQL can't say exactly is left to the
`cql2` package, condition by condition. One deviation from cql2 0.6.0, whose answers there are
neither below, equal nor above: a comparison with a DATE compares days.
"""

from __future__ import annotations

import json
import re
from typing import Any

from geolab.catalog import cql, fields, shapes, times
from geolab.catalog.sql import DOCUMENT, Functions, Piece, joined, piece

Node = Any

_FOREVER = 2**62  # beyond every instant, microseconds


def condition(node: Node, functions: Functions, *, certain: bool = True) -> Piece:
    """SQL that is true, false or null for an item as the checked filter is.

    certain: whether only "true" matters here, not the difference of false and null, as it does
    below a NOT: then a lookup in the R*Tree may answer false.
    """
    name = cql.operator(node)
    if isinstance(node, bool):
        return Piece("1" if node else "0")
    if name in ("and", "or"):
        return joined(name.upper(), [condition(n, functions, certain=certain) for n in node["args"]])
    if name == "not":
        return piece("(NOT {})", condition(node["args"][0], functions, certain=False))
    return _translated(name, node["args"], functions, certain) or _left_to_cql2(node, functions)


def _translated(name: str, arguments: list[Node], functions: Functions, certain: bool) -> Piece | None:
    """SQL for a condition that SQL can express; None for others."""
    if name in cql.COMPARISONS:
        return _comparison(name, arguments[0], arguments[1], functions)
    if name == "between":
        value, low, high = arguments
        ends = [_comparison(">=", value, low, functions), _comparison("<=", value, high, functions)]
        return joined("AND", [end for end in ends if end]) if all(ends) else None
    if name == "isnull":
        return _is_null(arguments[0], functions)
    if name == "in":
        return _in(arguments[0], arguments[1], functions)
    if name == "like":
        return _like(arguments[0], arguments[1], functions)
    if name in cql.SPATIAL:
        return _spatial(name, arguments[0], arguments[1], functions, certain)
    if name in cql.TEMPORAL:
        return _temporal(name, arguments[0], arguments[1], functions)
    return None


def _left_to_cql2(node: Node, functions: Functions) -> Piece:
    expression = cql.expression(node)

    def matches(document: str) -> bool | None:
        try:
            return bool(expression.matches(json.loads(document)))
        except Exception as error:  # cql2 0.6.0 raises bare Exception for "unknown"
            if type(error) is not Exception:
                raise
            return None

    return functions.call(matches, DOCUMENT)


# ---------------------------------------------------------------- conditions


def _comparison(sign: str, left: Node, right: Node, functions: Functions) -> Piece | None:
    if cql.is_moment(left) or cql.is_moment(right):
        return _time_comparison(sign, left, right, functions)
    pairs = [
        (fields.number(left, functions), fields.number(right, functions)),
        (fields.text(left, functions), fields.text(right, functions)),
        (fields.truth(left, functions), fields.truth(right, functions)),
    ]
    compared = [piece(f"{{}} {sign} {{}}", a, b) for a, b in pairs if a is not None and b is not None]
    if not compared:
        return None
    if len(compared) == 1:
        return piece("({})", compared[0])
    return piece(f"coalesce({', '.join(['{}'] * len(compared))})", *compared)


def _time_comparison(sign: str, left: Node, right: Node, functions: Functions) -> Piece | None:
    a, b = fields.instant(left, functions), fields.instant(right, functions)
    if a is None or b is None:
        return None
    if any(cql.is_moment(node) and "date" in node for node in (left, right)):
        a, b = _midnight(a), _midnight(b)
    return piece(f"({{}} {sign} {{}})", a, b)


def _midnight(instant: Piece) -> Piece:
    """The beginning of the instant's day; SQLite's % has the sign of its left side."""
    return piece("({} - ({} % {} + {}) % {})", instant, instant, times.DAY, times.DAY, times.DAY)


def _is_null(node: Node, functions: Functions) -> Piece | None:
    return fields.field(node["property"], "absent", functions) if cql.is_property(node) else None


def _in(value: Node, choices: list[Node], functions: Functions) -> Piece | None:
    known = all(isinstance(choice, str | bool | int | float) for choice in choices)
    absent = _is_null(value, functions)
    if not known or absent is None:
        return None
    texts = [choice for choice in choices if isinstance(choice, str)]
    numbers = [
        choice for choice in choices if isinstance(choice, int | float) and not isinstance(choice, bool)
    ]
    truths = [int(choice) for choice in choices if isinstance(choice, bool)]
    kinds = [
        (fields.text(value, functions), texts),
        (fields.number(value, functions), numbers),
        (fields.truth(value, functions), truths),
    ]
    found = [
        piece("coalesce({} IN (SELECT value FROM json_each({})), 0)", field, json.dumps(wanted))
        for field, wanted in kinds
        if field is not None and wanted
    ]
    return piece("CASE WHEN {} THEN NULL ELSE {} END", absent, joined("OR", found or [Piece("0")]))


def _like(value: Node, pattern: Node, functions: Functions) -> Piece | None:
    text = fields.text(value, functions)
    if isinstance(value, str) or text is None:
        return None
    if cql.operator(pattern) == "casei" and isinstance(pattern["args"][0], str):
        pattern = pattern["args"][0].lower()
    if not isinstance(pattern, str):
        return None
    like = re.compile(_expression(pattern), re.DOTALL)
    return functions.call(lambda found: like.fullmatch(found) is not None, text)


def _expression(pattern: str) -> str:
    """The regular expression of a pattern: % any text, _ any character, \\ takes the next as it is.

    Each part between two % is taken at its first place, for good: no backtracking, linear time.
    """
    parts = [""]
    for escaped, char in re.findall(r"(\\?)(.)", pattern, re.DOTALL):
        if char == "%" and not escaped:
            parts.append("")
        else:
            parts[-1] += "." if char == "_" and not escaped else re.escape(char)
    if len(parts) == 1:
        return parts[0]
    first, *middle, last = parts
    return first + "".join(f"(?>.*?{part})" for part in middle if part) + ".*" + last


# ---------------------------------------------------------------- space


def touching(shape: Any, functions: Functions, relation: str = "intersects") -> Piece:
    """Whether an item's footprint stands in the relation to the shape, looked up in the R*Tree."""
    exact = _related(shape, functions, relation)
    around = [] if shape.is_empty else shapes.boxes(shape)
    near = [
        piece("(east >= {} AND west <= {} AND north >= {} AND south <= {})", west, east, south, north)
        for west, south, east, north in around
    ]
    boxes = joined("OR", near) if near else Piece("0")
    return piece("(key IN (SELECT id / 2 FROM boxes WHERE {}) AND {})", boxes, exact)


def _related(shape: Any, functions: Functions, relation: str) -> Piece:
    import shapely

    shapely.prepare(shape)
    test, read = getattr(shapely, relation), shapely.from_wkb
    return functions.call(lambda wkb: bool(test(read(wkb), shape)), Piece("shape"))


_TURNED = {"contains": "within", "within": "contains"}  # the relation seen from the other side


def _spatial(name: str, left: Node, right: Node, functions: Functions, certain: bool) -> Piece | None:
    relation = name.removeprefix("s_")
    if cql.is_property(left) and left["property"] == "geometry" and not cql.is_property(right):
        shape = cql.place(right)
    elif cql.is_property(right) and right["property"] == "geometry" and not cql.is_property(left):
        shape, relation = cql.place(left), _TURNED.get(relation, relation)
    else:
        return None
    if certain and relation != "disjoint":
        return touching(shape, functions, relation)
    return _related(shape, functions, relation)


# ---------------------------------------------------------------- time

_RELATIONS = {  # OGC 21-065r2, 8.4.4; a is the left interval, b the right one, ends included
    "t_after": "{a0} > {b1}",
    "t_before": "{a1} < {b0}",
    "t_contains": "{a0} < {b0} AND {a1} > {b1}",
    "t_disjoint": "{a1} < {b0} OR {a0} > {b1}",
    "t_during": "{a0} > {b0} AND {a1} < {b1}",
    "t_equals": "{a0} = {b0} AND {a1} = {b1}",
    "t_finishedby": "{a0} < {b0} AND {a1} = {b1}",
    "t_finishes": "{a0} > {b0} AND {a1} = {b1}",
    "t_intersects": "{a0} <= {b1} AND {a1} >= {b0}",
    "t_meets": "{a1} = {b0}",
    "t_metby": "{a0} = {b1}",
    "t_overlappedby": "{a0} > {b0} AND {a0} < {b1} AND {a1} > {b1}",
    "t_overlaps": "{a0} < {b0} AND {a1} > {b0} AND {a1} < {b1}",
    "t_startedby": "{a0} = {b0} AND {a1} > {b1}",
    "t_starts": "{a0} = {b0} AND {a1} < {b1}",
}


def _temporal(name: str, left: Node, right: Node, functions: Functions) -> Piece | None:
    a0, a1 = _ends(left, functions)
    b0, b1 = _ends(right, functions)
    if a0 is None or a1 is None or b0 is None or b1 is None:
        return None
    ends = {"a0": a0, "a1": a1, "b0": b0, "b1": b1}
    used = re.findall(r"\{(\w\d)\}", _RELATIONS[name])
    related = piece(re.sub(r"\{\w\d\}", "{}", _RELATIONS[name]), *(ends[end] for end in used))
    # an unknown end makes the whole unknown, also where the other ends would decide
    return piece("CASE WHEN {} + {} + {} + {} IS NOT NULL THEN ({}) END", a0, a1, b0, b1, related)


def _ends(node: Node, functions: Functions) -> tuple[Piece | None, Piece | None]:
    if cql.is_moment(node) and "date" in node:
        first, last = cql.day(node["date"]) or (0, 0)
        return Piece("?", (first,)), Piece("?", (last,))
    if isinstance(node, dict) and "interval" in node:
        start, stop = node["interval"]
        return _end(start, -_FOREVER, functions), _end(stop, _FOREVER, functions)
    moment = fields.instant(node, functions)
    return moment, moment


def _end(node: Node, endless: int, functions: Functions) -> Piece | None:
    return Piece("?", (endless,)) if node in ("..", "") else fields.instant(node, functions)
