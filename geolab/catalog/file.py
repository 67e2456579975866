"""The SQLite file of a catalogue: opened, created, recognised, and its faults in words."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from geolab.errors import BadInput, CatalogError

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

# One statement sees one state: asked one by one, another process may create the tables in between.
_WHAT_IT_IS = """
SELECT user_version, application_id, (SELECT count(*) FROM sqlite_master)
FROM pragma_user_version, pragma_application_id
"""


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise what SQLite raises as a CatalogError of one line."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise CatalogError(str(path), _reason(error)) from error
    except UnicodeEncodeError as error:  # a command line may hold bytes that are no text
        raise BadInput("text", found=repr(error.object)[:80], expected="Unicode") from error


def identity(path: Path) -> tuple[int, int] | None:
    """Which file lies there now; None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


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


def connect(path: Path, *, create: bool) -> sqlite3.Connection:
    """A connection in autocommit mode that waits for other writers; any one thread may use it."""
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


def version(connection: sqlite3.Connection, path: Path) -> int:
    """The version of the tables; 0 for a file without any. Raises CatalogError for a foreign one."""
    found, application, tables = connection.execute(_WHAT_IT_IS).fetchone()
    if found == VERSION:
        return VERSION
    if found == 0 and not tables:
        return 0
    if application != APPLICATION:
        raise CatalogError(str(path), "another program's SQLite file; name another one in catalog_url")
    raise CatalogError(
        str(path),
        f"version {found} of the catalogue, but this geolab knows version {VERSION}; update geolab",
    )


def create_tables(connection: sqlite3.Connection) -> None:
    """Make an empty file a catalogue, within the transaction that is open."""
    for statement in _TABLES.split(";"):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
