"""What many small notebooks cost: `python bench/jobs.py [--notebooks 48] [--work-s 0.5] [--workers 2]`.

The same notebooks, each busy for a while and importing geolab, run three ways: by papermill one after
another, by `geolab pipeline run` with new kernels, and with kernels forked from warm templates. The
ideal is the work alone, shared evenly by the cores. Then, unless --only: what one run costs beyond its
work (bench/warm.py), how fast the ledger is (bench/ledger.py), and how long 100,000 runs take to plan
(bench/plan.py).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

BENCH = Path(__file__).parent


def notebook(path: Path, work_s: float) -> Path:
    """A notebook that keeps one core busy for a while and reports a number."""
    cells = [
        new_markdown_cell("# Busy\n\nCounts for a while."),
        new_code_cell(
            f"n: int = 0  # which\nwork_s: float = {work_s}  # how long", metadata={"tags": ["parameters"]}
        ),
        new_code_cell("import time\nfrom geolab import jobs\nrun = jobs.context()"),
        new_code_cell("end = time.process_time() + work_s\nwhile time.process_time() < end:\n    pass"),
        new_code_cell("jobs.report(n=n)"),
    ]
    nbformat.write(new_notebook(cells=cells), path)
    return path


def pipeline(folder: Path, count: int, work_s: float) -> Path:
    """A pipeline of as many runs of that notebook."""
    notebook(folder / "busy.ipynb", work_s)
    file = folder / "busy.yaml"
    file.write_text(f"""\
name: busy
axes:
  n: {list(range(count))}
stages:
  busy:
    notebook: ./busy.ipynb
    each: [n]
    parameters: {{n: "${{n}}"}}
""")
    return file


def environment(home: Path, *, warm: bool) -> dict[str, str]:
    """The variables of processes of a workspace."""
    return os.environ | {"GEOLAB_HOME": str(home), "GEOLAB_WARM": str(int(warm))}


_PAPERMILL = """
import logging, sys, papermill
logging.getLogger("papermill").setLevel(logging.ERROR)
source, count = sys.argv[1], int(sys.argv[2])
how = {"kernel_name": "python3", "language": "python", "progress_bar": False}
for n in range(count):
    papermill.execute_notebook(source, f"{source}.{n}.out", {"n": n}, **how)
"""


def papermill(folder: Path, count: int) -> float:
    """Seconds that papermill takes for all of them in one process, one after another."""
    command = [sys.executable, "-W", "ignore", "-c", _PAPERMILL, str(folder / "busy.ipynb"), str(count)]
    return _seconds(command, environment(folder / "papermill", warm=False))


def geolab(file: Path, workers: int, *, warm: bool) -> float:
    """Seconds from the command to its end."""
    home = file.parent / ("warm" if warm else "cold")
    command = [sys.executable, "-m", "geolab", "pipeline", "run", str(file), "--workers", str(workers)]
    return _seconds(command, environment(home, warm=warm))


def _seconds(command: list[str], environ: dict[str, str]) -> float:
    began = time.monotonic()
    done = subprocess.run(command, env=environ, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{command[:4]} ended with {done.returncode}:\n{done.stderr}")
    return time.monotonic() - began


def compare(count: int, work_s: float, workers: int) -> None:
    """Print the wall times side by side."""
    cores = len(os.sched_getaffinity(0))
    ideal = count * work_s / min(workers, cores)
    print(f"{count} notebooks of {work_s:g} s, {workers} workers, {cores} cores; ideal {ideal:.1f} s")
    with tempfile.TemporaryDirectory(prefix="geolab-bench-") as name:
        folder = Path(name)
        file = pipeline(folder, count, work_s)
        for what, seconds in (
            ("papermill, one after another", lambda: papermill(folder, count)),
            ("pipeline run, new kernels", lambda: geolab(file, workers, warm=False)),
            ("pipeline run, warm kernels", lambda: geolab(file, workers, warm=True)),
        ):
            took = seconds()
            print(f"  {what:30} {took:7.1f} s   {took / ideal:4.1f} x ideal", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--notebooks", type=int, default=48)
    parser.add_argument("--work-s", type=float, default=0.5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", action="store_true", help="leave out the other benchmarks")
    args = parser.parse_args()
    compare(args.notebooks, args.work_s, args.workers)
    for name in () if args.only else ("warm.py", "ledger.py", "plan.py"):
        print(f"\n{name}", flush=True)
        subprocess.run([sys.executable, str(BENCH / name)], check=True)


if __name__ == "__main__":
    main()
