"""Runs done one after another in one process, which is afterwards as it was before."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace

import psutil
import pytest

from geolab import jobs
from geolab.jobs import environment, folders, warm
from geolab.jobs.ledger import Control, open_ledger
from geolab.jobs.record import NOBODY

# does the runs given as arguments and prints, after each, what this process is like
_MANY = """
import json, logging, os, signal, sys, threading, time
import psutil
from geolab import jobs

def like():
    me = psutil.Process()
    return {
        "cwd": os.getcwd(), "environ": dict(os.environ), "threads": len(me.threads()),
        "files": sorted(f"{fd} {os.readlink(f'/proc/self/fd/{fd}')}" for fd in os.listdir("/proc/self/fd")
                        if os.path.exists(f"/proc/self/fd/{fd}")),
        "sigterm": str(signal.getsignal(signal.SIGTERM)), "children": len(me.children(recursive=True)),
        "handlers": str(logging.getLogger().handlers), "level": logging.getLogger("geolab").level,
        "stdout": str(sys.stdout), "alive": [t.name for t in threading.enumerate()],
    }

seen = [like()]
for run_id in sys.argv[1:]:
    print("before", run_id)
    state = jobs.perform(run_id)
    print("after", state)
    for _ in range(50):  # ZeroMQ's own threads end a moment later
        if len(psutil.Process().threads()) <= seen[-1]["threads"]:
            break
        time.sleep(0.1)
    seen.append(like())
