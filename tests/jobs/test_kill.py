"""SIGKILL to the parts of a run, at many moments: nothing half-done is seen, and doing it again works."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from geolab import jobs
from geolab.jobs import folders
from geolab.jobs.ledger import open_ledger
from geolab.jobs.reconcile import reconcile

# seconds after the submission; a run takes about 3 s: interpreter, papermill, kernel, cells, publishing
MOMENTS = [0.0, 0.2, 0.6, 1.2, 1.8, 2.4]


@pytest.fixture
def writing(make_notebook) -> Path:
    """A notebook that writes for about half a second, and reports at the end."""
    return make_notebook(
        "size: int = 30  # pieces",
        "import time\nfrom geolab import jobs\nrun = jobs.context()",
        "for piece in range(size):\n"
        "    with run.path('big.bin').open('ab') as stream:\n"
        "        stream.write(bytes(100_000))\n"
        "    time.sleep(0.02)",
        "jobs.report(file=run.path('big.bin'))",
        name="writing",
    )


def _kernel(settings, run_id: str) -> list[psutil.Process]:
    """The kernel of a run; nothing before it has started."""
    wanted = str(folders.private(settings, run_id) / folders.DESCRIBED)
    found = []
    for process in psutil.process_iter():
        try:
            ours = process.environ().get("GEOLAB_RUN") == wanted
            if ours and "ipykernel_launcher" in process.cmdline():
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def _assert_clean(settings, notebook: str) -> None:
    """No partial folder is visible, no private one is left."""
    for folder in (settings.runs / notebook).glob("*"):
        assert folder.name == "attempts" or (folder / "report.json").is_file()
    for attempt in (settings.runs / notebook / "attempts").glob("*"):
        kept = {"notebook.ipynb", "log.txt", "events.jsonl", "report.json"}
        assert {p.name for p in attempt.iterdir()} <= kept
    assert list(folders.private_root(settings).iterdir()) == []


def _assert_repeats(settings, path: Path) -> None:
    outcome = jobs.run(path, settings=settings)
    assert (outcome.state, outcome.error) == ("succeeded", "")
    assert (outcome.folder / "big.bin").stat().st_size == 30 * 100_000
    _assert_clean(settings, "writing")


@pytest.mark.slow
@pytest.mark.parametrize("delay_s", MOMENTS)
def test_a_killed_runner_leaves_a_lost_run_and_nothing_else(workspace, writing, delay_s):
    submitted = jobs.submit(writing, settings=workspace)
    time.sleep(delay_s)
    pid = open_ledger(workspace).get(submitted.run_id).owner.pid
    assert pid != os.getpid()
    with suppress(ProcessLookupError):  # on a fast machine it is done before the last moments
        os.kill(pid, signal.SIGKILL)
    outcome = jobs.wait(submitted.run_id, settings=workspace)
    assert outcome.state in ("lost", "succeeded")
    reconcile(workspace, open_ledger(workspace))
    _assert_clean(workspace, "writing")
    assert _kernel(workspace, submitted.run_id) == []
    _assert_repeats(workspace, writing)


@pytest.mark.slow
@pytest.mark.parametrize("delay_s", MOMENTS[2:])
def test_a_killed_kernel_leaves_a_failed_run_and_nothing_else(workspace, writing, delay_s):
    submitted = jobs.submit(writing, settings=workspace)
    time.sleep(delay_s)
    while not (kernel := _kernel(workspace, submitted.run_id)):
        if not open_ledger(workspace).get(submitted.run_id).active:
            break
        time.sleep(0.01)
    for process in kernel:
        process.kill()
    outcome = jobs.wait(submitted.run_id, settings=workspace)
    assert outcome.state == "succeeded" or (outcome.state == "failed" and "kernel" in outcome.error)
    _assert_clean(workspace, "writing")
    _assert_repeats(workspace, writing)


@pytest.mark.parametrize("with_report", [True, False], ids=["before the rename", "after the rename"])
def test_a_run_killed_while_publishing_is_published_by_the_next_who_looks(workspace, counting, with_report):
    outcome = jobs.run(counting, settings=workspace)
    ledger = open_ledger(workspace)
    done = ledger.get(outcome.run_id)
    # as it was a moment before: running, by a process that is dead now
    ledger.put(replace(done, state="running", finished=None, owner=replace(done.owner, started="gone")))
    if with_report:
        outcome.folder.rename(folders.private(workspace, done.id))
    view = jobs.show(done.id, settings=workspace)
    assert (view.state, view.folder) == ("succeeded", outcome.folder)
    assert jobs.run(counting, settings=workspace).reused
    _assert_clean(workspace, "counting")


def test_kill_ends_a_run_at_once(workspace, make_notebook):
    path = make_notebook("", "import time\ntime.sleep(60)", name="hangs")
    submitted = jobs.submit(path, settings=workspace)
    while not _kernel(workspace, submitted.run_id):
        time.sleep(0.05)
    view = jobs.kill(submitted.run_id, settings=workspace)
    assert view.state == "cancelled"
    assert _kernel(workspace, submitted.run_id) == []
    _assert_clean(workspace, "hangs")
