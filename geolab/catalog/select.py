"""A checked search as statements for the SQLite back end."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from geolab.catalog import cql, shapes, where
from geolab.catalog.search import Query, SortKey
from geolab.catalog.sql import DOCUMENT, Functions, Piece, joined, member, members, path, piece, scalar

_COLUMNS = {"id": "id", "collection": "collection", "datetime": "coalesce(datetime, start)"}


@dataclass(frozen=True)
class Select:
    """The statements of one search."""

    where: Piece
    after: Piece
    order: tuple[tuple[Piece, bool], ...]  # sort value, whether it descends
    functions: Functions

    def page(self, limit: int) -> Piece:
        """Lines of document, collection, id and the sort values, at most `limit` of them."""
        values = _listed(field for field, _ in self.order)
        order = _listed(_ordered(field, down) for field, down in self.order)
        return piece(
            "SELECT document, collection, id, {} FROM items WHERE {} AND {} "
            "ORDER BY {}, collection, id LIMIT {}",
            values,
            self.where,
            self.after,
            order,
            limit,
        )

    def count(self) -> Piece:
        """How many items match, on all pages."""
        return piece("SELECT count(*) FROM items WHERE {}", self.where)


def _listed(pieces: Iterable[Piece]) -> Piece:
    pieces = list(pieces)
    return piece(", ".join(["{}"] * len(pieces)), *pieces)


def _ordered(field: Piece, down: bool) -> Piece:
    """Absent values sort behind all others, up or down; columns are never absent."""
    direction = " DESC" if down else ""
    if field.text in _COLUMNS.values():
        return Piece(field.text + direction)
    return piece("{} IS NULL, {}" + direction, field, field)


def select(query: Query) -> Select:
    """The statements for a query. Raises BadInput for a filter that is not CQL2."""
    functions = Functions()
    order = tuple((_sort_value(key, functions), key.descending) for key in query.sortby)
    return Select(_where(query, functions), _after(query, order), order, functions)


def _where(query: Query, functions: Functions) -> Piece:
    parts = [Piece("1")]
    if query.ids is not None:
        parts.append(piece("id IN (SELECT value FROM json_each({}))", json.dumps(query.ids)))
    if query.collections is not None:
        names = json.dumps(query.collections)
        parts.append(piece("collection IN (SELECT value FROM json_each({}))", names))
    if query.stop is not None:
        parts.append(piece("start <= {}", query.stop))
    if query.start is not None:
        parts.append(piece("stop >= {}", query.start))
    if query.bbox:
        parts.append(where.touching(shapes.from_boxes(query.bbox), functions))
    if query.intersects is not None:
        parts.append(where.touching(query.intersects, functions))
    if query.filter is not None:
        parts.append(where.condition(cql.parse(query.filter), functions))
    return joined("AND", parts)


def _sort_value(key: SortKey, functions: Functions) -> Piece:
    name = key.name.removeprefix("properties.")
    if key.name in _COLUMNS or name == "datetime":
        return Piece(_COLUMNS[name])
    field = path(key.name)
    if field is None:
        parts = members(key.name)
        return functions.call(lambda document: scalar(member(document, parts)), DOCUMENT)
    return piece("json_extract(document, {})", field)


def _after(query: Query, order: tuple[tuple[Piece, bool], ...]) -> Piece:
    """True for what sorts behind the last item of the page before."""
    last = query.after
    if last is None:
        return Piece("1")
    behind = piece("(collection, id) > ({}, {})", last.collection, last.id)
    for (field, down), value in reversed(list(zip(order, last.values, strict=True))):
        behind = _behind(field, down, value, behind)
    return behind


def _behind(field: Piece, down: bool, value: str | int | float | None, tie: Piece) -> Piece:
    if value is None:
        return piece("({} IS NULL AND {})", field, tie)
    beyond = "{} < {}" if down else "{} > {}"
    if field.text in _COLUMNS.values():  # the first condition lets SQLite start in the index
        reach = "{} <= {}" if down else "{} >= {}"
        return piece(f"({reach} AND ({beyond} OR {{}}))", field, value, field, value, tie)
    text = f"({beyond} OR {{}} IS NULL OR ({{}} = {{}} AND {{}}))"
    return piece(text, field, value, field, field, value, tie)
