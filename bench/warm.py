"""What a run costs beyond its notebook's own work, cold and warm: `python bench/warm.py [--runs 12]`.

Two notebooks that do next to nothing, one of which imports what most notebooks import: their whole
time is overhead, of ledger, folders, kernel, papermill, imports and publishing. From `perform`'s
begin to its end, with papermill imported before; medians.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import psutil
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from geolab import jobs, settings
from geolab.jobs import warm, worker

CELLS = {
    "small": ["print(n)", "x = n + 1", "from geolab import jobs\njobs.report(x=x)"],
    "imports": [
        "import geopandas, numpy, pandas, rasterio, torch, xarray\nfrom geolab import catalog, figures, jobs",
        "x = n + 1",
        "jobs.report(x=x)",
    ],
}


def notebook(folder: Path, name: str) -> Path:
    """A notebook of three cells."""
    parameters = new_code_cell("n: int = 1  # any", metadata={"tags": ["parameters"]})
    cells = [new_markdown_cell("# Bench\n\nAlmost nothing."), parameters]
    path = folder / f"{name}.ipynb"
    nbformat.write(new_notebook(cells=cells + [new_code_cell(code) for code in CELLS[name]]), path)
    return path


class Parts:
    """Seconds spent in some functions, by their names. Holds the times of the run in progress."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def watch(self, holder: Any, name: str, label: str) -> None:
        """Add up the time of every call of this function from now on."""
        original: Callable[..., Any] = getattr(holder, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.adding(label):
                return original(*args, **kwargs)

        async def timed_async(*args: Any, **kwargs: Any) -> Any:
            with self.adding(label):
                return await original(*args, **kwargs)

        setattr(holder, name, timed_async if inspect.iscoroutinefunction(original) else timed)

    @contextmanager
    def adding(self, label: str) -> Iterator[None]:
        """Add the time of a block."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[label] = self.seconds.get(label, 0.0) + time.perf_counter() - began


def watched() -> Parts:
    """The parts of a run: papermill's, the kernel's and geolab's own."""
    parts = Parts()
    kernels = importlib.import_module("geolab.jobs.kernels")
    execute = importlib.import_module("geolab.jobs.execute")
    outputs = importlib.import_module("geolab.jobs.outputs")
    engines = importlib.import_module("papermill.engines")
    parts.watch(execute, "execute", "executing")
    parts.watch(kernels.OwnProvisioner, "launch_kernel", "kernel forked and listening, or started")
    parts.watch(kernels.OwnClient, "wait_for_ready", "kernel answers")
    parts.watch(kernels.OwnKernel, "_async_finish_shutdown", "kernel ends")
    parts.watch(engines.NotebookExecutionManager, "save", "notebook saved")
    parts.watch(engines.PapermillNotebookClient, "papermill_execute_cells", "cells (with saving)")
    parts.watch(outputs, "write_report", "report")
    parts.watch(outputs, "announce", "announcing")
    return parts


def measure(name: str, runs: int, template: warm.Template | None, parts: Parts) -> dict[str, float]:
    """Medians of a run's time and its parts, after one run that does not count."""
    taken: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        mine = settings.load(Path(folder, "workspace"))
        path = notebook(Path(folder), name)
        for number in range(runs + 1):
            queued = jobs.enqueue(path, {"n": number}, settings=mine)
            parts.seconds = {}
            with parts.adding("whole"):
                state = worker.perform(queued.run_id, settings=mine, template=template)
            assert state == "succeeded", jobs.show(queued.run_id, settings=mine).error
            taken.append(parts.seconds)
    return {label: statistics.median(one.get(label, 0.0) for one in taken[1:]) for label in taken[-1]}


def bound(template: warm.Template, runs: int) -> float:
    """Seconds until a forked kernel is listening: nothing can be quicker than this."""
    taken = []
    for number in range(runs + 1):
        with tempfile.TemporaryDirectory() as folder, Path(folder, "log").open("w") as log:
            variables = {**os.environ, **warm.CONSTANT, "IPYTHONDIR": folder, "JUPYTER_RUNTIME_DIR": folder}
            argv = [*warm.OWN, "-f", f"{folder}/kernel-{number}.json"]
            began = time.perf_counter()
            kernel = template.fork(argv, variables, folder, log.fileno())
            taken.append(time.perf_counter() - began)
            kernel.kill()
            kernel.wait(10)
    return statistics.median(taken[1:])


def memory(template: warm.Template) -> tuple[float, float]:
    """Megabytes that the template holds, and those with what it shares counted by half or less."""
    assert template.pid is not None
    process = psutil.Process(template.pid)
    return process.memory_info().rss / 1e6, process.memory_full_info().pss / 1e6


def of_idle_kernel(template: warm.Template) -> tuple[float, float]:
    """Megabytes that an idle forked kernel holds, and those of its own that it does not share."""
    with tempfile.TemporaryDirectory() as folder, Path(folder, "log").open("w") as log:
        variables = {**os.environ, **warm.CONSTANT, "IPYTHONDIR": folder, "JUPYTER_RUNTIME_DIR": folder}
        kernel = template.fork([*warm.OWN, "-f", f"{folder}/k.json"], variables, folder, log.fileno())
        full = psutil.Process(kernel.pid).memory_full_info()
        kernel.kill()
        kernel.wait(10)
    return full.rss / 1e6, full.uss / 1e6


def show(title: str, medians: dict[str, float]) -> None:
    """One table."""
    print(f"\n{title}")
    for label, seconds in medians.items():
        print(f"  {label:42} {seconds * 1000:8.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=12)
    runs = parser.parse_args().runs
    began = time.perf_counter()
    importlib.import_module("geolab.jobs.execute")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}")
    print(f"papermill imported, once per worker: {time.perf_counter() - began:.2f} s")
    parts = watched()
    for name in CELLS:
        show(f"cold, notebook {name}", measure(name, max(runs // 3, 2), None, parts))
    with warm.start(settings.load("/nonexistent")) as template:
        began = time.perf_counter()
        bound(template, 1)
        print(f"\ntemplate ready after {time.perf_counter() - began:.1f} s, once per worker")
        for name in CELLS:
            show(f"warm, notebook {name}", measure(name, runs, template, parts))
        print(f"\nbound: forked and listening {bound(template, runs) * 1000:.0f} ms")
        rss, pss = memory(template)
        held, own = of_idle_kernel(template)
        print(f"memory: template {rss:.0f} MB (PSS {pss:.0f}),", end=" ")
        print(f"an idle kernel {held:.0f} MB, {own:.0f} of them its own")


if __name__ == "__main__":
    main()
