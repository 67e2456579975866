"""The ledger: an index of all runs, and the place of those that are not done yet.

One SQLite file in WAL mode, safe for many processes of one machine. Every change is a function of
`record` applied under the write lock, so a PostgreSQL ledger needs the same six methods only.
"""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Protocol

from geolab.errors import BadInput, NotFound
from geolab.jobs.processes import Owner
from geolab.jobs.record import STATES, Record
from geolab.settings import Settings

VERSION = 1
WAIT_S = 60.0  # for another process's write to end

Change = Callable[[Record], Record | None]


class Ledger(Protocol):
    """What a back end must do; each call is one transaction."""

    def enqueue(self, run: Record) -> Record:
        """The new run with its attempt number; or the active run that has its key already."""
        ...

    def update(self, run_id: str, change: Change) -> Record | None:
        """What `change` made of the run, atomically; None where it made nothing. Raises NotFound."""
        ...

    def put(self, run: Record) -> None:
        """Add or replace a run that is not active: how a ledger is rebuilt."""
        ...

    def get(self, run_id: str) -> Record:
        """The run with this id or unique beginning of an id. Raises NotFound or BadInput."""
        ...

    def runs(
        self, *, states: tuple[str, ...] = (), notebook: str = "", key: str = "", limit: int = 0
    ) -> list[Record]:
        """The runs, newest first."""
        ...


def open_ledger(settings: Settings) -> Ledger:
    """The ledger of a workspace; made when it is absent."""
    return SqliteLedger(settings.ledger_path)


_COLUMNS = """
    id TEXT PRIMARY KEY, notebook TEXT NOT NULL, key TEXT NOT NULL, parameters TEXT NOT NULL,
    state TEXT NOT NULL, host TEXT NOT NULL, pid INTEGER NOT NULL, pid_started TEXT NOT NULL,
    lease_until REAL NOT NULL, attempt INTEGER NOT NULL, cancel INTEGER NOT NULL, created REAL NOT NULL,
    started REAL, finished REAL, folder TEXT NOT NULL, error TEXT NOT NULL,
    force INTEGER NOT NULL, timeout_s REAL
"""
_SCHEMA = f"""
    CREATE TABLE runs ({_COLUMNS}) WITHOUT ROWID;
    CREATE UNIQUE INDEX one_active_run_per_key ON runs (key) WHERE state IN ('queued', 'running');
    CREATE INDEX runs_by_key ON runs (key);
    CREATE INDEX runs_by_state ON runs (state);
    PRAGMA user_version = {VERSION};
"""
_NAMES = tuple(line.split()[0] for line in _COLUMNS.split(","))
_WRITE = f"INSERT OR REPLACE INTO runs ({', '.join(_NAMES)}) VALUES ({', '.join(':' + n for n in _NAMES)})"  # noqa: S608
_INSERT = _WRITE.replace("INSERT OR REPLACE", "INSERT")
_FIELDS = {f.name for f in fields(Record)}


class SqliteLedger:
    """A ledger in one SQLite file. Holds its path only: a connection lives for one call."""

    def __init__(self, path: Path):
        self.path = path
        if not path.exists():
            _create(path)
        with closing(self._connect()) as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
        if version != VERSION:
            raise BadInput(str(path), found=f"a ledger of version {version}", expected=f"version {VERSION}")

    def _connect(self) -> sqlite3.Connection:
        # mode=rw: a ledger that was removed must not come back empty and without tables
        uri = f"{self.path.absolute().as_uri()}?mode=rw"
        db = sqlite3.connect(uri, uri=True, timeout=WAIT_S, isolation_level=None)
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA synchronous = NORMAL")
        return db

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with closing(self._connect()) as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    def enqueue(self, run: Record) -> Record:
        with self._writing() as db:
            same = db.execute("SELECT * FROM runs WHERE key = ? ORDER BY id DESC", (run.key,)).fetchall()
            active = next((found for found in map(_record, same) if found.active), None)
            if active:
                return active
            db.execute(_INSERT, _row(run) | {"attempt": len(same) + 1})
            return _record(db.execute("SELECT * FROM runs WHERE id = ?", (run.id,)).fetchone())

    def update(self, run_id: str, change: Change) -> Record | None:
        with self._writing() as db:
            changed = change(_one(db, run_id))
            if changed is not None:
                db.execute(_WRITE, _row(changed))
            return changed

    def put(self, run: Record) -> None:
        with self._writing() as db:
            db.execute(_WRITE, _row(run))

    def get(self, run_id: str) -> Record:
        with closing(self._connect()) as db:
            return _one(db, run_id)

    def runs(
        self, *, states: tuple[str, ...] = (), notebook: str = "", key: str = "", limit: int = 0
    ) -> list[Record]:
        wanted = states or STATES
        query = f"""
            SELECT * FROM runs WHERE state IN ({", ".join("?" * len(wanted))})
            AND (? = '' OR notebook = ?) AND (? = '' OR key = ?) ORDER BY id DESC LIMIT ?
        """  # noqa: S608 - only question marks are put in
        values = (*wanted, notebook, notebook, key, key, limit or -1)
        with closing(self._connect()) as db:
            return [_record(row) for row in db.execute(query, values)]


def _create(path: Path) -> None:
    """Make the file whole, then give it its name: two processes may do so at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".tmp-", dir=path.parent) as folder:
        new = Path(folder, "new.db")
        with closing(sqlite3.connect(new)) as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.executescript(_SCHEMA)
        try:
            os.link(new, path)
        except FileExistsError:
            return


def _one(db: sqlite3.Connection, run_id: str) -> Record:
    exact = db.execute("SELECT * FROM runs WHERE id = ?", (run_id,)).fetchone()
    if exact:
        return _record(exact)
    start = "SELECT * FROM runs WHERE substr(id, 1, ?) = ? LIMIT 2"
    found = db.execute(start, (len(run_id), run_id)).fetchall() if len(run_id) >= 6 else []
    if len(found) == 1:
        return _record(found[0])
    if found:
        raise BadInput("run", found=run_id, expected="the beginning of one id", remedy="give more of it")
    newest = [row["id"] for row in db.execute("SELECT id FROM runs ORDER BY id DESC LIMIT 5")]
    raise NotFound("run", run_id, known=newest, remedy="see geolab runs")


def _row(run: Record) -> dict[str, Any]:
    row = asdict(run)
    owner = row.pop("owner")
    row |= {"host": owner["host"], "pid": owner["pid"], "pid_started": owner["started"]}
    return row | {"parameters": json.dumps(run.parameters, ensure_ascii=False)}


def _record(row: sqlite3.Row) -> Record:
    values = {name: row[name] for name in row.keys() if name in _FIELDS}  # noqa: SIM118 - a Row iterates its values
    values |= {"owner": Owner(row["host"], row["pid"], row["pid_started"])}
    values |= {"parameters": json.loads(row["parameters"])}
    values |= {"cancel": bool(row["cancel"]), "force": bool(row["force"])}
    return Record(**values)
