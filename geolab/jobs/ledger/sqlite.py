"""The ledger in one SQLite file in WAL mode, safe for many processes of one machine.

Every change is a function of `record` applied under the write lock.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from geolab.errors import BadInput, NotFound
from geolab.jobs import record
from geolab.jobs.ledger import sqlite_file
from geolab.jobs.ledger.protocol import Change, ChangeControl, Control, Past
from geolab.jobs.ledger.rows import (
    CONTROL_NAMES,
    RUN_NAMES,
    control_of,
    record_of,
    row_of,
    row_of_control,
)
from geolab.jobs.processes import Owner
from geolab.jobs.record import STATES, Record

PAGE = 1000  # rows read at once by `newest` and `history`


def _write(table: str, names: tuple[str, ...]) -> str:
    """Add or replace by the first column; an index that is not concerned is not touched."""
    values, changes = (f":{n}" for n in names), (f"{n} = excluded.{n}" for n in names[1:])
    return (
        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(values)}) "  # noqa: S608 - names of ours
        f"ON CONFLICT ({names[0]}) DO UPDATE SET {', '.join(changes)}"
    )


_WRITE, _WRITE_CONTROL = _write("runs", RUN_NAMES), _write("pipelines", CONTROL_NAMES)
_BLOCKED = "pipeline IN (SELECT name FROM pipelines WHERE state <> 'active')"
_NEXT = f"""
    SELECT id FROM runs WHERE state = 'queued' AND host = '' AND cancel = 0
    AND not_before <= :now AND gpu <= :gpus AND (:pipeline = '' OR pipeline = :pipeline)
    AND NOT {_BLOCKED} ORDER BY priority DESC, id LIMIT 1
"""  # noqa: S608
_NEWEST = """
    SELECT * FROM runs AS one WHERE pipeline = ? AND pipeline <> '' AND slot > ? AND id =
    (SELECT max(id) FROM runs WHERE pipeline = one.pipeline AND pipeline <> '' AND slot = one.slot)
    ORDER BY slot LIMIT ?
"""
_HISTORY = """
    SELECT slot, key, state, cause, id FROM runs WHERE pipeline = ? AND pipeline <> '' AND id > ?
    ORDER BY id LIMIT ?
