"""Dask as the engine: a real scheduler and workers, killed like everything else."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter

import pytest
from distributed import Client

from geolab import settings as settings_module
from geolab.errors import BadInput, EngineError
from geolab.jobs.ledger import open_ledger
from geolab.jobs.record import Record
from geolab.pipeline import driver, engines, spec
from geolab.pipeline.engines import task_name


@pytest.fixture
def workspace(workspace, monkeypatch):
    monkeypatch.setenv("GEOLAB_WARM", "0")
    return settings_module.load()


@pytest.fixture
def cluster(workspace):
    """A scheduler without workers; ended with all that the test started."""
    made = _Cluster()
    yield made
    made.end()


class _Cluster:
    def __init__(self):
        self.processes: list[subprocess.Popen[str]] = []
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port = one.getsockname()[1]
        self.url = f"tcp://127.0.0.1:{self.port}"
        self.scheduler = self.schedule()

    def schedule(self) -> subprocess.Popen[str]:
        """A new scheduler at the same address."""
        options = ["--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard"]
        return self._start("-m", "dask", "scheduler", *options)

    def worker(self) -> subprocess.Popen[str]:
        """A worker of geolab's own, with one process."""
        return self._start("-m", "geolab", "worker", "--engine", self.url, "--workers", "1")

    def plain(self) -> subprocess.Popen[str]:
        """A worker that knows nothing of geolab's workspace."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GEOLAB_")}
        return self._start("-m", "dask", "worker", self.url, "--no-dashboard", "--no-nanny", env=environment)

    def _start(self, *command: str, **more) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, *command], text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **more
        )
        self.processes.append(process)
        return process

    def end(self) -> None:
        for process in reversed(self.processes):
            process.kill()
            process.wait()
            assert process.stderr is not None
            process.stderr.close()


def _running_on(settings) -> set[int]:
    """The processes that hold a run of the pipeline."""
    return {run.owner.pid for run in open_ledger(settings).runs(states=("running",), pipeline="small")}


@pytest.mark.slow
def test_two_workers_do_a_pipeline_and_one_of_them_may_die(workspace, driving, tmp_path, cluster):
    file = driving.small(tmp_path / "files", cells=2, work_s=1.0)
    victim, _other = cluster.worker(), cluster.worker()
    driver = driving.start("pipeline", "run", file, "--engine", cluster.url)
    driving.until(lambda: len(_running_on(workspace)) == 2, 90)
    victim.kill()
    _, said = driver.communicate(timeout=240)
    assert driver.returncode == 0, said
    assert Counter(driving.states(workspace).values()) == {"succeeded": 12}
    assert set(driving.successes(workspace).values()) == {1}
    assert open_ledger(workspace).executions("small") == 12  # its pool ended what it held
    driving.assert_true(workspace)


@pytest.mark.slow
def test_a_lost_scheduler_is_one_line_and_a_new_one_goes_on(workspace, driving, tmp_path, cluster):
    file = driving.small(tmp_path / "files", cells=2, work_s=0.5)
    cluster.worker()
    driver = driving.start("pipeline", "run", file, "--engine", cluster.url)
    driving.until(lambda: driving.successes(workspace), 90)
    cluster.scheduler.kill()
    _, said = driver.communicate(timeout=60)
    assert driver.returncode == 2
    assert said.strip().splitlines()[-1].startswith(f"error: the Dask scheduler {cluster.url} is lost")
    assert "Traceback" not in said
    before = set(driving.successes(workspace))
    cluster.scheduler.communicate()
    cluster.schedule()
    cluster.worker()
    driving.geolab("pipeline", "run", file, "--engine", cluster.url)
    assert Counter(driving.states(workspace).values()) == {"succeeded": 12}
    assert set(driving.successes(workspace).values()) == {1}
    assert before


@pytest.mark.slow
def test_a_plain_worker_of_the_same_machine_uses_the_drivers_workspace(workspace, driving, tmp_path, cluster):
    file = driving.small(tmp_path / "files", cells=1, years="2021-2022", work_s=0.0)
    cluster.plain()
    driving.geolab("pipeline", "run", file, "--engine", cluster.url)
    assert Counter(driving.states(workspace).values()) == {"succeeded": 4}


@pytest.mark.slow
def test_a_worker_with_another_workspace_is_one_line(workspace, driving, tmp_path, cluster, monkeypatch):
    file = driving.small(tmp_path / "files", cells=1, years="2021-2022", work_s=0.0)
    with monkeypatch.context() as patched:
        patched.setenv("GEOLAB_HOME", str(tmp_path / "another"))
        cluster.worker()
    said = (
        driving.geolab("pipeline", "run", file, "--engine", cluster.url, code=2).stderr.strip().splitlines()
    )
    assert "another ledger" in said[-1]
    assert "GEOLAB_LEDGER_URL" in said[-1]
    assert {run.state for run in open_ledger(workspace).runs(pipeline="small")} == {"queued"}


def test_no_scheduler_is_one_line(workspace, driving, tmp_path):
    file = driving.small(tmp_path / "files", cells=1)
    began = time.monotonic()
    said = driving.geolab("pipeline", "run", file, "--engine", "tcp://127.0.0.1:9", code=2).stderr
    assert said.startswith("error: no Dask scheduler answers at tcp://127.0.0.1:9")
    assert said.count("\n") == 1
    assert time.monotonic() - began < 40


def test_an_engine_without_a_protocol_is_refused(workspace):
    with pytest.raises(BadInput, match=r"tcp://127.0.0.1:8786"), engines.executor("localhost", workspace):
        pass


def test_another_version_of_geolab_is_one_line():
    from geolab.pipeline import dask

    with pytest.raises(
        EngineError, match=r"has geolab .*, the driver 9.9: install the same version"
    ) as problem:
        dask.perform("/nowhere", "9.9", "x", 0)
    assert "\n" not in str(problem.value)
    with pytest.raises(EngineError, match=r"worker tcp://x of tcp://s has geolab 0.0"):
        dask._check_versions("tcp://s", {"tcp://x": {"geolab": {"version": "0.0"}}})


def test_tasks_are_named_after_stage_and_cell_and_never_twice_the_same():
    run = Record("1" * 14, "draw", "k", pipeline="p", slot="draw/c01/2021")
    one, other = task_name(run), task_name(run)
    assert one.startswith("draw-c01-2021-")
    assert one != other


def test_a_worker_ends_what_it_holds_when_it_is_told_to_end(workspace, driving, tmp_path, cluster):
    file = driving.small(tmp_path / "files", cells=1, years="2021-2021", work_s=2.0)
    file.write_text(file.read_text().split("  compare:")[0])
    worker = cluster.worker()
    driver = driving.start("pipeline", "run", file, "--engine", cluster.url)
    driving.until(lambda: _running_on(workspace), 90)
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=60)
    driver.communicate(timeout=60)
    assert (worker.returncode, driver.returncode) == (0, 0)
    assert open_ledger(workspace).executions("small") == 1


@pytest.mark.slow
def test_a_client_that_is_connected_serves_as_well_and_stays_so(workspace, driving, cluster, tmp_path):
    """As a gateway or a job queue gives it, with credentials that no URL has."""
    cluster.worker()
    file = driving.small(tmp_path / "files", cells=1, years="2021-2022", work_s=0.0)
    with Client(cluster.url, set_as_default=False) as client:
        shown = list(driver.drive(spec.load(file, {}, workspace), settings=workspace, engine=client))
        assert client.status == "running"
    assert shown[-1].counts == {"succeeded": 4}
    control = open_ledger(workspace).control("small")
    assert control is not None
    assert control.engine == cluster.url
