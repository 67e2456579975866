"""`geolab worker`: processes that do what is queued."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from geolab import cli, jobs
from geolab.errors import StorageError
from geolab.jobs import folders, processes, serving
from geolab.jobs.ledger import open_ledger
from geolab.jobs.serving import Server

pytestmark = pytest.mark.slow

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(autouse=True)
def _cold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels from nothing: a template takes longer to start than these notebooks."""
    monkeypatch.setenv("GEOLAB_WARM", "0")


@pytest.fixture
def start_worker(workspace) -> Iterator[Start]:
    """Starts `geolab worker` as a terminal would; all end with the test."""
    started: list[subprocess.Popen[str]] = []

    def start(*options: str, **environ: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "geolab", "worker", *options],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | environ,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        processes.kill_tree(process.pid, itself=True)
        process.communicate()


def _wait_for(true: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _running(settings) -> list:
    return [run for run in open_ledger(settings).runs(states=("running",)) if _printed(settings, run.id)]


def _printed(settings, run_id: str) -> bool:
    log = folders.private(settings, run_id) / folders.LOG
    return log.is_file() and "step 1" in log.read_text()


def test_workers_do_all_that_is_queued_each_once(workspace, counting, start_worker):
    queued = [jobs.enqueue(counting, {"n": n}, settings=workspace).run_id for n in range(1, 7)]
    worker = start_worker("--workers", "2", "--once")
    _, words = worker.communicate(timeout=240)
    assert worker.returncode == 0, words
    views = [jobs.show(run_id, settings=workspace) for run_id in queued]
    assert [view.state for view in views] == ["succeeded"] * 6
    assert len({view.pid for view in views}) == 2  # two processes, three runs each or so
    assert len(jobs.runs(settings=workspace)) == 6


def test_higher_priority_goes_first(workspace, counting, monkeypatch, capsys):
    queued = {}
    for priority in (0, 5, -1, 5):
        arguments = ["run", str(counting), "-p", f"n={len(queued) + 1}", "--queue"]
        assert cli.main([*arguments, "--priority", str(priority)]) == 0
        queued[capsys.readouterr().out.strip()] = priority
    done: list[str] = []
    monkeypatch.setattr(serving.Attempt, "do", lambda self: _finish(self, done))
    Server(workspace).serve(once=True)
    assert [queued[run_id] for run_id in done] == [5, 5, 0, -1]
    assert done[:2] == sorted(done[:2])  # the older one of two equals


def _finish(attempt, done: list[str]) -> str:
    done.append(attempt.run.id)
    attempt._finish("failed", attempt.folder, "not done here")
    return "failed"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_worker_that_is_told_to_end_stops_its_run_and_queues_it_again(
    workspace, sleeping, start_worker, number
):
    run_id = jobs.enqueue(sleeping, {"seconds": 60}, settings=workspace, retries=1).run_id
    worker = start_worker()
    _wait_for(lambda: _running(workspace))
    began = time.monotonic()
    worker.send_signal(number)
    worker.communicate(timeout=60)
    assert worker.returncode == 0
    assert time.monotonic() - began < 20
    interrupted = jobs.show(run_id, settings=workspace)
    assert interrupted.state == "lost"
    assert "its worker was told to end (SIGTERM)" in interrupted.error
    again = open_ledger(workspace).runs(states=("queued",))
    assert [(run.waiting, run.retries, run.attempt, run.not_before) for run in again] == [(True, 1, 2, 0.0)]
    assert (folders.private(workspace, again[0].id) / folders.SOURCE).is_file()
    assert _orphans(workspace) == []


def _orphans(settings) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if str(settings.home) in process.environ().get("GEOLAB_RUN", ""):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def test_workers_end_with_a_supervisor_that_is_killed(workspace, sleeping, start_worker):
    jobs.enqueue(sleeping, {"seconds": 60}, settings=workspace)
    supervisor = start_worker()
    _wait_for(lambda: _running(workspace))
    family = psutil.Process(supervisor.pid).children(recursive=True)
    supervisor.kill()
    supervisor.wait()
    psutil.wait_procs(family, timeout=30)
    assert [process for process in family if process.is_running()] == []
    assert len(open_ledger(workspace).runs(states=("queued",))) == 1  # it was queued again


def test_a_worker_that_dies_has_a_successor_and_its_run_is_lost(workspace, sleeping, start_worker):
    run_id = jobs.enqueue(sleeping, {"seconds": 60}, settings=workspace).run_id
    start_worker()
    _wait_for(lambda: _running(workspace))
    os.kill(jobs.show(run_id, settings=workspace).pid, signal.SIGKILL)
    _wait_for(lambda: jobs.show(run_id, settings=workspace).state == "lost")
    other = jobs.enqueue(sleeping, {"seconds": 0.2}, settings=workspace).run_id
    assert jobs.wait(other, settings=workspace).state == "succeeded"


def test_what_was_claimed_but_not_begun_is_given_back(workspace, counting):
    run_id = jobs.enqueue(counting, settings=workspace).run_id
    server = Server(workspace)
    claimed = server._claim()
    assert claimed is not None
    server.end("SIGTERM")  # between the claim and the first step
    assert server._do(claimed) is False
    found = open_ledger(workspace).get(run_id)
    assert (found.waiting, found.started, found.attempt) == (True, None, 1)
    assert jobs.perform(run_id, settings=workspace) == "succeeded"


def test_a_worker_without_the_shared_folder_gives_back_and_says_so(workspace, counting, tmp_path):
    run_id = jobs.enqueue(counting, settings=workspace).run_id
    elsewhere = replace(workspace, runs_folder=str(tmp_path / "elsewhere"))
    server = Server(elsewhere)
    server._reconciled = time.monotonic()
    with pytest.raises(StorageError, match="set GEOLAB_RUNS_FOLDER to it, or cancel the run"):
        server.serve(once=True)
    assert open_ledger(workspace).get(run_id).waiting


def test_a_worker_says_what_is_wrong_in_one_line(workspace, tmp_path, start_worker, counting):
    jobs.enqueue(counting, settings=workspace)
    worker = start_worker(GEOLAB_RUNS_FOLDER=str(tmp_path / "elsewhere"), GEOLAB_LOG="json")
    _, words = worker.communicate(timeout=120)
    assert worker.returncode == 2
    last = words.strip().splitlines()[-1]
    assert '"level": "ERROR"' in last
    assert "has no folder here" in last


def test_attempts_that_wait_are_done_before_once_ends(workspace, make_notebook, tmp_path):
    path = make_notebook(
        f'gate: str = "{tmp_path / "gate"}"',
        "from pathlib import Path\nfile = Path(gate)\nthere = file.exists()\nfile.touch()\nassert there",
        name="gated",
    )
    run_id = jobs.enqueue(path, settings=workspace, retries=1, backoff_s=1).run_id
    assert Server(workspace).serve(once=True) == 2
    first, second = sorted(open_ledger(workspace).runs(), key=lambda run: run.id)
    assert (first.id, first.state, second.state) == (run_id, "failed", "succeeded")
    assert second.started - first.finished >= 1
    assert second.retries == 0


def test_a_cancelled_run_that_waits_is_never_begun(workspace, counting):
    run_id = jobs.enqueue(counting, settings=workspace).run_id
    assert jobs.cancel(run_id, settings=workspace).state == "cancelled"
    assert Server(workspace).serve(once=True) == 0
    assert not list(Path(workspace.runs / ".private").iterdir())


def test_a_worker_goes_on_when_the_ledger_was_away(workspace, counting, start_worker):
    settings = replace(workspace, heartbeat_s=0.3)
    open_ledger(settings)
    worker = start_worker(GEOLAB_HEARTBEAT_S="0.3")
    time.sleep(3)
    away = workspace.ledger_path.with_name("away.db")
    for suffix in ("", "-wal", "-shm"):
        source = workspace.ledger_path.with_name(workspace.ledger_path.name + suffix)
        if source.exists():
            shutil.move(source, away.with_name(away.name + suffix))
    time.sleep(1)
    for suffix in ("", "-wal", "-shm"):
        source = away.with_name(away.name + suffix)
        if source.exists():
            shutil.move(source, workspace.ledger_path.with_name(workspace.ledger_path.name + suffix))
    assert worker.poll() is None
    run_id = jobs.enqueue(counting, settings=settings).run_id
    assert jobs.wait(run_id, settings=settings).state == "succeeded"


def test_options_that_do_not_fit_are_refused(workspace, capsys):
    assert cli.main(["worker", "--workers", "0"]) == 2
    assert "--workers: found 0, expected a number of at least 1" in capsys.readouterr().err
    assert cli.main(["worker", "--engine", "tcp://127.0.0.1:1", "--once"]) == 2
    assert "expected one of them" in capsys.readouterr().err
