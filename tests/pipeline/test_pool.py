"""The pool of worker processes: an executor whose workers may be killed, and that leaves nobody behind."""

from __future__ import annotations

import math
import operator
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import CancelledError, Future, wait
from pathlib import Path

import psutil
import pytest

from geolab import settings as settings_module
from geolab.errors import BadInput, EngineError, GeolabError, WorkerLost
from geolab.pipeline import pool as pool_module
from geolab.pipeline.pool import Pool


@pytest.fixture
def workspace(workspace, monkeypatch):
    """Without warm kernels: nothing here runs a notebook, and each template imports for seconds."""
    monkeypatch.setenv("GEOLAB_WARM", "0")
    return settings_module.load()


def _of_workspace(home: Path) -> list[psutil.Process]:
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


def _both(pool: Pool) -> list[Future[bytes]]:
    """Two calls that are at work at once if two workers are there, and tell which process did them."""
    return [pool.submit(subprocess.check_output, ["sh", "-c", "sleep 0.3; echo $PPID"]) for _ in range(2)]


def _until(true, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.05)


def test_calls_are_answered_by_long_lived_processes(workspace):
    with Pool(workspace, 2) as pool:
        pids = {pool.submit(os.getpid).result() for _ in range(8)}
        assert pids <= set(pool.pids())
        assert os.getpid() not in pids
        assert list(pool.map(operator.add, [1, 2, 3], [10, 20, 30])) == [11, 22, 33]
    assert _of_workspace(workspace.home) == []


def test_calls_run_at_once_one_in_each_worker(workspace):
    with Pool(workspace, 2) as pool:
        _until(lambda: len({one.result() for one in _both(pool)}) == 2)
        began = time.monotonic()
        wait([pool.submit(time.sleep, 5.0) for _ in range(2)])
        assert time.monotonic() - began < 9.9  # one after the other: 10


def test_an_exception_comes_back_as_it_was_and_says_where(workspace):
    with Pool(workspace, 1) as pool:
        with pytest.raises(ValueError, match=r"math domain error|nonnegative") as caught:
            pool.submit(math.sqrt, -1).result()
        assert "in the worker" in caught.value.__notes__[0]
        with pytest.raises(
            GeolabError, match="GEOLAB_LEASE_S"
        ) as problem:  # its constructor can't be replayed
            pool.submit(settings_module.load, "x", {"GEOLAB_LEASE_S": "long"}).result()
        assert "\n" not in str(problem.value)
        assert pool.submit(operator.add, 1, 2).result() == 3


def test_what_cannot_travel_fails_alone(workspace):
    with Pool(workspace, 1) as pool:
        with pytest.raises(Exception, match=r"pickle|lambda|local object"):
            pool.submit(lambda: 1).result()
        assert pool.submit(operator.add, 1, 2).result() == 3


@pytest.mark.parametrize("kill", ["SIGKILL", "os._exit"])
def test_the_death_of_a_worker_costs_its_own_call_only(workspace, kill):
    with Pool(workspace, 2) as pool:
        wait([pool.submit(os.getpid) for _ in range(4)])
        victims = (
            pool.submit(os._exit, 7)
            if kill == "os._exit"
            else pool.submit(signal.raise_signal, signal.SIGKILL)
        )
        others = [pool.submit(time.sleep, 0.1) for _ in range(6)]
        with pytest.raises(WorkerLost, match="exit code 7" if kill == "os._exit" else "signal 9"):
            victims.result()
        assert [one.result() for one in others] == [None] * 6
        _until(lambda: len(pool.pids()) == 2)  # a successor


def test_an_idle_worker_that_is_killed_is_replaced_without_loss(workspace):
    with Pool(workspace, 1) as pool:
        first = pool.submit(os.getpid).result()
        os.kill(first, signal.SIGKILL)
        _until(lambda: pool.pids() not in ([], [first]))
        assert pool.submit(os.getpid).result() != first


def test_a_worker_that_does_not_start_says_why(workspace, monkeypatch):
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    with (
        Pool(workspace, 1) as pool,
        pytest.raises(EngineError, match=r"does not start; exit code 1: .+") as problem,
    ):
        pool.submit(os.getpid).result(60)
    assert "\n" not in str(problem.value)


def test_shutdown_does_what_waits_and_refuses_more(workspace):
    pool = Pool(workspace, 1)
    futures = [pool.submit(time.sleep, 0.05) for _ in range(5)]
    pool.shutdown()
    assert all(one.done() and not one.cancelled() for one in futures)
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(os.getpid)
    assert _of_workspace(workspace.home) == []
    pool.shutdown()  # twice is allowed


def test_shutdown_can_cancel_what_waits(workspace):
    pool = Pool(workspace, 1)
    running = pool.submit(time.sleep, 1)
    _until(running.running)
    waiting = [pool.submit(time.sleep, 60) for _ in range(5)]
    assert waiting[0].cancel()  # by its caller
    began = time.monotonic()
    pool.shutdown(cancel_futures=True)
    assert time.monotonic() - began < 50
    assert running.result() is None
    assert all(one.cancelled() for one in waiting)
    with pytest.raises(CancelledError):
        waiting[3].result()


def test_kill_ends_all_at_once(workspace):
    pool = Pool(workspace, 2)
    running = [pool.submit(time.sleep, 60) for _ in range(2)]
    _until(lambda: all(one.running() for one in running))
    began = time.monotonic()
    pool.kill()
    assert time.monotonic() - began < 30
    for one in running:
        with pytest.raises(WorkerLost):
            one.result()
    assert _of_workspace(workspace.home) == []


def test_no_process_is_started_for_nothing(workspace):
    with Pool(workspace, 2) as pool:
        time.sleep(0.5)
        assert pool.pids() == []
    pool.kill()


def test_kill_while_workers_start_leaves_nobody(workspace):
    pool = Pool(workspace, 2)
    called = pool.submit(os.getpid)
    time.sleep(0.3)
    pool.kill()
    assert called.done()
    assert _of_workspace(workspace.home) == []


OWNER = """
import sys, time
from pathlib import Path
from geolab import settings
from geolab.pipeline.pool import Pool
import subprocess
pool = Pool(settings.load(), 2)
script = "import time, pathlib, sys; time.sleep(2); pathlib.Path(sys.argv[1]).write_text('done')"
pool.submit(subprocess.run, [sys.executable, "-c", script, sys.argv[1]])
time.sleep(1) if pool.submit(int).result() else None
print("ready", flush=True)
time.sleep(60)
"""


def _owner(target: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", OWNER, str(target)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT], ids=["SIGKILL", "Ctrl-C"])
def test_when_the_owner_dies_workers_end_what_they_hold_and_then_themselves(workspace, tmp_path, end):
    target = tmp_path / "result"
    owner = _owner(target)
    os.kill(owner.pid, end)
    owner.communicate()
    assert not target.exists()
    _until(target.exists, 10)
    _until(lambda: _of_workspace(workspace.home) == [], 10)


def test_workers_have_the_settings_of_the_pool_and_no_terminal_signals(workspace):
    with Pool(workspace, 1) as pool:
        assert pool.submit(settings_module.load).result() == workspace
        assert pool.submit(os.getsid, 0).result() != os.getsid(0)


def test_unpicklable_errors_are_told_by_their_text():
    from geolab.pipeline import poolworker

    error = BadInput("x", found=1, expected="2")
    assert str(poolworker._portable(error)) == str(error)
    assert isinstance(poolworker._portable(error), GeolabError)
    assert pool_module.STARTS > 1
