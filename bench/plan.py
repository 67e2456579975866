"""Planning of 10,000 and 100,000 runs: seconds, and memory in the same process.

python bench/plan.py [--small 10000] [--large 100000]

The pipeline has the shape of the yearly one: acquire for each cell and year, change between years,
a summary for each cell; its notebooks are geolab-sized. Bounds: 30 s for the larger plan, and a growth
of memory of at most 300 bytes for each run, which is what is held of it.

planned      the file read and checked, every node put into its state, nothing done yet
rows         all rows told, as JSON
finished     the same plan when every run is finished: ledger and reports read, every key computed
again        a further look of the same board, as a driver or `status --watch` takes each second
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import psutil
from nbformat.v4 import new_code_cell, new_notebook

from geolab import settings as settings_module
from geolab.jobs import ids
from geolab.jobs.ledger import open_ledger
from geolab.jobs.record import Record
from geolab.pipeline import resolve, spec, watch
from geolab.pipeline.board import Board
from geolab.pipeline.model import Pipeline
from geolab.settings import Settings

YEARS = 10
FILE = """
name: bench
parameters: {cells: 10, years: 2015-2024}
axes:
  cell: {table: cells.csv, column: id}
  year: {years: "${years}"}
stages:
  acquire:
    notebook: acquire.ipynb
    each: [cell, year]
    parameters: {cell: "${cell}", year: "${year}", grid: cells.csv}
  change:
    notebook: change.ipynb
    each: [cell, year]
    needs: {before: "acquire[cell, year-1]", after: "acquire[cell, year]"}
    parameters: {before: "${before.composite}", after: "${after.composite}"}
  summary:
    notebook: summary.ipynb
    each: [cell]
    needs: {changes: "change[cell, *]"}
    parameters: {masks: "${changes.mask}"}
"""


@dataclass(frozen=True)
class Measured:
    what: str
    seconds: float
    cpu_s: float
    grown_mb: float


def rss_mb() -> float:
    gc.collect()
    return psutil.Process().memory_info().rss / 1e6


@contextmanager
def measured(what: str, into: list[Measured]) -> Iterator[None]:
    before, began, cpu = rss_mb(), time.perf_counter(), time.process_time()
    yield
    seconds, used = time.perf_counter() - began, time.process_time() - cpu
    into.append(Measured(what, seconds, used, rss_mb() - before))


def notebook(path: Path, parameters: str) -> None:
    """A notebook with about as much code as geolab's own."""
    body = [new_code_cell(f"value_{n} = [{n}]  # what this cell is for\n" * 8) for n in range(12)]
    cells = [new_code_cell(parameters, metadata={"tags": ["parameters"]}), *body]
    nbformat.write(new_notebook(cells=cells), path)


def world(folder: Path, runs: int) -> Settings:
    """A folder with a pipeline of so many runs: 20 for each cell."""
    folder.mkdir()
    cells = runs // (2 * YEARS)
    (folder / "cells.csv").write_text("id\n" + "".join(f"32U-{n:06}-5400000\n" for n in range(cells)))
    notebook(
        folder / "acquire.ipynb",
        'cell: str = ""  # id\nyear: int = 2020  # {1984..2100}\ngrid: str = ""  # {source}',
    )
    notebook(folder / "change.ipynb", 'before: str = ""  # image\nafter: str = ""  # image')
    notebook(folder / "summary.ipynb", "masks: list = []  # images")
    (folder / "bench.yaml").write_text(FILE)
    return settings_module.load(folder / "workspace", environ={})


def plan(folder: Path, settings: Settings) -> tuple[Pipeline, Board]:
    pipeline = spec.load(folder / "bench.yaml", {}, settings)
    board = Board(pipeline, settings, open_ledger(settings))
    board.refresh()
    return pipeline, board


def tell(board: Board) -> int:
    """How many characters all rows take as JSON, told one by one."""
    return sum(len(json.dumps(vars(row))) for row in board.rows())


