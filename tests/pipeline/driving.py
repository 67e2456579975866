"""Small pipelines that are quick to run, drivers as real processes, and what became of them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import psutil
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from geolab.jobs.ledger import open_ledger
from geolab.settings import Settings

NAME = "small"
GEOLAB = [sys.executable, "-m", "geolab"]

# what each notebook does: work for a while in small steps, then write bytes that follow from its input
_WORK = "import hashlib, pathlib, time\nfrom geolab import jobs, store\nrun = jobs.context()"
_SLOW = (
    "for step in range(round(work_s / 0.05)):\n    time.sleep(0.05)\n    run.progress(step, work_s / 0.05)"
)
_DRAW = """\
if pathlib.Path(bad).is_file():
    raise ValueError(f"the scene of {cell} in {year} is corrupt")
out = run.path("scene.bin")
out.write_bytes(hashlib.sha256(f"{cell} {year}".encode()).digest() * 1000)"""
_COMPARE = """\
scenes = [store.local_path(one).read_bytes() for one in (before, after)]
out = run.path("change.bin")
out.write_bytes(bytes(a ^ b for a, b in zip(*scenes)))"""
_SUM = """\
out = run.path("sum.txt")
sums = [hashlib.sha256(store.local_path(one).read_bytes()).hexdigest() for one in changes]
out.write_text("\\n".join(sums))"""


def notebook(path: Path, parameters: str, *code: str) -> Path:
    """A notebook with these cells."""
    cells = [
        new_markdown_cell(f"# {path.stem}\n\nA test."),
        new_code_cell(parameters, metadata={"tags": ["parameters"]}),
    ]
    nbformat.write(new_notebook(cells=cells + [new_code_cell(one) for one in code]), path)
    return path


def small(
    folder: Path, *, cells: int = 3, years: str = "2021-2023", work_s: float = 0.3, more: str = ""
) -> Path:
    """A pipeline of three stages: a scene for each cell and year, changes between years, a sum per cell.

    A file `bad/<cell>-<year>` in its folder makes that scene fail. more: further lines of the draw stage.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bad").mkdir(exist_ok=True)
    work = f"work_s: float = {work_s}  # how long"
    notebook(
        folder / "draw.ipynb",
        f'cell: str = "a"  # which\nyear: int = 2021  # when\nbad: str = ""  # a file that spoils it\n{work}',
        *(_WORK, _SLOW, _DRAW, "jobs.report(scene=out)"),
    )
    notebook(
        folder / "compare.ipynb",
        f'before: str = ""  # scene\nafter: str = ""  # scene\n{work}',
        *(_WORK, _SLOW, _COMPARE, "jobs.report(change=out)"),
    )
    notebook(
        folder / "total.ipynb",
        f"changes: list = []  # files\n{work}",
        *(_WORK, _SLOW, _SUM, "jobs.report(total=out)"),
    )
    file = folder / "small.yaml"
    file.write_text(f"""\
name: {NAME}
parameters: {{years: {years}, bad: {folder}/bad}}
axes:
  cell: [{", ".join(f"c{n:02d}" for n in range(1, cells + 1))}]
  year: {{years: "${{years}}"}}
stages:
  draw:
    notebook: ./draw.ipynb
    each: [cell, year]
    parameters: {{cell: "${{cell}}", year: "${{year}}", bad: "${{bad}}/${{cell}}-${{year}}"}}
{more}
  compare:
    notebook: ./compare.ipynb
    each: [cell, year]
    needs: {{before: "draw[cell, year-1]", after: "draw[cell, year]"}}
    parameters: {{before: "${{before.scene}}", after: "${{after.scene}}"}}
  total:
    notebook: ./total.ipynb
    each: [cell]
    needs: {{changes: "compare[cell, *]"}}
    parameters: {{changes: "${{changes.change}}"}}
""")
    return file


# ---------------------------------------------------------------- processes


def start(*arguments: object, home: Path | None = None, **more: Any) -> subprocess.Popen[str]:
    """`geolab` with these arguments, running."""
    environment = os.environ | ({"GEOLAB_HOME": str(home)} if home else {})
    command = [*GEOLAB, *map(str, arguments)]
    return subprocess.Popen(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more
    )


def geolab(
    *arguments: object, home: Path | None = None, code: int | None = 0
) -> subprocess.CompletedProcess[str]:
    """`geolab` with these arguments, ended with this exit code (None: any)."""
    process = start(*arguments, home=home)
    out, err = process.communicate(timeout=400)
    assert code is None or process.returncode == code, (process.returncode, out[-3000:], err[-3000:])
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def of_workspace(home: Path) -> list[psutil.Process]:
    """The living processes, other than this one, whose workspace is this folder."""
    found = []
    for process in psutil.process_iter():
        try:
            ours = process.environ().get("GEOLAB_HOME") == str(home)
            if ours and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def kind(process: psutil.Process) -> str:
    """What a process of geolab is: driver, worker, kernel, or other."""
    try:
        command, environment = " ".join(process.cmdline()), process.environ()
    except (psutil.Error, OSError):
        return "gone"
    if "GEOLAB_RUN" in environment and "poolworker" not in command:
        return "kernel"
    if "poolworker" in command:
        return "worker"
    return "driver" if "pipeline run" in command else "other"


def until(true: Callable[[], Any], seconds: float = 60) -> Any:
    """What `true` gives as soon as that is true."""
    end = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.05)
    return value


# ---------------------------------------------------------------- what became of it


def products(settings: Settings, name: str = NAME) -> dict[str, dict[str, str]]:
    """The SHA-256 of every file that each node left, by slot; without what tells times."""
    own = {"report.json", "notebook.ipynb", "log.txt", "log.jsonl", "events.jsonl"}
    found = {}
    for run in open_ledger(settings).newest(name):
        if run.state == "succeeded":
            files = [p for p in Path(run.folder).rglob("*") if p.is_file() and p.name not in own]
            found[run.slot] = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
    return found


def states(settings: Settings, name: str = NAME) -> dict[str, str]:
    """The state of the newest run of every slot."""
    return {run.slot: run.state for run in open_ledger(settings).newest(name)}


def successes(settings: Settings, name: str = NAME) -> Counter[str]:
    """How often each slot succeeded."""
    return Counter(slot for slot, _, state, *_ in open_ledger(settings).history(name) if state == "succeeded")


def assert_true(settings: Settings, name: str = NAME) -> None:
    """The ledger tells the truth of what lies in the folders, and nothing else lies there."""
    ledger = open_ledger(settings)
    assert ledger.runs(states=("queued", "running"), pipeline=name) == []
    for run in ledger.runs(states=("succeeded",), pipeline=name):
        report = json.loads(Path(run.folder, "report.json").read_bytes())
        assert (report["run_id"], report["key"]) == (run.id, run.key)
    private = settings.runs / ".private"
    assert not private.is_dir() or list(private.iterdir()) == []
