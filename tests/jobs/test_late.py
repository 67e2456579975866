"""A worker that was cut off: its run moves on when the lease ends, and its late result does no harm."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from geolab import jobs
from geolab.jobs import folders
from geolab.jobs.ledger import open_ledger

pytestmark = pytest.mark.slow

PERFORM = "import sys; from geolab import jobs; print(jobs.perform(sys.argv[1]))"
RUN = "import sys; from geolab import jobs; o = jobs.run(sys.argv[1]); print(o.run_id, o.state, o.reused)"
# a process that sees no process of this one, as on another machine
ELSEWHERE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]


@pytest.fixture
def elsewhere() -> list[str]:
    """The beginning of a command that runs on another machine, as far as processes are concerned."""
    tried = subprocess.run([*ELSEWHERE, "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"needs the right to make a space of pids: {tried.stderr.strip()}")
    return ELSEWHERE


@pytest.fixture
def gated(make_notebook, tmp_path: Path) -> Path:
    """A notebook that counts until its gate is open: a file gate-WHO."""
    return make_notebook(
        f'gates: str = "{tmp_path}"',
        "import os, time\nfrom pathlib import Path\nfrom geolab import jobs",
        "run = jobs.context()\nwho = os.environ['WHO']",
        "while not Path(gates, 'gate-' + who).exists():\n"
        "    time.sleep(0.1)\n    print('still', who, flush=True)",
        "run.path('who.txt').write_text(who)\nrun.path('pid.txt').write_text(str(os.getpid()))",
        "jobs.report(who=who)",
        name="gated",
    )


def _wait_for(true: Callable[[], object], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _kernels(pid: int) -> list[psutil.Process]:
    return [
        p
        for p in psutil.Process(pid).children(recursive=True)
        if "ipykernel_launcher" in " ".join(p.cmdline())
    ]


@pytest.mark.parametrize("ready", [True, False], ids=["its notebook is through", "its notebook still works"])
def test_a_worker_that_wakes_up_after_its_lease_publishes_nothing(
    workspace, gated, tmp_path, monkeypatch, elsewhere, ready
):
    monkeypatch.setenv("GEOLAB_LEASE_S", "3")
    monkeypatch.setenv("GEOLAB_HEARTBEAT_S", "0.5")
    queued = jobs.enqueue(gated, settings=workspace)
    old = subprocess.Popen(
        [sys.executable, "-c", PERFORM, queued.run_id],
        env=os.environ | {"WHO": "old"},
        stdout=subprocess.PIPE,
        text=True,
    )
    log = folders.private(workspace, queued.run_id) / folders.LOG
    _wait_for(lambda: log.exists() and "still old" in log.read_text())
    (kernel,) = _kernels(old.pid)
    os.kill(old.pid, signal.SIGSTOP)
    new = subprocess.Popen(
        [*elsewhere, sys.executable, "-c", RUN, str(gated)],
        env=os.environ | {"WHO": "new"}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    ledger = open_ledger(workspace)
    # as long as the lease lasts, the newcomer waits for the run that it found
    _wait_for(lambda: ledger.get(queued.run_id).state == "lost")
    assert ledger.get(queued.run_id).owner.pid == old.pid
    assert kernel.is_running()  # nobody can reach it from there
    _wait_for(lambda: len(ledger.runs()) == 2)
    (tmp_path / "gate-new").touch()
    if ready:
        (tmp_path / "gate-old").touch()
    said, _ = new.communicate(timeout=120)
    newer, state, reused = said.split()
    assert (state, reused) == ("succeeded", "False")
    published = folders.published(workspace, ledger.get(newer))
    before = {p.name: p.read_bytes() for p in published.iterdir() if p.is_file()}

    os.kill(old.pid, signal.SIGCONT)
    said, _ = old.communicate(timeout=60)
    assert (said.strip(), old.returncode) == ("lost", 0)
    psutil.wait_procs([kernel], timeout=10)
    assert not kernel.is_running()
    assert {p.name: p.read_bytes() for p in published.iterdir() if p.is_file()} == before
    assert json.loads(before["report.json"])["results"] == {"who": "new"}
    assert {run.id: run.state for run in ledger.runs()} == {queued.run_id: "lost", newer: "succeeded"}
    assert jobs.run(gated, settings=workspace).run_id == newer
    assert list(folders.private_root(workspace).iterdir()) == []


def test_a_worker_that_can_not_renew_its_lease_ends_its_kernel_by_itself(
    workspace, gated, tmp_path, monkeypatch
):
    monkeypatch.setenv("GEOLAB_LEASE_S", "2")
    monkeypatch.setenv("GEOLAB_HEARTBEAT_S", "0.4")
    queued = jobs.enqueue(gated, settings=workspace)
    old = subprocess.Popen(
        [sys.executable, "-c", PERFORM, queued.run_id],
        env=os.environ | {"WHO": "old"},
        stdout=subprocess.PIPE,
        text=True,
    )
    log = folders.private(workspace, queued.run_id) / folders.LOG
    _wait_for(lambda: log.exists() and "still old" in log.read_text())
    (kernel,) = _kernels(old.pid)
    hidden = workspace.home.with_name("hidden")
    for name in ("ledger.db", "ledger.db-wal", "ledger.db-shm"):  # the ledger is out of reach
        if (workspace.home / name).exists():
            hidden.mkdir(exist_ok=True)
            (workspace.home / name).rename(hidden / name)
    psutil.wait_procs([kernel], timeout=30)
    assert not kernel.is_running()
    old.communicate(timeout=60)
    assert old.poll() is not None
