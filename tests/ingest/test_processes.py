"""Many processes at once, and processes killed at any moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from geolab import settings
from geolab.ingest.staging import staging

from .conftest import everything, run, write_photo, write_raster

PROGRAM = """
import sys
from geolab import ingest, settings
for outcome in ingest.ingest(sys.argv[1], collection="c", settings=settings.load()):
    print(outcome.status, outcome.id, flush=True)
"""


@pytest.fixture
def folder(tmp_path) -> Path:
    """24 files, some with the same content under several names and dates."""
    root = tmp_path / "in"
    wave = np.add.outer(np.arange(900) // 5, np.arange(1300) // 7).astype(np.uint8)
    for n in range(6):
        write_raster(root / f"r{n}.tif", data=(wave + n)[None], compress="lzw")
        (root / f"{'az'[n % 2]}-2020010{n + 1}.tif").write_bytes((root / f"r{n}.tif").read_bytes())
        write_photo(root / f"p{n}.jpg", n)
        write_photo(root / "sub" / f"q{n}.jpg", n)
    for n, path in enumerate(sorted(root.rglob("*.*"))):
        os.utime(path, (1_600_000_000 + n, 1_600_000_000 + n))
    return root


def start(folder: Path, home: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder)],
        env=os.environ | {"GEOLAB_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def content(home: Path) -> tuple[dict, dict]:
    """The catalogue and the store of a workspace, with neutral addresses."""
    found = everything(settings.load(home))
    items = {key: text.replace(home.as_uri(), "") for key, text in found["items"].items()}
    data = home / "data"
    files = {str(p.relative_to(data)): p.read_bytes() for p in data.rglob("*") if p.is_file()}
    return items | {"collections": found["collections"]}, files


@pytest.fixture
def alone(folder, tmp_path) -> tuple[dict, dict]:
    """What one ingest with one worker makes."""
    home = tmp_path / "alone"
    run(settings.load(home), folder, workers=1)
    return content(home)


@pytest.mark.slow
def test_eight_ingests_at_once_give_the_catalogue_of_one(folder, alone, tmp_path):
    home = tmp_path / "eight"
    running = [start(folder, home) for _ in range(8)]
    outputs = [process.communicate(timeout=300) for process in running]
    assert [p.returncode for p in running] == [0] * 8, outputs
    lines = [line for out, _ in outputs for line in out.splitlines()]
    assert len(lines) == 8 * 24
    assert not [line for line in lines if line.startswith("rejected")]
    assert sum(line.startswith("added") for line in lines) == 12  # each item once, whoever was first
    assert content(home) == alone


@pytest.mark.slow
def test_after_a_kill_at_any_moment_nothing_is_half_done_and_a_repetition_completes(folder, alone, tmp_path):
    home = tmp_path / "killed"
    items, files = alone
    rng = np.random.default_rng(0)
    done = 0
    for _ in range(5):
        process = start(folder, home)
        assert process.stdout is not None
        line = process.stdout.readline()  # from the first outcome on
        time.sleep(rng.uniform(0, 0.4))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
        assert line
        partial, kept = content(home)
        visible = {name: data for name, data in kept.items() if not name.startswith(".tmp-")}
        assert visible.items() <= files.items()
        assert set(partial) <= set(items)
        done += len(partial)
    assert done > 5
    process = start(folder, home)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert content(home) == alone
    assert not list((home / "data").glob(".*"))


def test_staging_folders_of_dead_processes_are_removed_those_of_living_ones_stay(tmp_path):
    data = tmp_path.as_uri()
    hold = "import sys,time\nfrom geolab.ingest.staging import staging\n"
    hold += "with staging(sys.argv[1]) as folder:\n    print(folder, flush=True)\n    time.sleep(100)"
    living, dead = (
        subprocess.Popen([sys.executable, "-c", hold, data], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    )
    try:
        folders = [Path(p.stdout.readline().strip()) for p in (living, dead)]
        dead.kill()
        dead.communicate()
        with staging(data) as ours:
            assert ours.is_dir()
            assert [f.is_dir() for f in folders] == [True, False]
    finally:
        living.kill()
        living.communicate()


def test_importing_ingest_loads_no_learning_library():
    code = (
        "import sys, geolab.ingest; print([m for m in ('torch', 'mlflow', 'matplotlib') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