"""


class SqliteLedger:
    """A ledger in one SQLite file. Threads and processes may share it."""

    def __init__(self, path: Path):
        self.path = path
        self._idle: list[sqlite3.Connection] = []
        self._pid = os.getpid()
        self._file: tuple[int, int] | None = None
        sqlite_file.prepare(path)

    # ------------------------------------------------------------ runs

    def enqueue(self, run: Record) -> Record:
        with self._writing() as db:
            same = "SELECT * FROM runs WHERE key = ? AND state IN ('queued', 'running')"
            active = db.execute(same, (run.key,)).fetchone()
            if active:
                return record_of(active)
            count = db.execute("SELECT count(*) FROM runs WHERE key = ?", (run.key,)).fetchone()[0]
            db.execute(_WRITE, row_of(run) | {"attempt": count + 1})
            return _one(db, run.id)

    def claim_next(self, *, owner: Owner, lease_s: float, gpus: int = 0, pipeline: str = "") -> Record | None:
        with self._writing() as db:
            now = time.time()
            found = db.execute(_NEXT, {"now": now, "gpus": gpus, "pipeline": pipeline}).fetchone()
            if found is None:
                return None
            return _changed(
                db, found["id"], partial(record.claim, owner=owner, lease_until=now + lease_s, now=now)
            )

    def claim(self, run_id: str, *, owner: Owner, lease_s: float) -> Record | None:
        with self._writing() as db:
            now = time.time()
            blocked = f"SELECT 1 FROM runs WHERE id = ? AND {_BLOCKED}"  # noqa: S608
            if db.execute(blocked, (run_id,)).fetchone():
                return None
            return _changed(
                db, run_id, partial(record.claim, owner=owner, lease_until=now + lease_s, now=now)
            )

    def renew(self, run_id: str, *, owner: Owner, lease_s: float) -> Record | None:
        with self._writing() as db:
            return _changed(db, run_id, partial(record.renew, owner=owner, lease_until=time.time() + lease_s))

    def update(self, run_id: str, change: Change) -> Record | None:
        with self._writing() as db:
            return _changed(db, run_id, change)

    def put(self, run: Record) -> None:
        with self._writing() as db:
            try:
                db.execute(_WRITE, row_of(run))
            except sqlite3.IntegrityError as error:
                raise BadInput(
                    "run", found=f"a second active run of key {run.key}", expected="one"
                ) from error

    def get(self, run_id: str) -> Record:
        with self._reading() as db:
            return _one(db, run_id)

    def runs(
        self,
        *,
        states: tuple[str, ...] = (),
        notebook: str = "",
        key: str = "",
        pipeline: str = "",
        slot: str = "",
        limit: int = 0,
    ) -> list[Record]:
        wanted = states or STATES
        given = {"notebook": notebook, "key": key, "pipeline": pipeline, "slot": slot}
        asked = {name: value for name, value in given.items() if value}
        query = f"""
            SELECT * FROM runs WHERE state IN ({", ".join("?" * len(wanted))})
            {"".join(f" AND {name} = ?" for name in asked)} ORDER BY id DESC LIMIT ?
        """  # noqa: S608 - only question marks and our own names are put in
        with self._reading() as db:
            found = db.execute(query, (*wanted, *asked.values(), limit or -1)).fetchall()
        return [record_of(row) for row in found]

    def now(self) -> float:
        return time.time()

    # ------------------------------------------------------------ pipelines

    def newest(self, pipeline: str) -> Iterator[Record]:
        after = ""
        while page := self._page(_NEWEST, pipeline, after):
            yield from map(record_of, page)
            after = page[-1]["slot"]

    def history(self, pipeline: str) -> Iterator[Past]:
        after = ""
        while page := self._page(_HISTORY, pipeline, after):
            yield from map(tuple, page)
            after = page[-1]["id"]

    def _page(self, query: str, pipeline: str, after: str) -> list[Any]:
        with self._reading() as db:
            return db.execute(query, (pipeline, after, PAGE)).fetchall()

    def executions(self, pipeline: str) -> int:
        query = "SELECT count(*) FROM runs WHERE pipeline = ? AND pipeline <> '' AND started IS NOT NULL"
        with self._reading() as db:
            return db.execute(query, (pipeline,)).fetchone()[0]

    def control(self, pipeline: str) -> Control | None:
        with self._reading() as db:
            return _control(db, pipeline)

    def set_control(self, control: Control) -> None:
        with self._writing() as db:
            db.execute(_WRITE_CONTROL, row_of_control(control))

    def change_control(self, pipeline: str, change: ChangeControl) -> Control | None:
        with self._writing() as db:
            changed = change(_control(db, pipeline))
            if changed is not None:
                db.execute(_WRITE_CONTROL, row_of_control(changed))
            return changed

    def controls(self) -> list[Control]:
        with self._reading() as db:
            return [control_of(row) for row in db.execute("SELECT * FROM pipelines ORDER BY name").fetchall()]

    # ------------------------------------------------------------ connections

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with sqlite_file.translated(self.path), self._borrowed() as db:
            yield db

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A connection that holds the write lock; commits if the block succeeds."""
        with sqlite_file.translated(self.path), self._borrowed() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    @contextmanager
    def _borrowed(self) -> Iterator[sqlite3.Connection]:
        """An idle connection or a new one; one that SQLite itself failed on is closed."""
        self._forget_stale()
        try:
            db = self._idle.pop()
        except IndexError:
            db = sqlite_file.connect(self.path)
            self._file = sqlite_file.identity(self.path)
        try:
            yield db
        except sqlite3.Error:
            db.close()
            raise
        except BaseException:
            self._idle.append(db)
            raise
        self._idle.append(db)

    def _forget_stale(self) -> None:
        """Drop connections of a parent process, or to a file that was removed or replaced."""
        if self._pid != os.getpid():
            _ABANDONED.append(self._idle)
            self._idle, self._pid = [], os.getpid()
        elif self._idle and sqlite_file.identity(self.path) != self._file:
            self.close()

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        if self._pid == os.getpid():
            while self._idle:
                self._idle.pop().close()

    def __del__(self) -> None:
        if hasattr(self, "_idle"):
            self.close()


_ABANDONED: list[list[sqlite3.Connection]] = []  # kept: closing them could harm the parent's file


def _changed(db: sqlite3.Connection, run_id: str, change: Change) -> Record | None:
    """What `change` made of the run; None where that would be a second active run of one key."""
    changed = change(_one(db, run_id))
    if changed is None:
        return None
    try:
        db.execute(_WRITE, row_of(changed))
    except sqlite3.IntegrityError:
        return None
    return changed


def _control(db: sqlite3.Connection, pipeline: str) -> Control | None:
    row = db.execute("SELECT * FROM pipelines WHERE name = ?", (pipeline,)).fetchone()
    return control_of(row) if row else None


def _one(db: sqlite3.Connection, run_id: str) -> Record:
    exact = db.execute("SELECT * FROM runs WHERE id = ?", (run_id,)).fetchone()
    if exact:
        return record_of(exact)
    start = "SELECT * FROM runs WHERE substr(id, 1, ?) = ? LIMIT 2"
    found = db.execute(start, (len(run_id), run_id)).fetchall() if len(run_id) >= 6 else []
    if len(found) == 1:
        return record_of(found[0])
    if found:
        raise BadInput("run", found=run_id, expected="the beginning of one id", remedy="give more of it")
    newest = [row["id"] for row in db.execute("SELECT id FROM runs ORDER BY id DESC LIMIT 5")]
    raise NotFound("run", run_id, known=newest, remedy="see geolab runs")
