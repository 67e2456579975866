"""Parts of a CQL2 filter as SQL values of one type: null where a field is of another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from geolab.catalog import cql
from geolab.catalog.sql import DOCUMENT, Functions, Piece, member, members, path, scalar

Node = Any


_COLUMNS = {
    "id": "id",
    "collection": "nullif(collection, '')",
    "title": "title",
    "properties.title": "title",
}
_TYPED = {
    "text": "CASE WHEN json_type(document, {0}) = 'text' THEN json_extract(document, {0}) END",
    "number": "CASE WHEN json_type(document, {0}) IN ('integer', 'real') "
    "THEN json_extract(document, {0}) END",
    "truth": "CASE json_type(document, {0}) WHEN 'true' THEN 1 WHEN 'false' THEN 0 END",
    "absent": "coalesce(json_type(document, {0}) = 'null', 1)",
}
_IN_PYTHON: dict[str, Callable[[Any], Any]] = {
    "text": lambda value: value if isinstance(value, str) else None,
    "number": lambda value: scalar(value) if not isinstance(value, bool | str | dict | list) else None,
    "truth": lambda value: value if isinstance(value, bool) else None,
    "absent": lambda value: value is None,
}


def field(name: str, kind: str, functions: Functions) -> Piece:
    """A field of the document as a value of one type; null in SQL if it is of another."""
    where = path(name)
    if where is not None:
        return Piece(_TYPED[kind].format("?"), (where,) * _TYPED[kind].count("{0}"))
    parts, convert = members(name), _IN_PYTHON[kind]
    return functions.call(lambda document: convert(member(document, parts)), DOCUMENT)


def text(node: Node, functions: Functions) -> Piece | None:
    """The node as a text; None if it can't be one, or not in SQL."""
    if isinstance(node, str):
        return Piece("?", (node,))
    if cql.operator(node) == "casei":
        inside = text(node["args"][0], functions)
        return None if inside is None else functions.call(str.lower, inside)
    if not cql.is_property(node):
        return None
    name = node["property"]
    if name in _COLUMNS:
        return Piece(_COLUMNS[name])
    return field(name, "text", functions)


def number(node: Node, functions: Functions) -> Piece | None:
    """The node as a number; None if it can't be one, or not in SQL."""
    if isinstance(node, bool):
        return None
    if isinstance(node, int | float):
        return Piece("?", (float(node),))
    return field(node["property"], "number", functions) if cql.is_property(node) else None


def truth(node: Node, functions: Functions) -> Piece | None:
    """The node as 1 or 0; None if it can't be a truth value."""
    if isinstance(node, bool):
        return Piece("?", (int(node),))
    return field(node["property"], "truth", functions) if cql.is_property(node) else None


def instant(node: Node, functions: Functions) -> Piece | None:
    """The node's microsecond; a date is its first."""
    if cql.is_moment(node):
        return Piece("?", (cql.moment(next(iter(node.values()))),))
    if isinstance(node, str):
        return Piece("?", (cql.moment(node),))
    if not cql.is_property(node):
        return None
    if node["property"].removeprefix("properties.") == "datetime":
        return Piece("datetime")
    written = text(node, functions)
    return None if written is None else functions.call(cql.moment, written)
