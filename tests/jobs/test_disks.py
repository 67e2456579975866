"""Full and read-only disks: one clear line, and a ledger that tells the truth. Real small disks."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from geolab import cli, jobs
from geolab.errors import StorageError
from geolab.jobs import folders
from geolab.jobs.ledger import open_ledger

pytestmark = pytest.mark.slow


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"needs the right to mount a small disk: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _fill(folder: Path, leave: int = 0) -> Path:
    """Take all space of a disk but so many bytes."""
    found = os.statvfs(folder)
    path = folder / "filled"
    with path.open("wb") as stream:
        stream.write(bytes(max(0, found.f_bavail * found.f_frsize - leave)))
    return path


def _published(settings, notebook: str) -> list[str]:
    root = settings.runs / notebook
    return sorted(p.name for p in root.iterdir() if p.name != "attempts") if root.is_dir() else []


@pytest.fixture
def writing(make_notebook) -> Path:
    """A notebook that writes `megabytes`, and then waits for a file."""
    return make_notebook(
        'megabytes: int = 1\ngate: str = ""',
        "import time\nfrom pathlib import Path\nfrom geolab import jobs\nrun = jobs.context()",
        "with run.path('big.bin').open('wb') as stream:\n"
        "    for _ in range(megabytes):\n        stream.write(bytes(1_000_000))\n        stream.flush()",
        "while gate and not Path(gate).exists():\n    time.sleep(0.05)",
        "jobs.report(file=run.path('big.bin'))",
        name="writing",
    )


@pytest.mark.parametrize("ledger_too", [True, False], ids=["ledger on the same disk", "ledger elsewhere"])
def test_a_disk_that_the_notebook_fills(workspace, disk, writing, ledger_too):
    settings = replace(workspace, runs_folder=str(disk / "runs"))
    if ledger_too:
        settings = replace(settings, ledger_url=f"sqlite:///{disk / 'ledger.db'}")
    outcome = jobs.run(writing, {"megabytes": 50}, settings=settings)
    assert outcome.state == "failed"
    assert outcome.error.splitlines()[0].startswith(
        f"{folders.private(settings, outcome.run_id)}: the disk is full ("
    )
    assert "free space, or set GEOLAB_RUNS_FOLDER to a larger disk" in outcome.error.splitlines()[0]
    assert "cell 4 failed: OSError: [Errno 28] No space left on device" in outcome.error
    assert open_ledger(settings).get(outcome.run_id).cause == "disk full"
    assert _published(settings, "writing") == []
    assert list(folders.private_root(settings).iterdir()) == []
    assert folders.free_mb(disk) > 6  # what the run had written is gone
    assert jobs.run(writing, {"megabytes": 2}, settings=settings).state == "succeeded"


@pytest.mark.parametrize("megabytes", [1, 0])  # 0: the run has nothing to remove but its reserve
def test_a_disk_that_somebody_else_fills_before_the_report(workspace, disk, writing, tmp_path, megabytes):
    settings = replace(
        workspace, runs_folder=str(disk / "runs"), ledger_url=f"sqlite:///{disk / 'ledger.db'}"
    )
    gate = tmp_path / "gate"
    submitted = jobs.submit(writing, {"megabytes": megabytes, "gate": str(gate)}, settings=settings)
    big = folders.private(settings, submitted.run_id) / "big.bin"
    deadline = time.monotonic() + 60
    while not (big.exists() and big.stat().st_size == megabytes * 1_000_000):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(1)
    _fill(disk)
    gate.touch()
    outcome = jobs.wait(submitted.run_id, settings=settings)
    assert outcome.state == "failed"
    assert "the disk is full (" in outcome.error.splitlines()[0]
    found = open_ledger(settings).get(outcome.run_id)
    assert (found.cause, found.state) == ("disk full", "failed")
    assert _published(settings, "writing") == []
    (disk / "filled").unlink()
    gate.touch()
    again = jobs.run(writing, {"megabytes": megabytes, "gate": str(gate)}, settings=settings)
    assert again.state == "succeeded"


def test_a_full_disk_starts_nothing(workspace, disk, counting, capsys, monkeypatch):
    monkeypatch.setenv("GEOLAB_RUNS_FOLDER", str(disk / "runs"))
    _fill(disk)
    assert cli.main(["run", str(counting)]) == 2
    words = capsys.readouterr().err
    assert words.count("\n") == 1
    assert "the disk is full (0.0 MB free); free space, or set GEOLAB_RUNS_FOLDER" in words
    (disk / "filled").unlink()
    assert jobs.runs(settings=workspace) == []


@pytest.mark.parametrize("what", ["home", "runs"])
def test_a_workspace_that_is_read_only(workspace, disk, counting, capsys, monkeypatch, what):
    if what == "home":
        monkeypatch.setenv("GEOLAB_HOME", str(disk / "home"))
    else:
        monkeypatch.setenv("GEOLAB_RUNS_FOLDER", str(disk / "runs"))
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    assert cli.main(["run", str(counting)]) == 2
    words = capsys.readouterr().err
    assert words.startswith("error: ")
    assert words.count("\n") == 1
    assert "Read-only" in words or "read-only" in words
    if what == "runs":
        assert jobs.runs(settings=workspace) == []


def test_a_disk_that_becomes_read_only_while_a_run_works(workspace, disk, writing, tmp_path):
    settings = replace(workspace, runs_folder=str(disk / "runs"))
    gate = tmp_path / "gate"
    submitted = jobs.submit(writing, {"megabytes": 1, "gate": str(gate)}, settings=settings)
    big = folders.private(settings, submitted.run_id) / "big.bin"
    while not (big.exists() and big.stat().st_size == 1_000_000):
        time.sleep(0.1)
    time.sleep(1)
    # a disk with files open for writing can't be remounted; what is mounted over it can
    subprocess.run(["mount", "--bind", str(disk), str(disk)], check=True)
    subprocess.run(["mount", "-o", "remount,ro,bind", str(disk)], check=True)
    try:
        gate.touch()
        outcome = jobs.wait(submitted.run_id, settings=settings)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
    assert outcome.state == "failed"
    assert (
        "can't be written (Read-only file system); make it writable, or set GEOLAB_RUNS_FOLDER"
        in outcome.error
    )
    assert "\n" not in outcome.error
    assert open_ledger(settings).get(outcome.run_id).state == "failed"
    assert _published(settings, "writing") == []


@pytest.mark.parametrize("code", ["EROFS", "EACCES", "ENOSPC"])
def test_what_the_system_refuses_comes_in_words(tmp_path, code):
    import errno

    number = getattr(errno, code)
    with pytest.raises(StorageError) as caught, folders.writing(tmp_path):
        raise OSError(number, os.strerror(number))
    assert caught.value.full == (code == "ENOSPC")
    assert "GEOLAB_RUNS_FOLDER" in str(caught.value)
    with pytest.raises(FileNotFoundError), folders.writing(tmp_path):
        (tmp_path / "nothing").read_bytes()


def test_a_run_that_succeeded_is_not_undone_when_the_ledger_is_away_for_a_while(workspace, writing, tmp_path):
    """The ledger is out of reach when the results are published, and back a little later."""
    place = tmp_path / "place"
    place.mkdir()
    settings = replace(
        workspace, ledger_url=f"sqlite:///{place / 'ledger.db'}", lease_s=20.0, heartbeat_s=1.0
    )
    gate = tmp_path / "gate"
    submitted = jobs.submit(writing, {"megabytes": 1, "gate": str(gate)}, settings=settings)
    big = folders.private(settings, submitted.run_id) / "big.bin"
    deadline = time.monotonic() + 60
    while not (big.exists() and big.stat().st_size == 1_000_000):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    place.rename(tmp_path / "away")
    gate.touch()
    report = folders.private(settings, submitted.run_id) / folders.REPORT
    while not report.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(2)
    assert report.exists()  # nothing is published, or given up, without the ledger
    (tmp_path / "away").rename(place)
    outcome = jobs.wait(submitted.run_id, settings=settings)
    assert (outcome.state, outcome.error) == ("succeeded", "")
    assert _published(settings, "writing") == [outcome.key[:16]]
    assert list(folders.private_root(settings).iterdir()) == []
    log = (outcome.folder / "log.txt").read_text()
    assert "failed" not in log  # its own process saw to it, not the next who looked
