"""The catalogue in one SQLite file: WAL for many processes, R*Tree for space."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from geolab.catalog.collections import Extent, check_collection, collection
from geolab.catalog.rows import Row, dump, row
from geolab.catalog.search import Page, Position, Search, check, write_token
from geolab.catalog.select import Select, select
from geolab.catalog.shapes import longitudes
from geolab.errors import BadInput, CatalogError, NotFound

VERSION = 1  # of the tables below, in PRAGMA user_version
APPLICATION = 0x67656F31  # "geo1", in PRAGMA application_id
BUSY_S = 60.0  # how long to wait for other writers, seconds

_TABLES = """
CREATE TABLE collections (id TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE items (
    key INTEGER PRIMARY KEY,
    collection TEXT NOT NULL,
    id TEXT NOT NULL,
    title TEXT,
    datetime INTEGER,
    start INTEGER NOT NULL,
    stop INTEGER NOT NULL,
    west REAL, south REAL, east REAL, north REAL,
    shape BLOB,
    document TEXT NOT NULL,
    UNIQUE (collection, id)
);
CREATE INDEX items_id ON items (id);
CREATE INDEX items_title ON items (title);
CREATE INDEX items_moment ON items (coalesce(datetime, start) DESC, collection, id);
CREATE INDEX items_extent ON items (collection, start, stop, west, south, east, north);
CREATE VIRTUAL TABLE boxes USING rtree (id, west, east, south, north);
"""

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
        while self._idle:
            self._idle.pop().close()

    def __enter__(self) -> SqliteCatalog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """A connection, or None while there is no catalogue."""
        with self._translated():
            if not self._idle and not self.path.exists():
                yield None
                return
            with self._borrowed(create=False) as connection:
                yield connection if _version(connection, self.path) else None

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A connection that holds the write lock; commits if the block succeeds."""
        with self._translated(), self._borrowed(create=True) as connection:
            connection.execute("BEGIN IMMEDIATE")
            if not _version(connection, self.path):
                _create(connection)
            yield connection
            connection.execute("COMMIT")

    @contextmanager
    def _borrowed(self, *, create: bool) -> Iterator[sqlite3.Connection]:
        if self._pid != os.getpid():  # a fork must not use its parent's connections
            _ABANDONED.append(self._idle)
            self._idle, self._pid = [], os.getpid()
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = _connect(self.path, create=create)
        try:
            yield connection
        except BaseException:
            connection.close()  # rolls back
            raise
        self._idle.append(connection)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise CatalogError(str(self.path), _reason(error)) from error


_ABANDONED: list[list[sqlite3.Connection]] = []  # kept: closing them here could harm the parent's file


def _reason(error: sqlite3.DatabaseError) -> str:
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith("SQLITE_BUSY"):
        return f"another process has been writing for more than {BUSY_S:.0f} s; try again"
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return f"not a sound SQLite file ({error}); move it away and ingest again, or restore a copy"
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return f"can't be opened or written ({error}); check the folder's permissions"
    if name.startswith("SQLITE_FULL"):
        return "the disk is full"
    return str(error)


def _connect(path: Path, *, create: bool) -> sqlite3.Connection:
    if create:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CatalogError(str(path), f"its folder can't be opened or made ({error.strerror})") from error
    mode = "rwc" if create else "rw"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_S,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        if create:
            _switch_to_wal(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """Ask until it works: SQLite does not wait by itself for this lock."""
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            busy = getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY")
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def _version(connection: sqlite3.Connection, path: Path) -> int:
    """The version of the tables; 0 for a file without any. Raises CatalogError for a foreign one."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version == VERSION:
        return version
    if version == 0 and not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        return 0
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
        raise CatalogError(str(path), "another program's SQLite file; name another one in catalog_url")
    raise CatalogError(
        str(path),
        f"version {version} of the catalogue, but this geolab knows version {VERSION}; update geolab",
    )


def _create(connection: sqlite3.Connection) -> None:
    for statement in _TABLES.split(";"):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute(f"PRAGMA user_version = {VERSION}")


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
