"""The calls of a ledger in SQL that SQLite and PostgreSQL both understand.

Every change of a run is a function of `record`, applied to the newest row while it is locked.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Any
from weakref import WeakSet

from geolab.errors import BadInput, LedgerError, NotFound
from geolab.jobs import record
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
from geolab.jobs.record import ACTIVE, Record

PAGE = 1000  # rows read at once by `newest` and `history`

Row = Mapping[str, Any]
Ask = Callable[[str, Mapping[str, Any]], list[Row]]  # rows of a statement; none of one that returns none


_ALIVE: WeakSet[SqlLedger] = WeakSet()


def _close_all() -> None:
    for ledger in list(_ALIVE):
        ledger.close()


# a child with its parent's connection would answer for it, and SQLite would think it holds the parent's locks
os.register_at_fork(before=_close_all)


class Taken(Exception):
    """A row that a unique index refuses."""


def _insert(table: str, names: tuple[str, ...]) -> str:
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(f':{n}' for n in names)})"  # noqa: S608


def _upsert(table: str, names: tuple[str, ...]) -> str:
    changes = (f"{n} = excluded.{n}" for n in names[1:])
    return f"{_insert(table, names)} ON CONFLICT ({names[0]}) DO UPDATE SET {', '.join(changes)}"


_NUMBERED = (*RUN_NAMES, "number")
_PUT = _upsert("runs", _NUMBERED).replace(", number = excluded.number", "")
_PUT_CONTROL = _upsert("pipelines", CONTROL_NAMES)
_ENQUEUE = f"{_insert('runs', _NUMBERED)} ON CONFLICT DO NOTHING RETURNING attempt".replace(
    ":attempt", "(SELECT count(*) + 1 FROM runs WHERE key = :key)"
)
_ONE = "SELECT * FROM runs WHERE id = :id"
_BEGINNING = "SELECT * FROM runs WHERE substr(id, 1, :length) = :start LIMIT 2"
_CONTROL = "SELECT * FROM pipelines WHERE name = :name"
_ACTIVE_OF_KEY = "SELECT * FROM runs WHERE key = :key AND state IN ('queued', 'running')"
_ACTIVE_IDS = "SELECT id FROM runs{by} WHERE state IN ('queued', 'running')"
_HELD = """
    SELECT * FROM runs{by} WHERE state IN ('queued', 'running') AND (host <> '' OR cancel = 1) ORDER BY id
"""
_PAUSED = "SELECT name FROM pipelines WHERE state <> 'active'"
_NEXT = f"""
    FROM runs{{by}} WHERE state = 'queued' AND host = '' AND cancel = 0 AND gpu <= :gpus
    AND not_before <= :now AND pipeline NOT IN ({_PAUSED})
"""
_NEWEST = """
    SELECT * FROM runs AS one WHERE pipeline = :pipeline AND pipeline <> '' AND slot > :after AND number =
    (SELECT max(number) FROM runs WHERE pipeline = one.pipeline AND pipeline <> '' AND slot = one.slot)
    ORDER BY slot LIMIT {page}
"""
_HISTORY = """
    SELECT slot, key, state, cause, id, number FROM runs WHERE pipeline = :pipeline AND pipeline <> ''
    AND number > :after ORDER BY number LIMIT {page}
"""
_EXECUTIONS = """
    SELECT count(*) AS number FROM runs WHERE pipeline = :pipeline AND pipeline <> '' AND started IS NOT NULL
