"""Reports of a pipeline: every run with its times, its use of the machine, its notebook and its error.

The page is one file that asks nothing of any server; the table and the document are for machines.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from geolab import store
from geolab.errors import BadInput, NotFound, one_line
from geolab.jobs import folders
from geolab.jobs.ledger import Ledger
from geolab.jobs.outputs import when
from geolab.jobs.record import Record
from geolab.pipeline import page, watch
from geolab.pipeline.board import Board
from geolab.pipeline.model import Pipeline
from geolab.settings import Settings

KINDS = (".html", ".csv", ".json")
_USAGE = ("cpu_s", "cpu_pct", "memory_mb_peak", "gpu_pct")


@dataclass(frozen=True)
class Entry:
    """One node with its newest run. Times are RFC 3339 in UTC; notebook: the executed one, if it is there."""

    stage: str
    cell: str
    state: str
    run_id: str
    attempts: int
    created: str = ""
    started: str = ""
    finished: str = ""
    seconds: float | None = None
    cpu_s: float | None = None
    cpu_pct: float | None = None
    memory_mb_peak: float | None = None
    gpu_pct: float | None = None
    host: str = ""
    notebook: str = ""
    cause: str = ""
    error: str = ""


def check_name(out: Path) -> None:
    """Raise BadInput for a file whose name says none of the kinds there are, or whose folder is absent."""
    if out.suffix.lower() not in KINDS:
        raise BadInput("--out", found=out.name, expected="a name that ends in .html, .csv or .json")
    if not out.absolute().parent.is_dir():
        raise NotFound("folder", str(out.absolute().parent), remedy="make it first")


def write(out: Path, pipeline: Pipeline, settings: Settings) -> None:
    """Write the report of now; its kind is that of the file's name."""
    check_name(out)
    text = text_of(out.suffix.lower(), pipeline, settings, folder=out.absolute().parent)
    store.write_bytes(out.absolute(), text.encode("utf-8", "replace"))


def text_of(kind: str, pipeline: Pipeline, settings: Settings, *, folder: Path | None = None) -> str:
    """The report of now. kind: one of KINDS; folder: where a page will lie, for its links to notebooks."""
    board = watch.board_of_now(pipeline, settings)
    each = entries(board)
    if kind == ".csv":
        return as_csv(each)
    if kind == ".json":
        return as_json(pipeline, board, each)
    figures = watch.figures(pipeline, settings, board)
    return page.page(
        pipeline, figures, list(each), folder=folder or settings.home.absolute(), now=datetime.now(UTC)
    )


def entries(board: Board) -> Iterator[Entry]:
    """All nodes, in the order of stages and axes."""
    known = {run.id: run for run in board.ledger.newest(board.pipeline.name)}
    for row in board.rows():
        run = known.get(row.run_id) or _other(board.ledger, row.run_id)
        plain = Entry(row.stage, row.cell, row.state, row.run_id, row.attempts, error=row.error)
        yield plain if run is None else _of(board.settings, plain, run)


def _other(ledger: Ledger, run_id: str) -> Record | None:
    """A run that did this work under another name."""
    try:
        return ledger.get(run_id) if run_id else None
    except (NotFound, BadInput):
        return None


def _of(settings: Settings, plain: Entry, run: Record) -> Entry:
    folder = Path(run.folder) if run.folder else folders.private(settings, run.id)
    notebook = folder / folders.NOTEBOOK
    ended = run.finished is not None and run.started is not None
    facts = {
        "created": when(run.created) or "",
        "started": when(run.started) or "",
        "finished": when(run.finished) or "",
        "seconds": round(max((run.finished or 0) - (run.started or 0), 0), 3) if ended else None,
        "host": run.owner.name,
        "notebook": str(notebook) if notebook.is_file() else "",
        "cause": run.cause,
        "error": run.error.strip() or plain.error if plain.state == "failed" else "",
        **_usage(folder),
    }
    return Entry(**{**vars(plain), **facts})


def _usage(folder: Path) -> dict[str, float]:
    """What a run took, by its report or its last events; nothing where neither is sound."""
    try:
        report = folders.read_report(folder) or {}
    except (OSError, ValueError, RecursionError):
        return {}
    used = report.get("usage")
    if not isinstance(used, dict):
        return {}
    return {name: used[name] for name in _USAGE if type(used.get(name)) in (int, float)}


# ---------------------------------------------------------------- for machines


def as_csv(each: Iterator[Entry]) -> str:
    """One line a node. A text that a spreadsheet would take for a formula begins with an apostrophe."""
    text = io.StringIO()
    table = csv.DictWriter(text, [field.name for field in fields(Entry)])
    table.writeheader()
    for entry in each:
        table.writerow({name: _harmless(value) for name, value in asdict(entry).items()})
    return text.getvalue()


def _harmless(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    flat = one_line(value, 2000)
    return f"'{flat}" if flat.startswith(("=", "+", "-", "@", "\t")) else flat


def as_json(pipeline: Pipeline, board: Board, each: Iterator[Entry]) -> str:
    """The whole as one document."""
    document = {
        "name": pipeline.name,
        "file": os.fspath(pipeline.path),
        "parameters": dict(pipeline.parameters),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "counts": board.counts(),
        "executions": board.executions,
        "rows": [{name: v for name, v in asdict(one).items() if v not in (None, "")} for one in each],
    }
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
