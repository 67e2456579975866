"""The board: in which state every node is, by ledger and published folders, and what can run now.

    board = Board(pipeline, settings, ledger)
    board.refresh()
    for node in board.ready(): ...

A node is done when a run with its key is published. Its key hangs on notebook, values, inputs and
the keys of the runs it needs, so it is known when those are done.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geolab.errors import GeolabError, one_line
from geolab.jobs import references
from geolab.jobs.ledger import Ledger
from geolab.pipeline import facts as f
from geolab.pipeline import matrix, resolve
from geolab.pipeline.facts import Facts, Memory
from geolab.pipeline.model import Index, Pipeline, Stage
from geolab.pipeline.nodes import Node, cell, indices
from geolab.pipeline.resolve import Resolved
from geolab.settings import Settings

STATES = (
    *("waiting", "ready", "queued", "running", "succeeded"),
    *("outdated", "failed", "cancelled", "lost", "blocked"),
)
_WAITING, _READY, _QUEUED, _RUNNING, _SUCCEEDED, _OUTDATED, _FAILED, _CANCELLED, _LOST, _BLOCKED = range(10)
NONE = 255
_ACTIVE = {f.QUEUED: _QUEUED, f.RUNNING: _RUNNING}

MOST_INTERRUPTIONS = 5  # of one key, in a row
FULL_EVERY_S = 30.0


@dataclass(frozen=True)
class Row:
    """One node as people see it. run_id: of its newest run, or empty; error: its first line."""

    stage: str
    cell: str
    state: str
    run_id: str
    attempts: int
    error: str


@dataclass
class _Stage:
    """What was decided of the nodes of one stage: arrays of its shape."""

    state: NDArray[np.uint8]
    done: NDArray[np.bool_]
    key: NDArray[Any]  # of the run whose results count, where done
    run: NDArray[Any]  # its id, where the ledger does not know it under this slot
    moved: NDArray[np.bool_]  # the key has just become another
    decided: NDArray[np.bool_]
    may_run: NDArray[np.bool_]
    stuck: NDArray[np.bool_]  # nothing that hangs on it can run


class Board:
    """The states of all nodes. Holds about 100 bytes a node, and looks only at what has changed.

    keep_outdated: finished nodes whose key is another now count as done. retry_failed: what has failed
    before the board was made may be tried again.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        settings: Settings,
        ledger: Ledger,
        *,
        keep_outdated: bool = False,
        retry_failed: bool = False,
    ):
        self.pipeline, self.settings, self.ledger = pipeline, settings, ledger
        self.keep_outdated, self.retry_failed = keep_outdated, retry_failed
        self.executions = 0
        self._memory = Memory(pipeline, ledger)
        self._stages = {stage.name: _empty(pipeline, stage) for stage in pipeline.stages.values()}
        self._errors: dict[str, str] = {}  # of nodes that can't be resolved, by slot; of runs, by id
        self._full_at, self._full_took = float("-inf"), 0.0
        self.looked = float("-inf")  # when it was refreshed, monotonic seconds

    # ------------------------------------------------------------ looking

    def refresh(self) -> None:
        """Look at the ledger and the folders again."""
        began = self.looked = time.monotonic()
        if began - self._full_at > max(FULL_EVERY_S, 20 * self._full_took):
            first = self._full_at == float("-inf")
            self._memory.read_all()
            if first:
                self._memory.mark()
            self._full_at = began
        else:
            self._memory.read_changes()
        self.executions = self.ledger.executions(self.pipeline.name)
        with references.remembered():
            for stage in self.pipeline.stages.values():
                self._look(stage)
        if self._full_at == began:
            self._full_took = time.monotonic() - began

    def _look(self, stage: Stage) -> None:
        known, mine = self._memory.stages[stage.name], self._stages[stage.name]
        there = self.pipeline.present[stage.name]
        fulfilled, hopeless, moved = self._of_needs(stage)
        mine.decided &= ~known.fresh & fulfilled & ~moved
        mine.moved[...] = False
        known.fresh[...] = False
        finished = known.code == f.SUCCEEDED
        kept = finished & self.keep_outdated
        active = (known.code == f.QUEUED) | (known.code == f.RUNNING)
        unfulfilled = np.where(hopeless, _BLOCKED, np.where(finished, _OUTDATED, _WAITING))
        mine.state[...] = np.where(mine.decided, mine.state, unfulfilled)
        for code, state in _ACTIVE.items():
            mine.state[known.code == code] = state
        mine.may_run &= mine.decided
        mine.done &= mine.decided & ~active
        mine.stuck[...] = (mine.stuck & mine.decided) | ((mine.state == _BLOCKED) & ~mine.decided)
        looks = there & ~active & ~mine.decided & (fulfilled | kept)
        for index in indices(looks):
            self._decide(stage, index, known, mine, fulfilled=bool(fulfilled[index]))
        mine.stuck &= there
        mine.done &= there

    def _of_needs(self, stage: Stage) -> tuple[Any, Any, Any]:
        """Where all that is needed is done; where something of it never will be; where it is done anew."""
        shape = matrix.shape(self.pipeline, stage)
        fulfilled, hopeless, moved = np.ones(shape, bool), np.zeros(shape, bool), np.zeros(shape, bool)
        for need in stage.needs:
            theirs, there = self._stages[need.stage], self.pipeline.present[need.stage]
            fulfilled &= matrix.aligned(self.pipeline, stage, need, theirs.done | ~there, np.all)
            hopeless |= matrix.aligned(self.pipeline, stage, need, theirs.stuck, np.any)
            moved |= matrix.aligned(self.pipeline, stage, need, theirs.moved, np.any)
        return fulfilled, hopeless, moved

    def _decide(self, stage: Stage, at: Index, known: Facts, mine: _Stage, *, fulfilled: bool) -> None:
        """Find the state of a node that neither waits nor runs."""
        if known.code[at] == f.SUCCEEDED and self.keep_outdated and self._is_there(stage, known.key_hex(at)):
            self._done(at, mine, bytes(known.key[at]))
            return
        if not fulfilled:
            return
        mine.decided[at] = True
        node = Node(stage, at, self.pipeline)
        if known.code[at] == f.NONE and not stage.needs and not self._any_published(stage):
            self._may_run(at, mine, _READY)
            return
        try:
            key = resolve.key(node, self._resolve(node), self.settings)
        except GeolabError as error:
            self._errors[node.slot] = str(error)
            mine.state[at], mine.stuck[at], mine.may_run[at] = _FAILED, True, False
            return
        self._errors.pop(node.slot, None)
        found = resolve.published(stage.notebook.stem, key, self.settings)
        if found is not None:
            mine.run[at] = b"" if known.code[at] == f.SUCCEEDED else found.encode()
            self._done(at, mine, bytes.fromhex(key))
        elif known.code[at] == f.SUCCEEDED:
            self._may_run(at, mine, _READY if known.key_hex(at) == key else _OUTDATED)
        else:
            self._undone(stage, at, known, mine, same=known.key_hex(at) == key)

    def _undone(self, stage: Stage, at: Index, known: Facts, mine: _Stage, *, same: bool) -> None:
        """Find the state of a node whose newest run did not succeed. same: it was this very work."""
        before, code = known.before[at] == known.run[at], known.code[at]
        forgiven = not same or (self.retry_failed and before)
        failed = code == f.FAILED and known.failures[at] > stage.retries
        gave_up = code == f.INTERRUPTED and known.interruptions[at] >= MOST_INTERRUPTIONS
        if (failed or gave_up) and not forgiven:
            self._stuck(at, mine, _FAILED)
        elif code == f.CANCELLED and same and not before:
            self._stuck(at, mine, _CANCELLED)
        else:
            states = {f.INTERRUPTED: _LOST, f.CANCELLED: _CANCELLED}
            self._may_run(at, mine, states.get(int(code), _READY) if same else _READY)

    def _done(self, at: Index, mine: _Stage, key: bytes) -> None:
        mine.state[at], mine.done[at], mine.decided[at] = _SUCCEEDED, True, True
        mine.moved[at] = bytes(mine.key[at]) != key
        mine.key[at] = np.void(key)
        mine.may_run[at] = mine.stuck[at] = False

    def _may_run(self, at: Index, mine: _Stage, state: int) -> None:
        mine.state[at], mine.may_run[at], mine.stuck[at], mine.done[at] = state, True, False, False

    def _stuck(self, at: Index, mine: _Stage, state: int) -> None:
        mine.state[at], mine.may_run[at], mine.stuck[at], mine.done[at] = state, False, True, False

    def _any_published(self, stage: Stage) -> bool:
        return (self.settings.runs / stage.notebook.stem).is_dir()

    def _is_there(self, stage: Stage, key: str) -> bool:
        return resolve.published(stage.notebook.stem, key, self.settings) is not None

    # ------------------------------------------------------------ telling

    def resolve(self, node: Node) -> Resolved:
        """What a node's run takes; all that it needs must be done. Raises a GeolabError.

        Who asks is about to have it run: the next refresh looks at the node again.
        """
        self._memory.stages[node.stage.name].fresh[node.index] = True
        return self._resolve(node)

    def _resolve(self, node: Node) -> Resolved:
        return resolve.resolve(node, self._key_of, self.settings)

    def _key_of(self, node: Node) -> str:
        return bytes(self._stages[node.stage.name].key[node.index]).hex()

    def ready(self) -> Iterator[Node]:
        """The nodes that can run now: all they need is done, they are not, and have attempts left."""
        for stage in self.pipeline.stages.values():
            for index in indices(self._stages[stage.name].may_run & self.pipeline.present[stage.name]):
                yield Node(stage, index, self.pipeline)

    def counts(self) -> dict[str, int]:
        """How many nodes are in each state; states without any are left out."""
        total = np.zeros(len(STATES), np.int64)
        for name in self._stages:
            total += self._bins(name)
        return _named(total)

    def counts_of(self, stage: str) -> dict[str, int]:
        """The same of one stage."""
        return _named(self._bins(stage))

    def states_of(self, stage: str) -> NDArray[np.uint8]:
        """The state of each node as its place in STATES, in the stage's shape; NONE where there is none."""
        return np.where(self.pipeline.present[stage], self._stages[stage].state, NONE).astype(np.uint8)

    def _bins(self, stage: str) -> Any:
        return np.bincount(self._stages[stage].state[self.pipeline.present[stage]], minlength=len(STATES))

    def rows(self) -> Iterator[Row]:
        """Every node, in the order of stages and axes."""
        self._read_errors()
        for stage in self.pipeline.stages.values():
            yield from self._rows(stage, self.pipeline.present[stage.name])

    def failures(self, most: int) -> list[Row]:
        """The first of the nodes that have failed."""
        failed = (
            self._rows(stage, self.pipeline.present[stage.name] & (self._stages[stage.name].state == _FAILED))
            for stage in self.pipeline.stages.values()
        )
        found = list(islice(chain.from_iterable(failed), most))
        if any(not row.error for row in found):
            self._read_errors()
            found = [replace(row, error=row.error or self._errors.get(row.run_id, "")) for row in found]
        return found

    def _rows(self, stage: Stage, where: Any) -> Iterator[Row]:
        known, mine = self._memory.stages[stage.name], self._stages[stage.name]
        for index in indices(where):
            place, state = cell(self.pipeline, stage, index), STATES[mine.state[index]]
            other = bytes(mine.run[index]) if state == "succeeded" else b""
            run_id = other.decode(errors="replace") or known.run_id(index)
            slot = f"{stage.name}/{place}" if place else stage.name
            error = (self._errors.get(slot) or self._errors.get(run_id, "")) if state == "failed" else ""
            yield Row(stage.name, place, state, run_id, int(known.attempts[index]), error)

    def _read_errors(self) -> None:
        """Read why runs have failed, in one go."""
        missing = set()
        for name, mine in self._stages.items():
            run = self._memory.stages[name].run[mine.state == _FAILED]
            missing |= {one.decode() for one in np.unique(run).tolist()} - self._errors.keys() - {""}
        if missing:
            for run in self.ledger.newest(self.pipeline.name):
                if run.id in missing:
                    self._errors[run.id] = one_line(next(iter(run.error.strip().splitlines()), ""))


def _empty(pipeline: Pipeline, stage: Stage) -> _Stage:
    shape = matrix.shape(pipeline, stage)
    return _Stage(
        state=np.zeros(shape, np.uint8),
        done=np.zeros(shape, bool),
        key=np.zeros(shape, "V32"),
        run=np.zeros(shape, "S16"),
        moved=np.zeros(shape, bool),
        decided=np.zeros(shape, bool),
        may_run=np.zeros(shape, bool),
        stuck=np.zeros(shape, bool),
    )


def _named(bins: Any) -> dict[str, int]:
    return {name: int(count) for name, count in zip(STATES, bins, strict=True) if count}
