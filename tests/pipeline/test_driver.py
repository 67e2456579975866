"""Drivers as real processes: undisturbed, with failures, paused, stopped, killed, and in each other's way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from geolab import settings as settings_module
from geolab.jobs.ledger import open_ledger
from geolab.pipeline.devices import Devices


@pytest.fixture
def workspace(workspace, monkeypatch):
    """With kernels of their own: a template imports for seconds what these notebooks do not need."""
    monkeypatch.setenv("GEOLAB_WARM", "0")
    monkeypatch.setenv("GEOLAB_WORKERS", "2")
    return settings_module.load()


def _kind(driving, settings, kind: str) -> list[psutil.Process]:
    return [one for one in driving.of_workspace(settings.home) if driving.kind(one) == kind]


def _running(settings, name: str = "small") -> list:
    return open_ledger(settings).runs(states=("running",), pipeline=name)


def _assert_whole(driving, settings, *, executions: int, nodes: int = 12) -> None:
    """Every node succeeded, once; nobody is left."""
    assert Counter(driving.states(settings).values()) == {"succeeded": nodes}
    assert set(driving.successes(settings).values()) == {1}
    assert open_ledger(settings).executions("small") == executions
    driving.assert_true(settings)
    driving.until(lambda: driving.of_workspace(settings.home) == [], 20)


def test_a_pipeline_is_run_once_and_then_found(workspace, driving, tmp_path):
    file = driving.small(tmp_path / "files", cells=2, work_s=0.1)
    said = driving.geolab("pipeline", "run", file).stdout
    assert "12 of 12 done" in said
    _assert_whole(driving, workspace, executions=12)
    found = driving.products(workspace)
    assert found["compare/c01/2022"]["change.bin"] != found["compare/c02/2022"]["change.bin"]
    driving.geolab("pipeline", "run", file)
    assert open_ledger(workspace).executions("small") == 12


def test_three_failures_are_mended_and_tried_again_and_nothing_else_is(workspace, driving, tmp_path):
    file = driving.small(tmp_path / "files", cells=3, work_s=0.1)
    bad = [tmp_path / "files" / "bad" / name for name in ("c01-2021", "c01-2022", "c03-2023")]
    for one in bad:
        one.touch()
    said = driving.geolab("pipeline", "run", file, code=1)
    assert "3 of 18 runs failed" in said.stderr
    states = driving.states(workspace)
    assert {slot for slot, state in states.items() if state == "failed"} == {
        "draw/c01/2021",
        "draw/c01/2022",
        "draw/c03/2023",
    }
    done = {slot for slot, state in states.items() if state == "succeeded"}
    assert len(done) == 18 - 3 - 2 - 1 - 2
    before = open_ledger(workspace).executions("small")
    driving.geolab("pipeline", "run", file, code=1)  # without being asked nothing is tried again
    assert open_ledger(workspace).executions("small") == before
    for one in bad:
        one.unlink()
    notebook = tmp_path / "files" / "draw.ipynb"
    notebook.write_text(notebook.read_text().replace("is corrupt", "is damaged"))  # it was mended, too
    driving.geolab("pipeline", "run", file, "--retry-failed")
    _assert_whole(driving, workspace, executions=before + 3 + 2 + 1 + 2, nodes=18)


def test_a_failure_is_tried_again_after_a_while(workspace, driving, tmp_path):
    folder = tmp_path / "files"
    file = driving.small(
        folder, cells=1, years="2021-2022", work_s=0.0, more="    retries: 2\n    backoff_s: 1"
    )
    driving.notebook(
        folder / "draw.ipynb",
        'cell: str = "a"  # which\nyear: int = 2021  # when\nbad: str = ""  # where tries are counted',
        "import pathlib\nfrom geolab import jobs\nrun = jobs.context()\ntries = pathlib.Path(bad + '.tries')",
        "tries.open('a').write('x')\nif tries.stat().st_size < 3: raise ValueError('not yet')",
        "run.path('a').write_text('a')\njobs.report(scene=run.path('a'))",
    )
    driving.geolab("pipeline", "run", file)
    past = list(reversed(open_ledger(workspace).runs(slot="draw/c01/2021", pipeline="small")))
    assert [run.state for run in past] == ["failed", "failed", "succeeded"]
    waits = [(b.started or 0) - (a.finished or 0) for a, b in pairwise(past)]
    assert waits[0] >= 1
    assert waits[1] >= 2  # twice as long


def test_what_cannot_be_asked_for_fails_alone_and_says_why(workspace, driving, tmp_path):
    file = driving.small(tmp_path / "files", cells=2, years="2021-2022", work_s=0.0)
    file.write_text(file.read_text().replace("${before.scene}", "${before.picture}"))
    said = driving.geolab("pipeline", "run", file, code=1)
    assert "no result of draw/c01/2021 'picture'" in said.stdout.replace("\n", " ") + said.stderr
    told = json.loads(driving.geolab("pipeline", "status", file, "--json").stdout)
    assert told["counts"] == {"succeeded": 4, "failed": 2, "blocked": 2}
    file.write_text(file.read_text().replace("${before.picture}", "${before.scene}"))
    driving.geolab("pipeline", "run", file)
    assert Counter(driving.states(workspace).values()) == {"succeeded": 8}


def test_a_stage_keeps_to_its_limit_and_priority(workspace, driving, tmp_path):
    folder = tmp_path / "files"
    file = driving.small(folder, cells=3, years="2021-2022", work_s=0.3, more="    limit: 1")
    file.write_text(file.read_text().replace("  total:\n", "  total:\n    priority: 5\n"))
    driving.geolab("pipeline", "run", file)
    draws = [r for r in open_ledger(workspace).runs(pipeline="small") if r.slot.startswith("draw")]
    spans = sorted((run.started, run.finished) for run in draws)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))


def test_pause_starts_nothing_more_and_loses_nothing(workspace, driving, tmp_path):
    file = driving.small(tmp_path / "files", cells=2, work_s=1.0)
    driver = driving.start("pipeline", "run", file)
    driving.until(lambda: driving.successes(workspace))
    driving.geolab("pipeline", "pause", file)
    paused = open_ledger(workspace).now()
    driving.until(lambda: not _running(workspace))  # what was in progress goes on to its end
    time.sleep(3)
    runs = open_ledger(workspace).runs(pipeline="small")
    assert max(run.started or 0 for run in runs) <= paused + 2
    assert {run.state for run in runs} == {"succeeded", "queued"}
    assert driver.poll() is None
    driving.geolab("pipeline", "resume", file)
    driver.communicate(timeout=120)
    assert driver.returncode == 0
    _assert_whole(driving, workspace, executions=12)


def test_stop_ends_all_kernels_and_the_next_run_goes_on(workspace, driving, tmp_path):
    file = driving.small(tmp_path / "files", cells=2, work_s=0.5)
    slow = driving.small(tmp_path / "files", cells=2, work_s=3.0)
    driver = driving.start("pipeline", "run", slow)
    driving.until(lambda: len(_kind(driving, workspace, "kernel")) == 2)
    driving.geolab("pipeline", "stop", file)
    driving.until(lambda: _kind(driving, workspace, "kernel") == [], 30)  # 3 s on an idle machine
    driver.communicate(timeout=30)
    assert driver.returncode == 1
    driving.assert_true(workspace)
    driving.until(lambda: driving.of_workspace(workspace.home) == [], 10)
    assert set(driving.states(workspace).values()) == {"cancelled"}
    driving.small(tmp_path / "files", cells=2, work_s=0.1)
    driving.geolab("pipeline", "run", file)
    assert Counter(driving.states(workspace).values()) == {"succeeded": 12}


def test_ctrl_c_ends_all_and_the_next_run_goes_on(workspace, driving, tmp_path):
    file = driving.small(tmp_path / "files", cells=2, work_s=0.4)
    driver = driving.start("pipeline", "run", file)
    driving.until(lambda: _kind(driving, workspace, "kernel"))
    driver.send_signal(signal.SIGINT)
    _, said = driver.communicate(timeout=90)
    assert (driver.returncode, said.strip().splitlines()[-1]) == (130, "stopped")
    driving.until(lambda: driving.of_workspace(workspace.home) == [], 60)
    driving.assert_true(workspace)
    driving.geolab("pipeline", "run", file)
    assert set(driving.successes(workspace).values()) == {1}


def test_one_driver_at_a_time_and_a_dead_one_is_followed(workspace, driving, tmp_path):
    file = driving.small(tmp_path / "files", cells=2, work_s=1.0)
    first = driving.start("pipeline", "run", file)
    driving.until(lambda: _running(workspace))
    said = driving.geolab("pipeline", "run", file, code=2).stderr
    assert f"process {first.pid} on" in said
    assert said.count("\n") == 1
    started = {run.id for run in _running(workspace)}
    first.kill()
    first.communicate()
    driving.geolab("pipeline", "run", file)
    # its workers ended what they held, and nothing was done twice
    _assert_whole(driving, workspace, executions=12)
    ended = [open_ledger(workspace).get(run_id).state for run_id in started]
    assert ended == ["succeeded"] * len(started)


@pytest.mark.parametrize("kind", ["worker", "kernel"])
def test_the_death_of_a_worker_or_kernel_costs_one_run(workspace, driving, tmp_path, kind):
    file = driving.small(tmp_path / "files", cells=2, work_s=1.0)
    driver = driving.start("pipeline", "run", file)
    driving.until(lambda: len(_kind(driving, workspace, "kernel")) == 2)
    os.kill(_kind(driving, workspace, kind)[0].pid, signal.SIGKILL)
    driver.communicate(timeout=120)
    assert driver.returncode == 0
    _assert_whole(driving, workspace, executions=13)


def test_work_that_another_pipeline_does_is_waited_for(workspace, driving, tmp_path):
    file = driving.small(tmp_path / "files", cells=1, work_s=1.0)
    twin = file.with_name("twin.yaml")
    twin.write_text(file.read_text().replace("name: small", "name: twin"))
    first, second = (driving.start("pipeline", "run", one) for one in (file, twin))
    for one in (first, second):
        one.communicate(timeout=120)
        assert one.returncode == 0
    ledger = open_ledger(workspace)
    keys = Counter(run.key for run in ledger.runs(states=("succeeded",)))
    assert (len(keys), set(keys.values())) == (6, {1})
    assert ledger.executions("small") + ledger.executions("twin") == 6


def test_an_unwritable_workspace_is_one_line(workspace, driving, tmp_path):
    file = driving.small(tmp_path / "files", cells=1, work_s=0.0)
    workspace.home.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", str(workspace.home)], check=False)
    if not os.path.ismount(workspace.home):
        pytest.skip("no file system can be mounted here: run as root to test a read-only one")
    try:
        said = driving.geolab("pipeline", "run", file, code=2).stderr
        assert said.count("\n") == 1
        assert "read-only" in said.lower()
    finally:
        subprocess.run(["umount", str(workspace.home)], check=True)


def test_a_full_disk_ends_in_one_line_and_a_true_ledger(workspace, driving, tmp_path):
    file = driving.small(tmp_path / "files", cells=2, work_s=0.0)
    notebook = tmp_path / "files" / "draw.ipynb"
    notebook.write_text(notebook.read_text().replace("* 1000", "* 40000"))  # 1.3 MB each
    runs = workspace.home / "runs"
    runs.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=5m", "none", str(runs)], check=False)
    if not os.path.ismount(runs):
        pytest.skip("no file system can be mounted here: run as root to test a full one")
    try:
        said = driving.geolab("pipeline", "run", file, code=2).stderr.strip().splitlines()
        assert said[-1].startswith("error: ")
        assert "the disk is full" in said[-1]
        assert said[-1].endswith("free some, then the same command with --retry-failed goes on")
        left = open_ledger(workspace).runs(pipeline="small")
        assert {(run.state, run.cause) for run in left} <= {
            ("succeeded", ""),
            ("failed", "disk full"),
            ("queued", ""),
        }
        assert all(run.waiting for run in left if run.active)
        driving.until(lambda: driving.of_workspace(workspace.home) == [], 10)
        subprocess.run(["mount", "-o", "remount,size=50m", str(runs)], check=True)
        driving.geolab("pipeline", "run", file, "--retry-failed")
        assert Counter(driving.states(workspace).values()) == {"succeeded": 12}
    finally:
        subprocess.run(["umount", str(runs)], check=True)


def test_gpus_are_taken_by_one_run_at_a_time():
    devices = Devices(["0", "1"])
    one, other = devices.take(1), devices.take(1)
    assert {*one, *other} == {"0", "1"}
    with pytest.raises(IndexError, match="1 GPUs are wanted, 0 are free"):
        devices.take(1)
    devices.give_back(one)
    assert devices.take(1) == one


def test_a_stage_that_no_gpu_here_can_run_is_refused_at_once(workspace, driving, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    file = driving.small(tmp_path / "files", cells=1, work_s=0.0, more="    gpu: 1")
    said = driving.geolab("pipeline", "run", file, code=2).stderr
    assert "stage draw needs 1 GPU, this machine has 0; give --engine a cluster that has them" in said
    assert open_ledger(workspace).executions("small") == 0


def test_a_report_that_was_damaged_is_made_again(workspace, driving, tmp_path):
    file = driving.small(tmp_path / "files", cells=1, years="2021-2022", work_s=0.0)
    driving.geolab("pipeline", "run", file)
    found = driving.products(workspace)
    damaged = next((workspace.runs / "draw").glob("*/report.json"))
    damaged.write_text('{"run_id": ')
    driving.geolab("pipeline", "run", file)
    assert open_ledger(workspace).executions("small") == 5
    assert driving.products(workspace) == found
    assert json.loads(damaged.read_text())["notebook"] == "draw"


def test_files_of_other_places_do_not_matter(workspace, driving, tmp_path):
    """The folder of a pipeline may move: what is the same work is found again."""
    file = driving.small(tmp_path / "files", cells=1, years="2021-2022", work_s=0.0)
    file.write_text(file.read_text().replace(f"bad: {tmp_path}/files/bad", 'bad: "nowhere"'))
    driving.geolab("pipeline", "run", file)
    (tmp_path / "files").rename(tmp_path / "moved")
    driving.geolab("pipeline", "run", Path(tmp_path, "moved", file.name))
    assert open_ledger(workspace).executions("small") == 4
