"""Limits of a run, what it takes, and why it failed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from geolab import cli, jobs
from geolab.errors import BadInput
from geolab.jobs import events, failure, folders, gpus, usage
from geolab.jobs.failure import Place
from geolab.jobs.ledger import open_ledger

BUSY = """
x = bytearray(100_000_000)
x[::4096] = b"x" * len(x[::4096])
print(1, flush=True)
while True:
    pass
"""
HOG = """
import subprocess, sys
hog = "import time; x = bytearray(700_000_000); x[::4096] = b'1' * len(x[::4096]); time.sleep(60)"
"""
FORKS = """
import os, time
children = []
for _ in range(n):
    pid = os.fork()
    if pid == 0:
        shared.sum()
        time.sleep(60)
    children.append(pid)
time.sleep(2)
"""
PARENT = """
import subprocess, sys, time
for _ in range(2):
    subprocess.run([sys.executable, "-c", "sum(range(10**7))"])
print(1, flush=True)
time.sleep(60)
"""


def _cause(settings, outcome: jobs.Outcome) -> str:
    return open_ledger(settings).get(outcome.run_id).cause


@pytest.mark.slow
def test_a_run_above_its_memory_limit_is_stopped_in_words(workspace, make_notebook):
    path = make_notebook(
        "n: int = 400",
        HOG,
        "subprocess.run([sys.executable, '-c', hog])",  # not the kernel itself
        name="hungry",
    )
    outcome = jobs.run(path, settings=workspace, memory_mb=600)
    assert outcome.state == "failed"
    assert outcome.error.startswith("stopped in cell 4 (subprocess.run")
    assert "MB of memory, its limit is 600 MB; raise --memory-limit" in outcome.error
    assert _cause(workspace, outcome) == "memory"
    assert jobs.show(outcome.run_id, settings=workspace).usage["memory_mb_peak"] > 600
    assert not [p for p in psutil.process_iter() if _is_hog(p)]


def _is_hog(process: psutil.Process) -> bool:
    try:
        return "bytearray(700_000_000)" in " ".join(process.cmdline())
    except psutil.Error:
        return False


@pytest.mark.slow
def test_memory_that_processes_share_counts_once(workspace, make_notebook):
    path = make_notebook(
        "n: int = 4",
        "from geolab import jobs\nimport numpy as np, signal\nshared = np.ones(25_000_000)",
        FORKS,
        "[os.kill(pid, signal.SIGKILL) for pid in children]\njobs.report(n=n)",
        name="sharing",
    )
    outcome = jobs.run(path, settings=workspace, memory_mb=800)
    assert (outcome.state, outcome.error) == ("succeeded", "")
    report = json.loads((outcome.folder / "report.json").read_text())
    assert report["usage"]["memory_mb_peak"] > 1000  # the plain sum: five times 200 MB


@pytest.mark.slow
def test_every_failure_says_why(workspace, make_notebook, sleeping):
    dies = make_notebook("", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", name="dies")
    assert _cause(workspace, jobs.run(dies, settings=workspace)) == "kernel died"
    late = jobs.run(sleeping, {"seconds": 60}, settings=workspace, timeout_s=3)
    assert _cause(workspace, late) == "time-out"
    wrong = jobs.run(make_notebook("", "1 / 0", name="wrong"), settings=workspace)
    assert _cause(workspace, wrong) == ""
    assert "cause" not in jobs.as_json(jobs.show(wrong.run_id, settings=workspace))
    assert jobs.as_json(jobs.show(late.run_id, settings=workspace))["cause"] == "time-out"


HANGS = """
import sys, time
from geolab import jobs
from geolab.jobs import attempt, execute
attempt.GRACE_S = 1.0
execute.execute = lambda *args, **settings: time.sleep(600)
jobs.perform(sys.argv[1])
print("never")
"""


@pytest.mark.slow
def test_an_execution_that_hangs_ends_with_its_process(workspace, counting):
    run_id = jobs.enqueue(counting, settings=workspace, timeout_s=1).run_id
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", HANGS, run_id], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert time.monotonic() - began < 100
    record = open_ledger(workspace).get(run_id)
    assert (record.state, record.cause) == ("failed", "time-out")


@pytest.mark.slow
def test_a_process_that_can_not_be_started_is_a_failure(workspace, counting, monkeypatch):
    def refuse(*_args: object, **_options: object) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(OSError, match="temporarily"):
        jobs.submit(counting, settings=workspace)
    (run,) = open_ledger(workspace).runs()
    assert (run.state, run.error.startswith("not started: ")) == ("failed", True)
    assert list(folders.private_root(workspace).iterdir()) == []


def test_a_full_disk_is_recognised_in_the_words_of_a_cell():
    for value in ("[Errno 28] No space left on device: 'a.tif'", "database or disk is full"):
        words = failure.of_cell(3, "write()", "OSError", value, [])
        assert failure.cause_of(words) == "disk full"
        assert words.startswith("cell 3 failed: OSError")
    assert failure.cause_of(failure.of_cell(3, "x", "OSError", "[Errno 2] No such file", [])) == ""
    assert failure.cause_of(failure.of_dead_kernel(Place())) == "kernel died"
    assert failure.cause_of("plain") == ""


def test_limits_without_sense_are_refused(workspace, counting, capsys):
    with pytest.raises(BadInput, match="memory limit: found 0, expected a number above 0"):
        jobs.submit(counting, settings=workspace, memory_mb=0)
    with pytest.raises(BadInput, match="retries: found -1"):
        jobs.enqueue(counting, settings=workspace, retries=-1)
    assert not workspace.ledger_path.exists()
    for text in ("many", "4", "GB", "-1GB", "1.2.3GB"):
        with pytest.raises(SystemExit):
            cli.main(["run", "x", f"--memory-limit={text}"])
        assert "expected a size such as 4GB or 500MB" in capsys.readouterr().err


# ---------------------------------------------------------------- what it takes


@pytest.fixture
def busy():
    """Starts processes that hold 100 MB each and use one core; all end with the test."""
    started: list[subprocess.Popen] = []

    def start() -> int:
        process = subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout
        process.stdout.readline()
        return process.pid

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_look_sums_over_the_processes_that_were_started_since(busy):
    before = busy()
    meter = usage.Meter()
    mine = [busy(), busy()]
    assert {one.pid for one in meter.family()} == set(mine)
    assert {one.pid for one in meter.family(but=mine[0])} == {mine[1]}
    meter.look()
    cpu = [psutil.Process(pid).cpu_times() for pid in mine]
    began = time.monotonic()
    time.sleep(1)
    sample = meter.look()
    seconds = time.monotonic() - began
    later = [psutil.Process(pid).cpu_times() for pid in mine]
    used = sum(b.user + b.system - a.user - a.system for a, b in zip(cpu, later, strict=True))
    assert sample.cpu_pct == pytest.approx(100 * used / seconds, rel=0.2, abs=5)
    exact = sum(psutil.Process(pid).memory_info().rss for pid in mine) / 1e6
    assert sample.memory_mb == pytest.approx(exact, rel=0.02)
    assert 200 < meter.exact_mb() <= sample.memory_mb
    assert before not in {one.pid for one in meter.family()}
    summary = meter.summary()
    assert summary["memory_mb_peak"] == pytest.approx(sample.memory_mb, rel=0.02)
    assert summary["cpu_s"] >= used * 0.9


def test_a_process_that_ends_keeps_its_share_and_none_is_counted_twice():
    meter = usage.Meter()
    process = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE)
    while psutil.Process(process.pid).cpu_times().children_user < 0.05 or meter.look() is None:
        time.sleep(0.05)
    assert process.stdout
    process.stdout.readline()
    meter.look()
    times = psutil.Process(process.pid).cpu_times()
    process.kill()
    process.communicate()
    total = times.user + times.system + times.children_user + times.children_system
    assert meter.summary()["cpu_s"] == pytest.approx(total, rel=0.6)


def test_usage_events_become_rarer(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(usage.time, "monotonic", lambda: clock[0])
    meter = usage.Meter()
    emitted = []
    while clock[0] < 7 * 86400:
        if meter.due():
            emitted.append(clock[0])
        clock[0] += 0.25 if clock[0] < 100 else 2.0
    assert emitted[:4] == [0, 2, 4, 6]
    assert len(emitted) < 4500


def test_without_a_device_nothing_is_said_of_it(monkeypatch):
    monkeypatch.setattr(gpus, "_count", lambda: 0)
    assert (gpus.count(), gpus.use()) == (0, None)
    monkeypatch.setattr(gpus, "_count", lambda: 4)
    monkeypatch.setattr(gpus, "_use", lambda number: gpus.Use(10.0 * number, 1000.0))
    for text, numbers in (
        ("", []),
        ("2", [2]),
        ("0,3", [0, 3]),
        ("9", []),
        ("-1", []),
        ("GPU-8a", [0, 1, 2, 3]),
    ):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", text)
        assert gpus.visible() == numbers
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,3")
    assert gpus.use() == gpus.Use(20.0, 2000.0)
    assert usage.Sample(1.0, 2.0).facts() == {"cpu_pct": 1.0, "memory_mb": 2.0}


@pytest.mark.gpu
@pytest.mark.skipif(gpus.count() == 0, reason="needs a CUDA device")
def test_a_device_is_measured():
    found = gpus.use()
    assert found is not None
    assert found.memory_mb > 0
    assert 0 <= found.pct <= 100


@pytest.mark.slow
def test_a_running_run_shows_what_it_takes_how_fast_it_is_and_when_it_will_end(workspace, make_notebook):
    path = make_notebook(
        "n: int = 100",
        "import time\nfrom geolab import jobs\nrun = jobs.context()",
        "for i in range(n):\n    time.sleep(0.2)\n    run.progress(i + 1, n, 'tiles')",
        name="slow",
    )
    submitted = jobs.submit(path, settings=workspace)
    deadline = time.monotonic() + 60
    while True:
        view = jobs.show(submitted.run_id, settings=workspace)
        if (view.progress or 0) > 0.1 and view.rate:
            break
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert view.doing == "tiles"
    assert view.usage["memory_mb"] > 10
    assert 0.5 < view.rate <= 5.1
    assert view.eta_s == pytest.approx((100 - 100 * view.progress) / view.rate)
    jobs.cancel(submitted.run_id, settings=workspace)
    outcome = jobs.wait(submitted.run_id, settings=workspace)
    assert outcome.state == "cancelled"
    kept = [event for event in events.read(Path(outcome.folder)) if event["event"] in ("usage", "used")]
    assert kept[-1]["event"] == "used"
    assert jobs.show(submitted.run_id, settings=workspace).usage["memory_mb_peak"] > 10
