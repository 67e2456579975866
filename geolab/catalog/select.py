"""A checked search as SQL for the SQLite back end. Values travel as parameters, never in the text."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from geolab.catalog import cql, shapes
from geolab.catalog.search import Query, SortKey

Values = tuple[Any, ...]
Part = tuple[str, Values]  # SQL text made of constants, and the values of its question marks
Test = Callable[[Any], bool | None]

_COLUMNS = {"id": "id", "collection": "collection", "datetime": "coalesce(datetime, start)"}


class Tests:
    """Python functions that a statement calls: `test(number, value)` in SQL."""

    def __init__(self) -> None:
        self.functions: list[Test] = []
        self.error: BaseException | None = None

    def add(self, function: Test) -> int:
        self.functions.append(function)
        return len(self.functions) - 1

    def __call__(self, number: int, value: Any) -> int | None:
        try:
            answer = None if value is None else self.functions[number](value)
        except BaseException as error:
            self.error = error  # SQLite drops what a function raises
            raise
        return None if answer is None else int(answer)


@dataclass(frozen=True)
class Select:
    """The statements of one search."""

    where: Part
    after: Part
    order: tuple[tuple[Part, bool], ...]  # sort expression, descending
    tests: Tests

    def page(self, limit: int) -> Part:
        """Lines of document, collection, id and the sort values, at most `limit`."""
        columns = "".join(f", {sql}" for (sql, _), _ in self.order)
        order = "".join(f"{_nulls(sql)}{sql}{' DESC' if down else ''}, " for (sql, _), down in self.order)
        values = [v for (_, values), _ in self.order for v in values]
        doubled = [v for (sql, values), _ in self.order for v in (values * 2 if _nulls(sql) else values)]
        text = (
            f"SELECT document, collection, id{columns} FROM items "  # noqa: S608 - constants only
            f"WHERE {self.where[0]} AND {self.after[0]} ORDER BY {order}collection, id LIMIT ?"
        )
        return text, (*values, *self.where[1], *self.after[1], *doubled, limit)

    def count(self) -> Part:
        """How many items match, on all pages."""
        return f"SELECT count(*) FROM items WHERE {self.where[0]}", self.where[1]  # noqa: S608

    @contextmanager
    def on(self, connection: sqlite3.Connection) -> Iterator[None]:
        """Make the Python functions known to the connection."""
        connection.create_function("test", 2, self.tests)
        try:
            yield
        except sqlite3.OperationalError:
            if self.tests.error is not None:
                raise self.tests.error from None
            raise


def _nulls(sql: str) -> str:
    """Sorts absent values behind all others; columns that are never null need no help."""
    return "" if sql in _COLUMNS.values() else f"{sql} IS NULL, "


def select(query: Query) -> Select:
    """The statements for a query. Raises BadInput for CQL2 that is not valid."""
    tests = Tests()
    parts: list[Part] = [("1", ())]
    if query.ids is not None:
        parts.append(("id IN (SELECT value FROM json_each(?))", (json.dumps(query.ids),)))
    if query.collections is not None:
        parts.append(("collection IN (SELECT value FROM json_each(?))", (json.dumps(query.collections),)))
    if query.stop is not None:
        parts.append(("start <= ?", (query.stop,)))
    if query.start is not None:
        parts.append(("stop >= ?", (query.start,)))
    if query.bbox:
        parts.append(_touching(shapes.from_boxes(query.bbox), list(query.bbox), tests))
    if query.intersects is not None:
        around = [] if query.intersects.is_empty else shapes.boxes(query.intersects)
        parts.append(_touching(query.intersects, around, tests))
    if query.filter is not None:
        parts.append(_filter(query.filter, tests))
    order = tuple((_sort_value(key), key.descending) for key in query.sortby)
    return Select(_all(parts), _after(query, order), order, tests)


def _all(parts: list[Part]) -> Part:
    return " AND ".join(sql for sql, _ in parts), tuple(v for _, values in parts for v in values)


def _touching(shape: Any, boxes: list[shapes.Box], tests: Tests) -> Part:
    import shapely

    shapely.prepare(shape)
    number = tests.add(lambda wkb: bool(shape.intersects(shapely.from_wkb(wkb))))
    near = " OR ".join(["(east >= ? AND west <= ? AND north >= ? AND south <= ?)"] * len(boxes)) or "0"
    edges = [edge for west, south, east, north in boxes for edge in (west, east, south, north)]
    sql = f"key IN (SELECT id / 2 FROM boxes WHERE {near}) AND test(?, shape)"  # noqa: S608
    return sql, (*edges, number)


def _filter(text: Any, tests: Tests) -> Part:
    expression = cql.parse(text)

    def matches(document: str) -> bool | None:
        try:
            return bool(expression.matches(json.loads(document)))
        except Exception as error:
            if type(error) is not Exception:
                raise
            return None

    return "test(?, document)", (tests.add(matches),)


def _sort_value(key: SortKey) -> Part:
    if key.name in _COLUMNS:
        return _COLUMNS[key.name], ()
    name = key.name.removeprefix("properties.")
    return "json_extract(document, ?)", (f'$.properties."{name}"',)


def _after(query: Query, order: tuple[tuple[Part, bool], ...]) -> Part:
    """True for what sorts behind the end of the page before."""
    if query.after is None:
        return "1", ()
    last = query.after
    sql, values = "(collection, id) > (?, ?)", (last.collection, last.id)
    for ((field, names), down), value in reversed(list(zip(order, last.values, strict=True))):
        if value is None:
            sql, values = f"({field} IS NULL AND {sql})", (*names, *values)
            continue
        beyond = f"{field} < ?" if down else f"{field} > ?"
        sql = f"({beyond} OR {field} IS NULL OR ({field} = ? AND {sql}))"
        values = (*names, value, *names, *names, value, *values)
    return sql, values
