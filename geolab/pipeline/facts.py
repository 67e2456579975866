"""What the ledger tells of the runs of a pipeline, in a few bytes a node."""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geolab.jobs.ledger import Ledger
from geolab.jobs.record import ACTIVE
from geolab.pipeline import matrix
from geolab.pipeline.model import Index, Pipeline, Stage
from geolab.pipeline.nodes import locate

# of the newest run of a node; an interruption is a run that ended through no fault of its own
NONE, QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELLED, INTERRUPTED = range(7)
_CODES = {
    "queued": QUEUED,
    "running": RUNNING,
    "succeeded": SUCCEEDED,
    "failed": FAILED,
    "cancelled": CANCELLED,
    "lost": INTERRUPTED,
}
_ID, _KEY = "S16", "V32"

RECENT = 200  # runs that are read at each look


@dataclass
class Facts:
    """Of all nodes of one stage: arrays of its shape."""

    code: NDArray[np.uint8]  # state of the newest run
    run: NDArray[Any]  # its id
    key: NDArray[Any]  # its key
    attempts: NDArray[np.uint32]  # runs that were started, with any key
    failures: NDArray[np.uint16]  # in a row, of that key
    interruptions: NDArray[np.uint16]  # in a row, of that key
    before: NDArray[Any]  # the newest run's id when the board was made
    fresh: NDArray[np.bool_]  # something changed since the board looked

    def run_id(self, index: Index) -> str:
        return bytes(self.run[index]).decode()

    def key_hex(self, index: Index) -> str:
        return bytes(self.key[index]).hex()


def empty(pipeline: Pipeline, stage: Stage) -> Facts:
    """Facts of a stage of which nothing is known."""
    shape = matrix.shape(pipeline, stage)
    return Facts(
        code=np.zeros(shape, np.uint8),
        run=np.zeros(shape, _ID),
        key=np.zeros(shape, _KEY),
        attempts=np.zeros(shape, np.uint32),
        failures=np.zeros(shape, np.uint16),
        interruptions=np.zeros(shape, np.uint16),
        before=np.zeros(shape, _ID),
        fresh=np.zeros(shape, bool),
    )


@dataclass
class Memory:
    """The facts of all stages, kept up with the ledger. active: id -> slot of the runs not done yet."""

    pipeline: Pipeline
    ledger: Ledger
    stages: dict[str, Facts] = field(default_factory=dict)
    active: dict[str, str] = field(default_factory=dict)
    tail: frozenset[str] = frozenset()  # ids of the newest runs that were taken in

    def __post_init__(self) -> None:
        self.stages = {stage.name: empty(self.pipeline, stage) for stage in self.pipeline.stages.values()}

    def read_all(self) -> None:
        """Take in the whole history of the pipeline anew."""
        old = self.stages
        self.stages = {stage.name: empty(self.pipeline, stage) for stage in self.pipeline.stages.values()}
        self.active.clear()
        tail: deque[str] = deque(maxlen=RECENT)
        for slot, key, state, cause, run_id in self.ledger.history(self.pipeline.name):
            self._learn(slot, key, state, cause, run_id, new=True)
            tail.append(run_id)
        self.tail = frozenset(tail)
        for name, facts in self.stages.items():
            facts.before = old[name].before
            facts.fresh[...] = old[name].fresh | (facts.run != old[name].run) | (facts.code != old[name].code)

    def read_changes(self) -> None:
        """Take in the newest runs, what waits or runs now, and the end of what did."""
        recent = self.ledger.runs(pipeline=self.pipeline.name, limit=RECENT)  # newest first
        ids = frozenset(run.id for run in recent)
        if len(recent) == RECENT and not ids & self.tail:
            self.read_all()  # more has happened than these tell
            return
        now = self.ledger.runs(states=ACTIVE, pipeline=self.pipeline.name)
        over = self.active.keys() - ids - {run.id for run in now}
        older = [*now, *(self.ledger.get(run_id) for run_id in sorted(over))]
        for run in [*(run for run in older if run.id not in ids), *reversed(recent)]:
            new = run.id in ids and run.id not in self.tail
            self._learn(run.slot, run.key, run.state, run.cause, run.id, new=new)
        self.tail = ids

    def _learn(self, slot: str, key: str, state: str, cause: str, run_id: str, *, new: bool) -> None:
        """Take in the state of one run. new: it is the newest of its slot, else it may be."""
        if state in ACTIVE:
            self.active[run_id] = slot
        else:
            self.active.pop(run_id, None)
        found = locate(self.pipeline, slot)
        if found is None or state not in _CODES:
            return  # of a matrix that was changed since
        code = _CODES["lost"] if state == "failed" and cause == "kernel died" else _CODES[state]
        _learn(self.stages[found[0].name], found[1], key, code, run_id, new=new)

    def mark(self) -> None:
        """From here on, runs that are newest now count as those from before."""
        for facts in self.stages.values():
            facts.before[...] = facts.run


def _digest(key: str) -> bytes:
    """The 32 bytes of a key; of anything else that stands in its place, some that no key has."""
    try:
        found = bytes.fromhex(key)
    except ValueError:
        found = b""
    return found if len(found) == 32 else hashlib.sha256(key.encode("utf-8", "replace")).digest()


def _learn(facts: Facts, at: Index, key: str, code: int, run_id: str, *, new: bool) -> None:
    known, text = bytes(facts.run[at]), run_id.encode()[:16]
    if (known and text != known and not new) or (text == known and facts.code[at] == code):
        return
    now = np.void(_digest(key))
    started = text == known and facts.code[at] != QUEUED
    if facts.key[at] != now:
        facts.failures[at] = facts.interruptions[at] = 0
    facts.attempts[at] += code != QUEUED and not started
    if code == FAILED:
        facts.failures[at] += 1
    if code == INTERRUPTED:
        facts.interruptions[at] += 1
    elif code not in (QUEUED, RUNNING):
        facts.interruptions[at] = 0
    if code == SUCCEEDED:
        facts.failures[at] = 0
    facts.code[at], facts.run[at], facts.key[at], facts.fresh[at] = code, text, now, True
