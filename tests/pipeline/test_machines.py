"""Two machines: own network, own processes, own workspace; one ledger in PostgreSQL, one folder for runs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from geolab import catalog
from geolab import settings as settings_module
from geolab.jobs.ledger import open_ledger

ISOLATED = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]

_RASTER = """\
import numpy as np
from rasterio.transform import from_origin
import rasterio
out = run.path("scene.tif")
pixels = np.full((1, 40, 50), year % 100 + ord(cell[-1]), "uint8")
facts = dict(driver="GTiff", width=50, height=40, count=1, dtype="uint8", crs="EPSG:32633")
with rasterio.open(out, "w", transform=from_origin(500000, 5000000, 10, 10), **facts) as image:
    image.write(pixels)"""


class _Machine:
    """One machine: processes that see neither network nor processes of others."""

    def __init__(self, name: str, folder: Path, ledger_url: str):
        self.home = folder / name
        self.home.mkdir()
        self.environment = {one: v for one, v in os.environ.items() if not one.startswith("GEOLAB_")} | {
            "GEOLAB_HOME": str(self.home),
            "GEOLAB_HOST": name,
            "GEOLAB_LEDGER_URL": ledger_url,
            "GEOLAB_RUNS_FOLDER": str(folder / "shared"),
            "GEOLAB_LEASE_S": "4",
            "GEOLAB_HEARTBEAT_S": "1",
            "GEOLAB_WARM": "0",
        }
        self.settings = settings_module.load(self.home, self.environment)
        self.processes: list[subprocess.Popen[str]] = []

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        """`geolab` with these arguments on this machine."""
        command = [*ISOLATED, sys.executable, "-m", "geolab", *map(str, arguments)]
        process = subprocess.Popen(
            command, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.processes.append(process)
        return process

    def end(self) -> None:
        """Kill what was started; what it started ends with it."""
        for process in self.processes:
            process.kill()
            process.wait()
            for pipe in (process.stdout, process.stderr):
                assert pipe is not None
                pipe.close()

    def signal(self, processes: list[psutil.Process], number: int) -> None:
        for process in processes:
            if process.name() != "unshare":
                process.send_signal(number)


@pytest.fixture
def machines(postgres, tmp_path):
    """Two machines that share a ledger and a folder, and whatever they started ended afterwards."""
    can = shutil.which("unshare") and subprocess.run([*ISOLATED, "true"], capture_output=True).returncode == 0
    if not can:
        pytest.skip("no namespaces here: run as root on Linux to test two machines")
    (tmp_path / "shared").mkdir()
    url = postgres.url(postgres.new(), socket=True)  # a file: each machine has a network of its own
    made = [_Machine(name, tmp_path, url) for name in ("east", "west")]
    yield made
    for machine in made:
        machine.end()


def _runs_of(settings, host: str) -> list:
    ledger = open_ledger(settings)
    return [run for run in ledger.runs(states=("running",), pipeline="small") if run.owner.name == host]


@pytest.mark.slow
def test_a_machine_that_is_cut_off_loses_its_work_to_the_other_and_does_no_harm(machines, driving, tmp_path):
    east, west = machines
    file = driving.small(tmp_path / "files", cells=2, work_s=1.0)
    notebook = tmp_path / "files" / "draw.ipynb"
    driving.notebook(
        notebook,
        'cell: str = "a"  # which\nyear: int = 2021  # when\nbad: str = ""  # unused',
        "import time\nfrom geolab import jobs\nrun = jobs.context()",
        "time.sleep(1.5)",
        _RASTER,
        "jobs.report(scene=out)",
    )
    driver = east.start("pipeline", "run", file, "--workers", 1)
    west.start("worker", "--workers", 1)
    # west has done something, and holds something
    driving.until(lambda: _done_by(east.settings, "west") and _runs_of(east.settings, "west"), 120)
    held = _runs_of(east.settings, "west")[0]
    frozen = driving.of_workspace(west.home)
    west.signal(frozen, signal.SIGSTOP)
    driving.until(lambda: open_ledger(east.settings).get(held.id).state == "lost", 60)
    _, said = driver.communicate(timeout=240)
    assert driver.returncode == 0, said
    newest = {run.slot: run for run in open_ledger(east.settings).newest("small")}
    assert newest[held.slot].id != held.id
    before = driving.products(east.settings)
    west.signal(frozen, signal.SIGCONT)
    time.sleep(6)  # its late result
    assert driving.products(east.settings) == before
    assert open_ledger(east.settings).get(held.id).state == "lost"
    assert Counter(driving.states(east.settings).values()) == {"succeeded": 12}
    assert set(driving.successes(east.settings).values()) == {1}
    assert open_ledger(east.settings).executions("small") == 13
    # whoever made it, east's catalogue has it
    known = catalog.open_catalog(east.settings)
    draws = [run for slot, run in newest.items() if slot.startswith("draw")]
    assert {run.owner.name for run in draws} == {"east", "west"}
    for run in draws:
        assert known.get(f"{run.key[:16]}-scene")["properties"]["geolab:run"] == run.id


def _done_by(settings, host: str) -> bool:
    ledger = open_ledger(settings)
    return any(run.owner.name == host for run in ledger.runs(states=("succeeded",), pipeline="small"))


@pytest.mark.slow
def test_two_drivers_of_two_machines_do_not_drive_one_pipeline(machines, driving, tmp_path):
    east, west = machines
    file = driving.small(tmp_path / "files", cells=1, work_s=1.0)
    first = east.start("pipeline", "run", file, "--workers", 1)
    driving.until(lambda: _runs_of(east.settings, "east"), 120)
    second = west.start("pipeline", "run", file, "--workers", 1)
    _, said = second.communicate(timeout=60)
    assert second.returncode == 2
    assert " on east;" in said
    frozen = driving.of_workspace(east.home)
    east.signal(frozen, signal.SIGKILL)
    first.communicate(timeout=30)
    driving.until(lambda: _take_over(west, file) == 0, 240)  # once the heartbeat is older than a lease
    assert Counter(driving.states(west.settings).values()) == {"succeeded": 6}
    assert set(driving.successes(west.settings).values()) == {1}


def _take_over(machine: _Machine, file: Path) -> int:
    process = machine.start("pipeline", "run", file, "--workers", 1)
    process.communicate(timeout=200)
    return process.returncode
