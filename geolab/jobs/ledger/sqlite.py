"""The ledger in one SQLite file in WAL mode, safe for many processes of one machine."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

from geolab.jobs.ledger import sqlite_file
from geolab.jobs.ledger.rows import record_of
from geolab.jobs.ledger.sql import Ask, Row, SqlLedger, Taken
from geolab.jobs.ledger.sqlite_file import patiently
from geolab.jobs.record import Record


class SqliteLedger(SqlLedger):
    """A ledger in one SQLite file. Connections are kept for the next call."""

    number = "(SELECT coalesce(max(number), 0) + 1 FROM runs)"

    def __init__(self, path: Path):
        self._idle: list[tuple[Any, sqlite3.Connection]] = []
        self.path = path
        self._prepared: Any = None  # the file that was looked at
        super().__init__()
        self.prepare()

    def prepare(self) -> None:
        file = sqlite_file.identity(self.path)
        if file is None or file != self._prepared:
            sqlite_file.prepare(self.path)
            self._prepared = sqlite_file.identity(self.path)

    def _clock(self, ask: Ask) -> float:  # noqa: ARG002
        return time.time()

    def _next(self, ask: Ask, query: str, values: Mapping[str, Any]) -> Record | None:
        # the id first: the index has all that this question needs
        found = ask(f"SELECT * FROM runs WHERE id = (SELECT id {query})", values)  # noqa: S608
        return record_of(found[0]) if found else None

    def _by(self, index: str) -> str:
        return f" INDEXED BY {index}"  # SQLite guesses, and does not know how few these are

    def _ask(self, query: str, values: Mapping[str, Any]) -> list[Row]:
        with sqlite_file.translated(self.path), self._borrowed() as db:
            return cast(list[Row], patiently(lambda: db.execute(query, values).fetchall()))

    @contextmanager
    def _writing(self) -> Iterator[Ask]:
        """Holds the write lock; commits if the block succeeds."""
        with sqlite_file.translated(self.path), self._borrowed() as db:
            patiently(lambda: db.execute("BEGIN IMMEDIATE"))
            try:
                yield lambda query, values: cast(list[Row], db.execute(query, values).fetchall())
                db.execute("COMMIT")
            except sqlite3.IntegrityError as error:
                db.execute("ROLLBACK")
                raise Taken from error
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    # ------------------------------------------------------------ connections

    @contextmanager
    def _borrowed(self) -> Iterator[sqlite3.Connection]:
        """An idle connection or a new one; one that SQLite itself failed on is closed."""
        file = sqlite_file.identity(self.path)
        db = self._take(file) or self._connected()
        try:
            yield db
        except sqlite3.Error:
            db.close()
            raise
        except BaseException:
            self._idle.append((file, db))
            raise
        self._idle.append((file, db))

    def _take(self, file: Any) -> sqlite3.Connection | None:
        """An idle connection to this file; those to one that was removed or replaced are closed."""
        with suppress(IndexError):  # another thread may take the last
            while self._idle:
                opened, db = self._idle.pop()
                if opened == file:
                    return db
                db.close()
        return None

    def _connected(self) -> sqlite3.Connection:
        db = sqlite_file.connect(self.path)
        db.execute("PRAGMA busy_timeout = 0")  # `patiently` waits instead
        return db

    def close(self) -> None:
        with suppress(IndexError):
            while self._idle:
                self._idle.pop()[1].close()

    def __del__(self) -> None:
        self.close()

    def _lock_controls(self, ask: Ask) -> None:
        pass  # a writer is alone
