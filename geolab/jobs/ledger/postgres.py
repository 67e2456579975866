"""The ledger in a PostgreSQL database, for many machines: in a schema of its own, by psycopg 3."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any, LiteralString, TypeVar, cast

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row

from geolab.errors import BadInput, LedgerError, SettingsError
from geolab.jobs.ledger.rows import (
    CONTROL_COLUMNS,
    INDICES_ADDED,
    INDICES_FIRST,
    RUN_COLUMNS,
    VERSION,
    record_of,
)
from geolab.jobs.ledger.sql import Ask, Row, SqlLedger, Taken
from geolab.jobs.record import Record
from geolab.settings import redacted

T = TypeVar("T")
Connection = psycopg.Connection[dict[str, Any]]

# A server that is away, or a network that swallows packets, shall be noticed well within a lease.
_NOTICE = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
    "application_name": "geolab",
}
# Every question has an index that answers it in order; without statistics, as of a table that has just
# grown, the planner would rather read and sort it whole, for each page anew.
_SESSION = """
    SET search_path = geolab;
    SET enable_seqscan = off;
    SET enable_bitmapscan = off;
    SET enable_sort = off;
    SET jit = off; -- which compiles what is forbidden and done all the same, such as reading a tiny table
    SET statement_timeout = '30s';
    SET lock_timeout = '20s';
    SET idle_in_transaction_session_timeout = '30s';
"""
_CLOCK = "SELECT CAST(extract(epoch FROM clock_timestamp()) AS DOUBLE PRECISION) AS now"
# Not to_regclass(): that may answer from before the wait for a lock.
_TABLES = "SELECT 1 FROM pg_tables WHERE schemaname = 'geolab' AND tablename = 'version'"
_NUMBER = "number BIGINT GENERATED ALWAYS AS IDENTITY"
_LOCK_OF_THE_TABLES = 0x67656F6C  # "geol": an advisory lock, held while tables are made


class PostgresLedger(SqlLedger):
    """A ledger in the schema `geolab` of a database. Connections are kept for the next call."""

    locked = " FOR UPDATE"
    number = "DEFAULT"

    def __init__(self, url: str):
        self._idle: list[Connection] = []
        self.where = redacted(url)
        self._how = _parsed(url)
        self._prepared = False
        super().__init__()
        self.prepare()

    def __repr__(self) -> str:
        return f"PostgresLedger({self.where!r})"

    def _clock(self, ask: Ask) -> float:
        return ask(_CLOCK, {})[0]["now"]

    def _next(self, ask: Ask, query: str, values: Mapping[str, Any]) -> Record | None:
        found = ask(f"SELECT * {query} FOR UPDATE SKIP LOCKED", values)
        return record_of(found[0]) if found else None

    def _lock_controls(self, ask: Ask) -> None:
        ask("LOCK TABLE pipelines IN SHARE ROW EXCLUSIVE MODE", {})

    # ------------------------------------------------------------ transactions

    def _ask(self, query: str, values: Mapping[str, Any]) -> list[Row]:
        with self._translated():
            db, found = self._first(lambda db: _rows(db, query, values))
            self._put_away(db)
            return found

    @contextmanager
    def _writing(self) -> Iterator[Ask]:
        with self._translated():
            db, _ = self._first(lambda db: db.execute("BEGIN"))
            try:
                yield lambda query, values: _rows(db, query, values)
                db.execute("COMMIT")
            except BaseException as error:
                with suppress(psycopg.Error):
                    db.execute("ROLLBACK")
                if isinstance(error, psycopg.errors.UniqueViolation):
                    raise Taken from error
                raise
            finally:
                self._put_away(db)

    def _first(self, work: Callable[[Connection], T]) -> tuple[Connection, T]:
        """A connection and what the first statement of a call gave on it.

        An idle connection may have died since, with its server: nothing was done yet, and a new one is tried.
        """
        while True:
            db, kept = self._connection()
            try:
                return db, work(db)
            except BaseException:
                died = db.closed
                self._put_away(db)
                if not (died and kept):
                    raise

    def _connection(self) -> tuple[Connection, bool]:
        """A connection, and whether it was kept from an earlier call."""
        with suppress(IndexError):
            return self._idle.pop(), True
        db = psycopg.connect(**self._how, autocommit=True, row_factory=cast(Any, dict_row))
        try:
            db.execute(_SESSION)
        except BaseException:
            db.close()
            raise
        return cast(Connection, db), False

    def _put_away(self, db: Connection) -> None:
        if db.info.transaction_status == psycopg.pq.TransactionStatus.IDLE:
            self._idle.append(db)
        else:
            db.close()

    def close(self) -> None:
        with suppress(IndexError):
            while self._idle:
                self._idle.pop().close()

    def __del__(self) -> None:
        self.close()

    # ------------------------------------------------------------ tables

    def prepare(self) -> None:
        """Raises BadInput for tables of a newer geolab."""
        if self._prepared:
            return
        found = self._version(self._ask)
        if found is None:
            with self._writing() as ask:
                ask("SELECT pg_advisory_xact_lock(:lock)", {"lock": _LOCK_OF_THE_TABLES})
                found = self._version(ask)
                for statement in _tables() if found is None else ():
                    ask(statement, {})
        if found not in (None, VERSION):
            raise BadInput(
                self.where,
                found=f"a ledger of version {found}",
                expected=f"version {VERSION}",
                remedy="update geolab",
            )
        self._prepared = True

    def _version(self, ask: Ask) -> int | None:
        if not ask(_TABLES, {}):
            return None
        return ask("SELECT max(number) AS number FROM geolab.version", {})[0]["number"]

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Raise what the server and the way to it raise as a LedgerError of one line."""
        try:
            yield
        except psycopg.Error as error:
            raise LedgerError(self.where, _reason(error)) from error
        except UnicodeEncodeError as error:  # a command line may hold bytes that are no text
            raise BadInput("text", found=repr(error.object)[:80], expected="Unicode") from error