"""


class SqlLedger(ABC):
    """What the back ends share. Holds the claims that the loss of a connection left in doubt.

    Threads may share a ledger, and so may processes: no open connection passes through a fork.
    """

    locked = ""  # what a SELECT ends with that locks its row
    number: str  # what makes the next number of a run

    def __init__(self) -> None:
        self._doubtful: list[Record] = []
        _ALIVE.add(self)

    @abstractmethod
    def prepare(self) -> None:
        """Make the ledger if there is none; bring one of an older geolab to this version."""

    @abstractmethod
    def close(self) -> None:
        """Close the connections that are not in use; the next call opens one again."""

    @abstractmethod
    def _ask(self, query: str, values: Mapping[str, Any]) -> list[Row]:
        """The rows of one statement by itself, one that may be done twice."""

    @abstractmethod
    def _writing(self) -> AbstractContextManager[Ask]:
        """A transaction. Raises Taken."""

    @abstractmethod
    def _clock(self, ask: Ask) -> float:
        """The ledger's clock."""

    @abstractmethod
    def _next(self, ask: Ask, query: str, values: Mapping[str, Any]) -> Record | None:
        """The first run of the query, locked."""

    def _by(self, index: str) -> str:  # noqa: ARG002
        """What is said after a table to have it read by this index."""
        return ""

    def now(self) -> float:
        return self._clock(self._ask)

    # ------------------------------------------------------------ changes

    def enqueue(self, run: Record) -> Record:
        for _ in range(100):  # between the two statements the other run of this key may end
            added = self._ask(_ENQUEUE.replace(":number", self.number), row_of(run))
            if added:
                return replace(run, attempt=added[0]["attempt"])
            found = self._ask(_ACTIVE_OF_KEY, {"key": run.key})
            if found:
                return record_of(found[0])
        raise BadInput("run", found=f"a new one with the known id {run.id}", expected="an id of its own")

    def claim_next(self, *, owner: Owner, lease_s: float, gpus: int = 0, pipeline: str = "") -> Record | None:
        only = " AND pipeline = :pipeline" if pipeline else ""
        query = (
            f"{_NEXT.format(by=self._by('runs_waiting'))}{only} ORDER BY priority DESC, number, id LIMIT 1"
        )

        def find(ask: Ask, now: float) -> Record | None:
            return self._next(ask, query, {"now": now, "gpus": gpus, "pipeline": pipeline})

        return self._claim(find, owner, lease_s)

    def claim(self, run_id: str, *, owner: Owner, lease_s: float) -> Record | None:
        def find(ask: Ask, _now: float) -> Record | None:
            run = _one(ask, run_id, self.locked)
            paused = run.pipeline and ask(f"{_PAUSED} AND name = :name", {"name": run.pipeline})
            return None if paused else run

        return self._claim(find, owner, lease_s)

    def _claim(
        self, find: Callable[[Ask, float], Record | None], owner: Owner, lease_s: float
    ) -> Record | None:
        self._give_back_doubtful()
        claimed = None
        try:
            with self._writing() as ask:
                now = self._clock(ask)
                run = find(ask, now)
                claimed = run and record.claim(run, owner=owner, lease_until=now + lease_s, now=now)
                _change(ask, run, claimed)
        except LedgerError:
            if claimed is not None:
                self._doubtful.append(claimed)
            raise
        return claimed

    def _give_back_doubtful(self) -> None:
        """Let go of what was claimed, perhaps, when the answer was lost: nobody works on it."""
        while self._doubtful:
            run = self._doubtful[-1]
            self.update(run.id, partial(record.give_back, owner=run.owner, started=run.started))
            self._doubtful.pop()

    def renew(self, run_id: str, *, owner: Owner, lease_s: float) -> Record | None:
        with self._writing() as ask:
            run = _one(ask, run_id, self.locked)
            renewed = record.renew(run, owner=owner, lease_until=self._clock(ask) + lease_s)
            _change(ask, run, renewed)
            return renewed

    def update(self, run_id: str, change: Change) -> Record | None:
        try:
            with self._writing() as ask:
                run = _one(ask, run_id, self.locked)
                changed = change(run)
                _change(ask, run, changed)
                return changed
        except Taken:
            return None

    def put(self, run: Record) -> None:
        try:
            with self._writing() as ask:
                ask(_PUT.replace(":number", self.number), row_of(run))
        except Taken:
            found = f"a second active run of key {run.key}"
            raise BadInput("run", found=found, expected="one at a time") from None

    # ------------------------------------------------------------ questions

    def get(self, run_id: str) -> Record:
        return _one(self._ask, run_id)

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
        given = {"notebook": notebook, "key": key, "pipeline": pipeline, "slot": slot}
        asked = {name: value for name, value in given.items() if value}
        wanted = {f"state{number}": state for number, state in enumerate(states)}
        terms = [f"{name} = :{name}" for name in asked]
        terms += [f"state IN ({', '.join(f':{name}' for name in wanted)})"] if wanted else []
        terms += ["pipeline <> ''"] if pipeline else []  # says that the indices of pipelines will do
        by = ""
        if states and not (key or slot or set(states) - set(ACTIVE)):
            terms, by = [*terms, "state IN ('queued', 'running')"], self._by("runs_active")
        query = f"""
            SELECT * FROM runs{by} {"WHERE" if terms else ""} {" AND ".join(terms)}
            ORDER BY number DESC, id DESC LIMIT :limit
        """  # noqa: S608 - only names of ours are put in
        return [record_of(row) for row in self._ask(query, wanted | asked | {"limit": limit or 2**62})]

    def held(self) -> list[Record]:
        return [record_of(row) for row in self._ask(_HELD.format(by=self._by("runs_held")), {})]

    def active(self) -> set[str]:
        return {row["id"] for row in self._ask(_ACTIVE_IDS.format(by=self._by("runs_active")), {})}

    # ------------------------------------------------------------ pipelines

    def newest(self, pipeline: str) -> Iterator[Record]:
        for row in self._pages(_NEWEST, pipeline, "slot", ""):
            yield record_of(row)

    def history(self, pipeline: str) -> Iterator[Past]:
        for row in self._pages(_HISTORY, pipeline, "number", 0):
            yield row["slot"], row["key"], row["state"], row["cause"], row["id"]

    def _pages(self, query: str, pipeline: str, by: str, after: str | int) -> Iterator[Row]:
        query = query.format(page=PAGE)  # not a value: PostgreSQL plans for few rows if it sees how few
        while page := self._ask(query, {"pipeline": pipeline, "after": after}):
            yield from page
            after = page[-1][by]

    def executions(self, pipeline: str) -> int:
        return self._ask(_EXECUTIONS, {"pipeline": pipeline})[0]["number"]

    def control(self, pipeline: str) -> Control | None:
        return _control(self._ask, pipeline, "")

    def set_control(self, control: Control) -> None:
        with self._writing() as ask:
            ask(_PUT_CONTROL, row_of_control(control))

    def change_control(self, pipeline: str, change: ChangeControl) -> Control | None:
        with self._writing() as ask:
            self._lock_controls(ask)
            changed = change(_control(ask, pipeline, self.locked))
            if changed is not None:
                ask(_PUT_CONTROL, row_of_control(changed))
            return changed

    @abstractmethod
    def _lock_controls(self, ask: Ask) -> None:
        """Keep others from adding the same name until the transaction ends."""

    def controls(self) -> list[Control]:
        return [control_of(row) for row in self._ask("SELECT * FROM pipelines ORDER BY name", {})]


