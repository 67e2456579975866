"""The SQLite file of a ledger: created, brought to the newest version, opened, and its faults in words."""

from __future__ import annotations

import fcntl
import os
import random
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from geolab.errors import BadInput, LedgerError
from geolab.jobs.ledger.rows import (
    ADDED,
    CONTROL_COLUMNS,
    INDICES_ADDED,
    INDICES_FIRST,
    NUMBER,
    RUN_COLUMNS,
    VERSION,
)

WAIT_S = 60.0  # for another process's write to end
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.0005, 0.01  # between two tries

T = TypeVar("T")


def prepare(path: Path) -> None:
    """Make the ledger if there is none; bring one of an older geolab to this version."""
    with translated(path):
        if not path.exists():
            try:
                _create(path)
            except OSError as error:
                raise LedgerError(
                    str(path), f"its folder can't be made or written ({error.strerror})"
                ) from error
        with closing(connect(path)) as db:
            if _version(db, path) != VERSION:
                _migrate(db, path)


def connect(path: Path) -> sqlite3.Connection:
    """A connection in autocommit mode that waits for other writers; any one thread may use it."""
    # mode=rw: a ledger that was removed must not come back empty and without tables
    uri = f"{path.absolute().as_uri()}?mode=rw"
    db = sqlite3.connect(uri, uri=True, timeout=WAIT_S, isolation_level=None, check_same_thread=False)
    db.row_factory = sqlite3.Row
    try:
        db.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        db.close()
        raise
    return db


def patiently(work: Callable[[], T]) -> T:
    """What a statement gives, once other writers let it.

    SQLite's own way to wait sleeps up to 0.1 s at a time, in which others overtake.
    """
    deadline, pause = time.monotonic() + WAIT_S, SHORTEST_PAUSE_S
    while True:
        try:
            return work()
        except sqlite3.OperationalError as error:
            busy = getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY")
            if not busy or time.monotonic() > deadline:
                raise
        time.sleep(random.uniform(0.5, 1.5) * pause)
        pause = min(1.3 * pause, LONGEST_PAUSE_S)


def identity(path: Path) -> tuple[int, int] | None:
    """Which file lies there now; None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _create(path: Path) -> None:
    """Make the file whole, then give it its name: two processes may do so at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".tmp-", dir=path.parent) as folder:
        new = Path(folder, "new.db")
        with closing(sqlite3.connect(new, isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("BEGIN")
            for statement in _tables():
                db.execute(statement)
            db.execute("COMMIT")
        with _alone(path.parent):
            if not path.exists():
                for rest in ("-wal", "-shm"):  # of a ledger that was removed: its pages are not of this one
                    path.with_name(path.name + rest).unlink(missing_ok=True)
                os.link(new, path)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes that make a ledger in this folder waiting."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _tables() -> list[str]:
    unique, *indices = INDICES_FIRST + INDICES_ADDED
    return [
        f"CREATE TABLE runs ({RUN_COLUMNS}, {NUMBER}) WITHOUT ROWID",
        f"CREATE UNIQUE INDEX {unique}",
        *(f"CREATE INDEX {index}" for index in indices),
        f"CREATE TABLE pipelines ({CONTROL_COLUMNS}) WITHOUT ROWID",
        f"PRAGMA user_version = {VERSION}",
    ]


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    """Bring version 1 to version 2, all or nothing; another process may have been first."""
    db.execute("BEGIN IMMEDIATE")
    if _version(db, path) == 1:
        for column in (*ADDED, NUMBER):
            db.execute(f"ALTER TABLE runs ADD COLUMN {column}")
        db.execute("DROP INDEX runs_by_state")
        for index in INDICES_ADDED:
            db.execute(f"CREATE INDEX {index}")
        db.execute(f"CREATE TABLE pipelines ({CONTROL_COLUMNS}) WITHOUT ROWID")
        db.execute(f"PRAGMA user_version = {VERSION}")
    db.execute("COMMIT")


def _version(db: sqlite3.Connection, path: Path) -> int:
    """The version of the file. Raises BadInput for one that this geolab does not know."""
    found = db.execute("PRAGMA user_version").fetchone()[0]
    if not 1 <= found <= VERSION:
        remedy = "update geolab" if found > VERSION else "name another file in ledger_url"
        raise BadInput(
            str(path), found=f"a ledger of version {found}", expected=f"version {VERSION}", remedy=remedy
        )
    return found


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise what SQLite raises as a LedgerError of one line."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise LedgerError(str(path), _reason(error)) from error
    except UnicodeEncodeError as error:  # a command line may hold bytes that are no text
        raise BadInput("text", found=repr(error.object)[:80], expected="Unicode") from error


def _reason(error: sqlite3.DatabaseError) -> str:
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith("SQLITE_BUSY"):
        return f"another process has been writing for more than {WAIT_S:.0f} s; try again"
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return f"not a sound SQLite file ({error}); move it away: finished runs are found in their folders"
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return f"can't be opened or written ({error}); check the folder's permissions"
    if name.startswith("SQLITE_FULL"):
        return "the disk is full; free some space and try again"
    return str(error)
