"""The catalogue in one SQLite file: WAL for many processes, R*Tree for space."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geolab.catalog.collections import Extent, check_collection, collection
from geolab.catalog.file import connect, create_tables, identity, translated, version
from geolab.catalog.rows import Row, dump, row
from geolab.catalog.search import Page, Position, Search, check, write_token
from geolab.catalog.select import Select, select
from geolab.catalog.shapes import longitudes
from geolab.errors import BadInput, NotFound

if TYPE_CHECKING:
    from geolab.catalog.places import Places

_UPSERT = """
INSERT INTO items (collection, id, title, datetime, start, stop, west, south, east, north, shape, document)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (collection, id) DO UPDATE SET
    title = excluded.title, datetime = excluded.datetime, start = excluded.start, stop = excluded.stop,
    west = excluded.west, south = excluded.south, east = excluded.east, north = excluded.north,
    shape = excluded.shape, document = excluded.document
RETURNING key
"""

_EXTENTS = """
SELECT collection, min(start), max(stop), min(west), min(south), max(east), max(north), max(west > east)
FROM items GROUP BY collection
"""


class SqliteCatalog:
    """A catalogue in one file, which the first write creates. Threads and processes may share it."""

    def __init__(self, path: Path):
        self.path = path
        self._idle: list[sqlite3.Connection] = []
        self._pid = os.getpid()
        self._file: tuple[int, int] | None = None
        self._local = threading.local()

    # ------------------------------------------------------------ writing

    def put(self, items: Iterable[dict[str, Any]]) -> None:
        """Store items, all or none; one with the same collection and id is replaced."""
        rows = [row(item) for item in items]
        if not rows:
            return
        with self._writing() as connection:
            _put_rows(connection, rows)

    def update(
        self,
        item_id: str,
        collection: str | None,
        change: Callable[[dict[str, Any] | None], dict[str, Any] | None],
    ) -> dict[str, Any] | None:
        """The item after `change`, which no other writer can come between.

        change: gets the item, or None if it is absent; returns what to store, or None to leave
        things as they are. It must not write to the catalogue itself.
        """
        with self._writing() as connection:
            found = connection.execute(
                "SELECT document FROM items WHERE collection = ? AND id = ?", (collection or "", item_id)
            ).fetchone()
            before = json.loads(found[0]) if found else None
            after = change(None if before is None else json.loads(found[0]))
            if after is None:
                return before
            changed = row(after)
            if (changed.collection, changed.id) != (collection or "", item_id):
                raise BadInput(
                    "changed item",
                    found=f"{changed.collection}/{changed.id}",
                    expected=f"{collection or ''}/{item_id}, as before",
                )
            _put_rows(connection, [changed])
            return json.loads(changed.document)

    def delete(self, item_id: str, collection: str | None) -> None:
        """Forget an item. Raises NotFound."""
        with self._reading() as connection:
            if connection is None:
                raise NotFound("item", item_id)
        with self._writing() as connection:
            found = connection.execute(
                "DELETE FROM items WHERE collection = ? AND id = ? RETURNING key", (collection or "", item_id)
            ).fetchone()
            if found is None:
                raise NotFound("item", item_id, remedy=f"in collection '{collection or ''}'")
            _delete_boxes(connection, found[0])

    def put_collection(self, document: dict[str, Any]) -> None:
        """Store what is said about a collection, over what was said before."""
        collection_id = check_collection(document)
        with self._writing() as connection:
            found = connection.execute(
                "SELECT document FROM collections WHERE id = ?", (collection_id,)
            ).fetchone()
            merged = {**(json.loads(found[0]) if found else {}), **document}
            connection.execute(
                "INSERT OR REPLACE INTO collections VALUES (?, ?)",
                (collection_id, dump(f"STAC collection {collection_id!r}", merged)),
            )

    # ------------------------------------------------------------ reading

    def get(self, item_id: str, collection: str | None = None) -> dict[str, Any]:
        """The item. Raises NotFound; BadInput if several collections have one of that id."""
        with self._reading() as connection:
            if connection is None:
                raise NotFound("item", item_id)
            query, values = "SELECT collection, document FROM items WHERE id = ?", [item_id]
            if collection is not None:
                query, values = query + " AND collection = ?", [item_id, collection]
            found = connection.execute(query + " ORDER BY collection", values).fetchall()
        if not found:
            raise NotFound("item", item_id)
        if len(found) > 1:
            names = ", ".join(name for name, _ in found)
            raise BadInput("item", found=f"'{item_id}' in {names}", expected="the name of one collection too")
        return json.loads(found[0][1])

    def search(self, search: Search) -> Page:
        """A page of the items that match, in a total order. Raises BadInput."""
        query = check(search)
        statement = select(query)
        with self._reading() as connection:
            if connection is None:
                return Page()
            with statement.functions.on(connection):
                connection.execute("BEGIN")  # the page and the count see the same items
                found = connection.execute(*statement.page(query.limit + 1)).fetchall()
                matched = _matched(connection, statement, query.after, query.limit, len(found))
                connection.execute("COMMIT")
        items = [json.loads(line[0]) for line in found[: query.limit]]
        token = None
        if len(found) > query.limit:
            _, item_collection, item_id, *values = found[query.limit - 1]
            token = write_token(search, Position(tuple(values), item_collection, item_id, matched))
        return Page(items, token, matched)

    def places(self, search: Search, *, limit: int = 250_000) -> Places:
        """Where the newest `limit` items lie that the search finds; its own limit and order don't count."""
        from geolab.catalog.places import Places, read_places  # numpy loads with it

        statement = select(check(search))
        with self._reading() as connection:
            if connection is None:
                return Places()
            with statement.functions.on(connection):
                connection.execute("BEGIN")  # the places and the count see the same items
                found = read_places(connection, statement, limit)
                connection.execute("COMMIT")
        return found

    def collections(self) -> list[dict[str, Any]]:
        """Every collection as a STAC document, by id, with the extent of its items."""
        with self._reading() as connection:
            if connection is None:
                return []
            connection.execute("BEGIN")
            given = connection.execute("SELECT id, document FROM collections ORDER BY id").fetchall()
            extents = {line[0]: _extent(connection, line) for line in connection.execute(_EXTENTS).fetchall()}
            connection.execute("COMMIT")
        return [collection(name, json.loads(text), extents.get(name)) for name, text in given]

    # ------------------------------------------------------------ connections

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        if self._pid == os.getpid():
            while self._idle:
                self._idle.pop().close()

    def __enter__(self) -> SqliteCatalog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """A connection, or None while there is no catalogue."""
        with translated(self.path):
            if not self.path.exists():
                yield None
                return
            with self._borrowed(create=False) as connection:
                yield connection if version(connection, self.path) else None

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A connection that holds the write lock; commits if the block succeeds."""
        if getattr(self._local, "writing", False):
            raise RuntimeError("the function given to update() must not write to the catalogue itself")
        self._local.writing = True
        try:
            with translated(self.path), self._borrowed(create=True) as connection:
                connection.execute("BEGIN IMMEDIATE")
                if not version(connection, self.path):
                    create_tables(connection)
                yield connection
                connection.execute("COMMIT")
        finally:
            self._local.writing = False

    @contextmanager
    def _borrowed(self, *, create: bool) -> Iterator[sqlite3.Connection]:
        """An idle connection or a new one; after a failure it is closed, which rolls back."""
        self._forget_stale()
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = connect(self.path, create=create)
            self._file = identity(self.path)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)

    def _forget_stale(self) -> None:
        """Drop connections of a parent process, or to a file that was removed or replaced."""
        if self._pid != os.getpid():
            _ABANDONED.append(self._idle)
            self._idle, self._pid = [], os.getpid()
        elif self._idle and identity(self.path) != self._file:
            self.close()


_ABANDONED: list[list[sqlite3.Connection]] = []  # kept: closing them could harm the parent's file


def _put_rows(connection: sqlite3.Connection, rows: list[Row]) -> None:
    for name in sorted({r.collection for r in rows if r.collection}):
        connection.execute("INSERT OR IGNORE INTO collections VALUES (?, '{}')", (name,))
    for r in rows:
        values = (r.collection, r.id, r.title, r.datetime, r.start, r.stop)
        bounds = r.bounds or (None, None, None, None)
        key = connection.execute(_UPSERT, (*values, *bounds, r.shape, r.document)).fetchone()[0]
        _delete_boxes(connection, key)
        for number, (west, south, east, north) in enumerate(r.boxes):
            box = (2 * key + number, west, east, south, north)
            connection.execute("INSERT INTO boxes VALUES (?, ?, ?, ?, ?)", box)


def _delete_boxes(connection: sqlite3.Connection, key: int) -> None:
    """Both boxes of an item: an R*Tree finds rows quickly by id, not by any other column."""
    connection.executemany("DELETE FROM boxes WHERE id = ?", [(2 * key,), (2 * key + 1,)])


def _matched(
    connection: sqlite3.Connection, statement: Select, after: Position | None, limit: int, found: int
) -> int:
    if after is not None:
        return after.matched
    if found <= limit:
        return found
    return int(connection.execute(*statement.count()).fetchone()[0])


def _extent(connection: sqlite3.Connection, line: tuple[Any, ...]) -> Extent:
    name, start, stop, west, south, east, north, crosses = line
    if west is None:
        return Extent(None, start, stop)
    if crosses:
        spans = connection.execute(
            "SELECT DISTINCT west, east FROM items WHERE collection = ? AND west IS NOT NULL", (name,)
        ).fetchall()
        west, east = longitudes(spans)
    return Extent((west, south, east, north), start, stop)
