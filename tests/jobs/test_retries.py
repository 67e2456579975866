"""Further attempts: by themselves with back-off, and asked for."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from geolab import cli, jobs
from geolab.errors import BadInput, NotFound
from geolab.jobs import folders
from geolab.jobs.ledger import open_ledger

pytestmark = pytest.mark.slow


@pytest.fixture
def mending(make_notebook, tmp_path: Path) -> Path:
    """A notebook that fails until it was tried `good` times."""
    return make_notebook(
        f'good: int = 3  # the first attempt that succeeds\ntries: str = "{tmp_path / "tries"}"',
        "from pathlib import Path\nfrom geolab import jobs\nfile = Path(tries)",
        "file.write_text(file.read_text() + 'x' if file.exists() else 'x')",
        "if len(file.read_text()) < good:\n    raise OSError('the server answers 503')",
        "jobs.report(tries=len(file.read_text()))",
        name="mending",
    )


def _attempts(settings, outcome):
    return sorted(open_ledger(settings).runs(key=outcome.key), key=lambda run: run.id)


def test_a_failure_is_tried_again_after_a_wait_that_doubles(workspace, mending):
    outcome = jobs.run(mending, settings=workspace, retries=3, backoff_s=0.5)
    assert (outcome.state, outcome.results, outcome.reused) == ("succeeded", {"tries": 3}, False)
    found = _attempts(workspace, outcome)
    assert [run.state for run in found] == ["failed", "failed", "succeeded"]
    assert [run.attempt for run in found] == [1, 2, 3]
    assert [run.retries for run in found] == [3, 2, 1]
    waits = [b.started - a.finished for a, b in pairwise(found)]
    assert waits[0] >= 0.5
    assert waits[1] >= 1.0
    assert len({run.owner for run in found}) == 1  # the process of the first goes on
    for run in found[:2]:
        assert (Path(run.folder) / "notebook.ipynb").is_file()
    assert list(folders.private_root(workspace).iterdir()) == []


def test_when_the_retries_are_used_up_the_last_failure_is_the_outcome(workspace, mending):
    outcome = jobs.run(mending, {"good": 9}, settings=workspace, retries=1, backoff_s=0.1)
    assert outcome.state == "failed"
    assert "503" in outcome.error
    assert [run.retries for run in _attempts(workspace, outcome)] == [1, 0]


def _wait_for(true, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _waiting_attempt(settings, mending):
    """The second attempt of a run, while it waits for its time."""
    settings = replace(settings, lease_s=2.0, heartbeat_s=0.3)
    jobs.submit(mending, settings=settings, retries=2, backoff_s=600)
    ledger = open_ledger(settings)
    _wait_for(lambda: len(ledger.runs()) == 2)
    return settings, ledger.runs()[0]


def test_an_attempt_that_waits_keeps_its_lease_and_can_be_cancelled(workspace, mending):
    settings, second = _waiting_attempt(workspace, mending)
    time.sleep(3)  # longer than a lease
    assert jobs.show(second.id, settings=settings).state == "queued"
    jobs.cancel(second.id, settings=settings)
    assert jobs.wait(second.id, settings=settings).state == "cancelled"
    _wait_for(lambda: list(folders.private_root(settings).iterdir()) == [])


def test_an_attempt_whose_process_is_killed_while_it_waits_is_lost(workspace, mending):
    settings, second = _waiting_attempt(workspace, mending)
    os.kill(second.owner.pid, signal.SIGKILL)
    assert jobs.wait(second.id, settings=settings).state == "lost"
    assert list(folders.private_root(settings).iterdir()) == []


def test_a_pipeline_decides_itself_about_further_attempts(workspace, mending):
    queued = jobs.enqueue(mending, settings=workspace, retries=2, pipeline="p", slot="s/c")
    assert jobs.perform(queued.run_id, settings=workspace) == "failed"
    assert len(jobs.runs(settings=workspace)) == 1


def test_a_retry_takes_the_notebook_as_it_is_now(workspace, make_notebook):
    path = make_notebook("n: int = 1", "1 / 0", name="mended")
    failed = jobs.run(path, {"n": 2}, settings=workspace, timeout_s=77)
    assert jobs.to_retry(settings=workspace) == [failed.run_id]
    make_notebook("n: int = 1", "from geolab import jobs", "jobs.report(n=n)", name="mended")
    submitted = jobs.retry(failed.run_id, settings=workspace)
    outcome = jobs.wait(submitted.run_id, settings=workspace)
    assert (outcome.state, outcome.results) == ("succeeded", {"n": 2})
    assert open_ledger(workspace).get(submitted.run_id).timeout_s == 77
    with pytest.raises(BadInput, match="which is succeeded, expected one that did not succeed"):
        jobs.retry(outcome.run_id, settings=workspace)
    path.unlink()
    with pytest.raises(NotFound, match="give its new place to geolab run"):
        jobs.retry(failed.run_id, settings=workspace)


def test_runs_retry_on_the_command_line(workspace, make_notebook, mending, capsys):
    bad = make_notebook("n: int = 1", "1 / 0", name="bad")
    first = jobs.run(bad, settings=workspace)
    second = jobs.run(mending, {"good": 2}, settings=workspace)
    jobs.run(bad, settings=workspace)  # newer: only this one is tried again
    capsys.readouterr()
    assert cli.main(["runs", "retry", "--failed", "--json"]) == 1
    rows = json.loads(capsys.readouterr().out)
    assert {row["retried"]: row["state"] for row in rows}[second.run_id] == "succeeded"
    assert [row["state"] for row in rows if row["retried"] != second.run_id] == ["failed"]
    assert len(rows) == 2
    assert cli.main(["runs", "retry", first.run_id, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["state"] == "failed"
    assert cli.main(["runs", "retry"]) == 2
    assert "expected ID [--detach], or --failed" in capsys.readouterr().err
    assert cli.main(["runs", "retry", second.run_id, "--failed"]) == 2


def test_a_retried_run_of_a_pipeline_keeps_its_place_and_its_key(workspace, mending):
    given = {"pipeline": "yearly", "slot": "change/a-1", "needs": ["b" * 64, "a" * 64]}
    queued = jobs.enqueue(mending, {"good": 2}, settings=workspace, **given)
    assert jobs.perform(queued.run_id, settings=workspace) == "failed"
    submitted = jobs.retry(queued.run_id, settings=workspace)
    outcome = jobs.wait(submitted.run_id, settings=workspace)
    assert outcome.state == "succeeded"
    found = _attempts(workspace, outcome)
    assert [(run.pipeline, run.slot) for run in found] == [("yearly", "change/a-1")] * 2
    assert outcome.key == jobs.key_of(mending, {"good": 2}, settings=workspace, needs=given["needs"])[0]