def _tables() -> list[str]:
    unique, *indices = INDICES_FIRST + INDICES_ADDED
    return [
        "CREATE SCHEMA IF NOT EXISTS geolab",
        # room in each page, so that a renewed lease touches no index
        f"CREATE TABLE runs ({_ordered(RUN_COLUMNS)}, {_NUMBER}) WITH (fillfactor = 70)",
        f"CREATE UNIQUE INDEX {unique}",
        *(f"CREATE INDEX {index}" for index in indices),
        f"CREATE TABLE pipelines ({_ordered(CONTROL_COLUMNS)})",
        "CREATE TABLE version (number INTEGER NOT NULL)",
        f"INSERT INTO version VALUES ({VERSION})",  # noqa: S608 - a number of ours
    ]


def _ordered(columns: str) -> str:
    """Columns whose texts have the same order everywhere, whatever the database's language."""
    return columns.replace(" TEXT", ' TEXT COLLATE "C"')


def _rows(db: Connection, query: str, values: Mapping[str, Any]) -> list[Row]:
    cursor = db.execute(_translation(query), values)
    return cast(list[Row], cursor.fetchall()) if cursor.description else []


@lru_cache(maxsize=256)
def _translation(query: str) -> LiteralString:
    """`:name` as psycopg wants it."""
    return cast(LiteralString, re.sub(r"(?<!:):([a-z]\w*)", r"%(\1)s", query))


def _parsed(url: str) -> dict[str, Any]:
    """The parts of a URL, with what lets a lost server be noticed. Raises SettingsError."""
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        parts = {"port": "unknown"}
    if not re.fullmatch(r"[\d,]*", str(parts.get("port", ""))):  # or a part of a password with / or @
        expected = "postgresql://user:password@host:port/database, with %-escapes for special characters"
        raise SettingsError("settings", "ledger_url", found=redacted(url), expected=expected)
    return _NOTICE | parts


def _reason(error: psycopg.Error) -> str:
    match error:
        case psycopg.errors.DiskFull():
            return "the server's disk is full; free some space and try again"
        case psycopg.errors.QueryCanceled():
            return "no answer within 30 s; try again"
        case psycopg.errors.LockNotAvailable():
            return "another process has held this run for more than 20 s; try again"
        case psycopg.errors.ReadOnlySqlTransaction():
            return "the server takes no changes: it is a read-only copy"
        case psycopg.OperationalError() if error.sqlstate is None or error.sqlstate[:2] in ("08", "57"):
            return f"the server can't be reached ({error})"
    return str(error)
