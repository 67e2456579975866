"""Executing a notebook as a worker does, with a template and without."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from geolab import settings
from geolab.jobs import environment
from geolab.jobs.execute import execute
from geolab.jobs.failure import Place
from geolab.jobs.warm import Template


@dataclass(frozen=True)
class Executed:
    """What became of a notebook."""

    folder: Path
    error: str
    start: str  # "warm", or "cold: " and why
    seconds: float

    def outputs(self) -> list[str]:
        """What its cells showed; the folder's name is replaced."""
        notebook = json.loads((self.folder / "notebook.ipynb").read_text())
        shown = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
        texts = ["".join(o["text"]) if "text" in o else json.dumps(o.get("data")) for o in shown]
        return "".join(texts).replace(self.folder.name, "FOLDER").splitlines()

    def files(self) -> dict[str, bytes]:
        """What it wrote, by name."""
        ours = {"notebook.ipynb", "source.ipynb", "events.jsonl", "log.txt"}
        found = [path for path in self.folder.rglob("*") if path.is_file() and path.name not in ours]
        name, variable = self.folder.name.encode(), re.compile(rb"JPY_PARENT_PID=\d+")
        return {
            str(path.relative_to(self.folder)): variable.sub(b"", path.read_bytes().replace(name, b"FOLDER"))
            for path in found
        }


def execute_cells(template: Template | None, *code: str, extra: dict[str, str] | None = None) -> Executed:
    """Code cells, executed in a folder of their own that is in use until the process ends.

    extra: variables beside those of every kernel.
    """
    folder = Path(tempfile.mkdtemp(prefix="geolab-warm-"))
    cells = [new_code_cell("n: int = 1", metadata={"tags": ["parameters"]}), *map(new_code_cell, code)]
    nbformat.write(new_notebook(cells=cells), folder / "source.ipynb")
    began = time.monotonic()
    with _inside(folder, extra or {}), (folder / "log.txt").open("w") as log:
        error = execute(
            *("source.ipynb", "notebook.ipynb", {"n": 2}),
            log=log, place=Place(), on_cell=lambda _: None, template=template,
        )  # fmt: skip
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    start = next(event["start"] for event in events if event["event"] == "kernel")
    return Executed(folder, error, start, time.monotonic() - began)


@contextmanager
def _inside(folder: Path, extra: dict[str, str]) -> Iterator[None]:
    name = folder.name  # the runtime folder is found by it
    runtime = Path(tempfile.gettempdir(), f"geolab-{name}")
    runtime.mkdir()
    before = Path.cwd()
    os.chdir(folder)
    try:
        variables = environment.of_kernel(settings.load("/nonexistent"), folder, name)
        with environment.replaced(variables | extra):
            yield
    finally:
        os.chdir(before)
        shutil.rmtree(runtime, ignore_errors=True)