print(json.dumps(seen))
"""


def _after(run_ids: list[str]) -> tuple[list[str], list[dict]]:
    done = subprocess.run(
        [sys.executable, "-c", _MANY, *run_ids], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.stderr == ""
    *lines, seen = done.stdout.splitlines()
    return lines, json.loads(seen)


def _processes_of(settings) -> list[str]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get("GEOLAB_RUN", "").startswith(str(settings.runs)):
                found.append(" ".join(process.cmdline()))
    return found


@pytest.mark.slow
def test_one_process_does_run_after_run_and_stays_as_it_was(workspace, make_notebook):
    prints = make_notebook(
        "n: int = 1",
        "import os, subprocess, logging\nfrom geolab import jobs\nrun = jobs.context()",
        "print('cell says', n, flush=True)\nprint(os.environ['GEOLAB_RUN'])",
        "subprocess.Popen(['sleep', '600'], start_new_session=True)",  # left behind
        "if n == 2:\n    raise ValueError('two')",
        "jobs.report(n=n, cwd=os.getcwd())",
        name="prints",
    )
    queued = [jobs.enqueue(prints, {"n": n}, settings=workspace).run_id for n in (1, 2, 3)]
    again = jobs.enqueue(prints, {"n": 4}, settings=workspace).run_id
    lines, seen = _after([*queued, queued[0], again])
    assert lines[1::2] == ["after succeeded", "after failed", "after succeeded", "after ", "after succeeded"]
    assert len(lines) == 10  # nothing that a notebook prints comes out of the process
    for name in ("cwd", "environ", "sigterm", "children", "handlers", "level", "stdout"):
        assert seen[0][name] == seen[1][name] == seen[-1][name], name
    assert _processes_of(workspace) == []  # the one left behind has ended too
    # libraries may open what they keep during the first run; nothing is added by later ones
    for name in ("threads", "files", "alive"):
        assert seen[2][name] == seen[3][name] == seen[-1][name], name
    for number, run_id in enumerate(queued, start=1):
        view = jobs.show(run_id, settings=workspace)
        log = (view.folder / "log.txt").read_text()
        assert f"cell says {number}" in log
        assert [f"cell says {other}" in log for other in (1, 2, 3) if other != number] == [False, False]
        if view.report:  # each worked in its own folder, which has its final name in the report
            assert view.report["results"]["cwd"] == str(view.folder)


@pytest.mark.slow
def test_a_queued_run_belongs_to_nobody_until_it_is_claimed_or_asked_for(workspace, counting):
    queued = jobs.enqueue(
        counting, settings=workspace, pipeline="p", slot="s/1", priority=3, retries=1, gpu=0
    )
    record = open_ledger(workspace).get(queued.run_id)
    assert (record.owner, record.state, record.priority, record.slot) == (NOBODY, "queued", 3, "s/1")
    assert jobs.runs(settings=workspace)[0].state == "queued"  # looking does not lose it
    assert jobs.log_path(queued.run_id, settings=workspace).read_text() == ""
    assert list(jobs.log_lines(queued.run_id, settings=workspace)) == []
    assert jobs.enqueue(counting, settings=workspace).run_id == queued.run_id
    submitted = jobs.submit(counting, settings=workspace)
    assert (submitted.run_id, submitted.reused) == (queued.run_id, True)
    assert jobs.wait(submitted.run_id, settings=workspace).state == "succeeded"
    assert jobs.enqueue(counting, settings=workspace) == jobs.Submitted(queued.run_id, reused=True)
    assert jobs.enqueue(counting, settings=workspace, force=True).run_id != queued.run_id


def test_a_run_of_a_paused_pipeline_or_of_somebody_else_is_not_performed(workspace, counting):
    ledger = open_ledger(workspace)
    queued = jobs.enqueue(counting, settings=workspace, pipeline="quiet", slot="s/1")
    ledger.set_control(Control("quiet", "paused"))
    assert jobs.perform(queued.run_id, settings=workspace) == ""
    ledger.set_control(Control("quiet", "active"))
    other = replace(ledger.get(queued.run_id).owner, host="elsewhere", pid=1, started="x")
    assert ledger.claim(queued.run_id, owner=other, lease_s=60)
    assert jobs.perform(queued.run_id, settings=workspace) == ""
    assert ledger.get(queued.run_id).state == "running"


def test_the_key_is_that_of_the_run_and_changes_with_what_is_needed(workspace, counting):
    key, values = jobs.key_of(counting, {"n": "5"}, settings=workspace)
    assert values == {"n": 5, "word": "a"}
    assert not workspace.ledger_path.exists()  # nothing was asked for
    queued = jobs.enqueue(counting, {"n": 5}, settings=workspace)
    assert open_ledger(workspace).get(queued.run_id).key == key
    needing, _ = jobs.key_of(counting, {"n": 5}, settings=workspace, needs=["a" * 64])
    assert needing != key
    queued = jobs.enqueue(counting, {"n": 5}, settings=workspace, needs=["a" * 64])
    assert open_ledger(workspace).get(queued.run_id).key == needing


@pytest.mark.slow
def test_a_run_whose_folder_is_gone_fails_in_words(workspace, counting):
    queued = jobs.enqueue(counting, settings=workspace)
    shutil.rmtree(folders.private(workspace, queued.run_id))
    assert jobs.perform(queued.run_id, settings=workspace) == "failed"
    view = jobs.show(queued.run_id, settings=workspace)
    assert "has no folder" in view.error
    assert "\n" not in view.error


def test_a_kernel_does_not_get_the_password_of_the_ledger(workspace, monkeypatch, tmp_path):
    monkeypatch.setenv("PGPASSWORD", "hush-hush")
    monkeypatch.setenv("AWS_PROFILE", "mine")
    settings = replace(workspace, ledger_url="postgresql://me:hush-hush@db.example:5432/geolab")
    monkeypatch.setenv("GEOLAB_LEDGER_URL", settings.ledger_url)
    given = environment.of_kernel(settings, tmp_path, "0" * 14)
    assert [name for name, value in given.items() if "hush-hush" in value] == []
    assert given["GEOLAB_LEDGER_URL"].startswith("postgresql://me")
    assert given["AWS_PROFILE"] == "mine"
    assert environment.of_worker(settings)["GEOLAB_LEDGER_URL"] == settings.ledger_url
    with environment.replaced(given):
        assert "PGPASSWORD" not in os.environ
    assert os.environ["PGPASSWORD"] == "hush-hush"


@pytest.mark.slow
def test_no_file_of_a_run_holds_the_password_of_its_ledger(
    workspace, make_notebook, postgres_url, monkeypatch
):
    secret = postgres_url.split(":")[2].split("@")[0]
    settings = replace(workspace, ledger_url=postgres_url)
    monkeypatch.setenv("GEOLAB_LEDGER_URL", postgres_url)
    path = make_notebook(
        "n: int = 1",
        "import os\nfrom geolab import jobs\nrun = jobs.context()\nprint(dict(os.environ), run.settings)",
        "print(open('/proc/self/environ').read())",
        "jobs.report(ledger=run.settings.ledger_url)",
        name="curious",
    )
    with warm.start(settings) as template:
        for n in (1, 2):
            run_id = jobs.enqueue(path, {"n": n}, settings=settings).run_id
            assert jobs.perform(run_id, settings=settings, template=template) == "succeeded"
            view = jobs.show(run_id, settings=settings)
            assert view.report["results"]["ledger"].startswith("postgresql://geolab")
            for file in view.folder.iterdir():
                assert secret not in file.read_text(), file.name
    outcome = jobs.run(path, {"n": 3}, settings=settings)  # in a process of its own
    assert outcome.state == "succeeded"
    assert [f.name for f in outcome.folder.iterdir() if secret in f.read_text()] == []
