"""Tables and rows of a ledger, the same in every back end.

The types are PostgreSQL's; SQLite understands them by their affinity.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from geolab.jobs.ledger.protocol import Control
from geolab.jobs.processes import Owner
from geolab.jobs.record import Record

VERSION = 2

_FIRST = """
    id TEXT PRIMARY KEY, notebook TEXT NOT NULL, key TEXT NOT NULL, parameters TEXT NOT NULL,
    state TEXT NOT NULL, host TEXT NOT NULL, pid INTEGER NOT NULL, pid_started TEXT NOT NULL,
    lease_until DOUBLE PRECISION NOT NULL, attempt INTEGER NOT NULL, cancel INTEGER NOT NULL,
    created DOUBLE PRECISION NOT NULL, started DOUBLE PRECISION, finished DOUBLE PRECISION,
    folder TEXT NOT NULL, error TEXT NOT NULL, force INTEGER NOT NULL, timeout_s DOUBLE PRECISION
"""
ADDED = (  # in version 2
    "priority INTEGER NOT NULL DEFAULT 0",
    "retries INTEGER NOT NULL DEFAULT 0",
    "backoff_s DOUBLE PRECISION NOT NULL DEFAULT 10",
    "not_before DOUBLE PRECISION NOT NULL DEFAULT 0",
    "memory_mb DOUBLE PRECISION",
    "gpu INTEGER NOT NULL DEFAULT 0",
    "pipeline TEXT NOT NULL DEFAULT ''",
    "slot TEXT NOT NULL DEFAULT ''",
    "cause TEXT NOT NULL DEFAULT ''",
)
RUN_COLUMNS = ", ".join([_FIRST, *ADDED])
# The order in which the ledger heard of the runs: ids hold the times of clocks that differ between machines.
NUMBER = "number INTEGER NOT NULL DEFAULT 0"
CONTROL_COLUMNS = """
    name TEXT PRIMARY KEY, state TEXT NOT NULL, file TEXT NOT NULL, parameters TEXT NOT NULL,
    engine TEXT NOT NULL, dashboard TEXT NOT NULL, host TEXT NOT NULL, pid INTEGER NOT NULL,
    pid_started TEXT NOT NULL, beat DOUBLE PRECISION NOT NULL
"""
INDICES_FIRST = (
    "one_active_run_per_key ON runs (key) WHERE state IN ('queued', 'running')",  # UNIQUE
    "runs_by_key ON runs (key)",
)
INDICES_ADDED = (
    # with all that a claim asks for, so that it looks up no row but the one it takes
    "runs_waiting ON runs (priority DESC, number, id, not_before, gpu, cancel, pipeline, state, host)"
    " WHERE state = 'queued' AND host = ''",
    "runs_held ON runs (id) WHERE state IN ('queued', 'running') AND (host <> '' OR cancel = 1)",
    "runs_active ON runs (pipeline, state, number) WHERE state IN ('queued', 'running')",
    "runs_by_number ON runs (number)",
    "runs_of_slot ON runs (pipeline, slot, number) WHERE pipeline <> ''",
    "runs_of_pipeline ON runs (pipeline, number) WHERE pipeline <> ''",
)


def names(columns: str) -> tuple[str, ...]:
    """The names in a list of columns."""
    return tuple(line.split()[0] for line in columns.split(","))


RUN_NAMES, CONTROL_NAMES = names(RUN_COLUMNS), names(CONTROL_COLUMNS)
_RUN_FIELDS = {f.name for f in fields(Record)}
_CONTROL_FIELDS = {f.name for f in fields(Control)}


def row_of(run: Record) -> dict[str, Any]:
    """A run as a row."""
    row = vars(run) | _flat(run.owner)
    row |= {"cancel": int(run.cancel), "force": int(run.force), "error": run.error.replace("\0", "")}
    return row | {"parameters": json.dumps(run.parameters, ensure_ascii=False)}


def record_of(row: Mapping[str, Any]) -> Record:
    """A row as a run."""
    values = {name: row[name] for name in row.keys() if name in _RUN_FIELDS}  # noqa: SIM118 - a Row iterates its values
    values |= {"owner": Owner(row["host"], row["pid"], row["pid_started"])}
    values |= {"parameters": json.loads(row["parameters"])}
    values |= {"cancel": bool(row["cancel"]), "force": bool(row["force"])}
    return Record(**values)


def row_of_control(control: Control) -> dict[str, Any]:
    """What is known of a pipeline as a row."""
    return (
        vars(control)
        | _flat(control.driver)
        | {"parameters": json.dumps(control.parameters, ensure_ascii=False)}
    )


def control_of(row: Mapping[str, Any]) -> Control:
    """A row as what is known of a pipeline."""
    values = {name: row[name] for name in row.keys() if name in _CONTROL_FIELDS}  # noqa: SIM118
    values |= {"driver": Owner(row["host"], row["pid"], row["pid_started"])}
    return Control(**values | {"parameters": json.loads(row["parameters"])})


def _flat(owner: Owner) -> dict[str, Any]:
    return {"host": owner.host, "pid": owner.pid, "pid_started": owner.started}