def _change(ask: Ask, before: Record | None, after: Record | None) -> None:
    """Write what is different, and nothing else: what is named is written to its indices too."""
    if before is None or after is None:
        return
    old, new = row_of(before), row_of(after)
    names = [name for name in RUN_NAMES[1:] if old[name] != new[name]]
    if names:
        ask(f"UPDATE runs SET {', '.join(f'{n} = :{n}' for n in names)} WHERE id = :id", new)  # noqa: S608


def _control(ask: Ask, pipeline: str, locked: str) -> Control | None:
    found = ask(_CONTROL + locked, {"name": pipeline})
    return control_of(found[0]) if found else None


def _one(ask: Ask, run_id: str, locked: str = "") -> Record:
    exact = ask(_ONE + locked, {"id": run_id})
    if exact:
        return record_of(exact[0])
    length = len(run_id)
    found = ask(_BEGINNING + locked, {"length": length, "start": run_id}) if length >= 6 else []
    if len(found) == 1:
        return record_of(found[0])
    if found:
        raise BadInput("run", found=run_id, expected="the beginning of one id", remedy="give more of it")
    newest = [row["id"] for row in ask("SELECT id FROM runs ORDER BY id DESC LIMIT 5", {})]
    raise NotFound("run", run_id, known=newest, remedy="see geolab runs")