def finish(pipeline: Pipeline, settings: Settings) -> None:
    """Publish every run, stage after stage, and write all into the ledger in one transaction."""
    ledger = open_ledger(settings)
    for stage in pipeline.stages:
        board = Board(pipeline, settings, ledger)
        board.refresh()
        done = []
        for node in board.ready():
            assert node.stage.name == stage
            resolved = board.resolve(node)
            key, name = resolve.key(node, resolved, settings), node.stage.notebook.stem
            folder = settings.runs / name / key[:16]
            folder.mkdir(parents=True)
            run = Record(ids.new(), name, key, resolved.values, pipeline="bench", slot=node.slot)
            results = {"composite": str(folder / "c.tif"), "mask": str(folder / "m.tif"), "clear_pct": 71.5}
            report = {"run_id": run.id, "key": key, "results": results, "parameters": resolved.values}
            (folder / "report.json").write_text(json.dumps(report, indent=1))
            done.append(run)
        record(ledger, settings, done)


def record(ledger: Any, settings: Settings, runs: list[Record]) -> None:
    """Put finished runs into the ledger's file: the first as a ledger does, the others copied from it."""
    ledger.put(_ended(runs[0]))
    with sqlite3.connect(settings.ledger_path) as db:
        db.row_factory = sqlite3.Row
        like = dict(db.execute("SELECT * FROM runs WHERE id = ?", (runs[0].id,)).fetchone())
        names = ", ".join(like)
        query = f"INSERT INTO runs ({names}) VALUES ({', '.join(':' + name for name in like)})"
        number = like.get("number", 0)
        db.executemany(query, (_row(like, run, number + i) for i, run in enumerate(runs[1:], 1)))
    db.close()


def _ended(run: Record) -> Record:
    return Record(
        **{**vars(run), "state": "succeeded", "started": 1.0, "finished": 2.0, "folder": run.key[:16]}
    )


def _row(like: dict[str, Any], run: Record, number: int) -> dict[str, Any]:
    facts = {"id": run.id, "key": run.key, "slot": run.slot, "notebook": run.notebook}
    return (
        like
        | facts
        | {"parameters": json.dumps(run.parameters)}
        | ({"number": number} if "number" in like else {})
    )


def bench(folder: Path, runs: int) -> tuple[list[Measured], int]:
    found: list[Measured] = []
    settings = world(folder, runs)
    with measured("planned", found):
        pipeline, board = plan(folder, settings)
    assert pipeline.count == runs
    with measured("rows", found):
        tell(board)
    del board
    finish(pipeline, settings)
    resolve._sound.cache_clear()
    with measured("finished", found):
        pipeline, board = plan(folder, settings)
    assert board.counts() == {"succeeded": runs}, board.counts()
    with measured("again", found):
        board.refresh()
    with measured("figures", found):
        watch.figures(pipeline, settings, board)
    return found, runs


def main(ask: Callable[[], argparse.Namespace]) -> None:
    args = ask()
    with tempfile.TemporaryDirectory(prefix="bench-plan-") as folder:
        small, few = bench(Path(folder, "small"), args.small)
        large, many = bench(Path(folder, "large"), args.large)
        tell_all(small, few, large, many)


def tell_all(small: list[Measured], few: int, large: list[Measured], many: int) -> None:
    print(f"{'':10}{f'{few:,} runs':>32}   {f'{many:,} runs':>32}")
    print(
        f"{'':10}{'wall':>10}{'processor':>11}{'memory':>11}   "
        f"{'wall':>10}{'processor':>11}{'memory':>11}   {'bytes a run':>12}"
    )
    for one, other in zip(small, large, strict=True):
        each = (other.grown_mb - one.grown_mb) * 1e6 / (many - few)
        left, right = (f"{m.seconds:8.2f} s {m.cpu_s:8.2f} s {m.grown_mb:+7.1f} MB" for m in (one, other))
        print(f"{one.what:10}{left:>32}   {right:>32}   {each:12.0f}")
    slowest = max(m.seconds for m in large if m.what in ("planned", "finished"))
    used = max(m.cpu_s for m in large if m.what in ("planned", "finished"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"slowest plan: {slowest:.1f} s of 30 s, {used:.1f} s of processor; peak {peak:.0f} MB")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--large", type=int, default=100_000)
    return parser.parse_args()


if __name__ == "__main__":
    main(_arguments)
