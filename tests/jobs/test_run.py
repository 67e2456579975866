"""Runs from end to end, with real processes and kernels."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from geolab import jobs
from geolab.errors import BadInput, NotFound
from geolab.jobs import folders
from geolab.jobs.ledger import open_ledger
from geolab.jobs.reconcile import _remove_unknown, rebuild

pytestmark = pytest.mark.slow  # nearly every test here runs a kernel or several

HOSTILE = "x\"; import os #\\\" \n\t''' é {n} $HOME `id` \\N{BULLET}"


def _visible(settings, notebook: str) -> list[str]:
    """What lies below the folder of a notebook's runs, attempts aside."""
    root = settings.runs / notebook
    return sorted(p.name for p in root.iterdir() if p.name != "attempts") if root.is_dir() else []


def test_a_run_is_published_reported_logged_and_found_again(workspace, counting):
    outcome = jobs.run(counting, {"n": "5", "word": HOSTILE}, settings=workspace)
    assert (outcome.state, outcome.reused, outcome.error) == ("succeeded", False, "")
    assert outcome.folder == workspace.runs / "counting" / outcome.key[:16]
    file = outcome.folder / "sub" / "a.txt"
    assert outcome.results == {"n": 5, "word": HOSTILE, "file": file.as_uri()}
    assert file.read_text() == "xxxxx"
    names = {p.name for p in outcome.folder.iterdir()}
    assert names == {"notebook.ipynb", "log.txt", "events.jsonl", "report.json", "sub"}
    assert "hello x" in (outcome.folder / "log.txt").read_text()
    report = json.loads((outcome.folder / "report.json").read_text())
    assert report["parameters"] == {"n": 5, "word": HOSTILE}
    assert report["seconds"] > 0
    assert ".private" not in (outcome.folder / "report.json").read_text()
    assert ".private" not in (outcome.folder / "notebook.ipynb").read_text()
    assert list(folders.private_root(workspace).iterdir()) == []

    again = jobs.run(counting, {"word": HOSTILE, "n": 5}, settings=workspace)
    assert again == replace(outcome, reused=True)
    view = jobs.show(outcome.run_id[:12], settings=workspace)
    assert (view.state, view.report) == ("succeeded", report)
    assert jobs.as_json(again) == {
        "run_id": outcome.run_id,
        "state": "succeeded",
        "key": outcome.key,
        "folder": str(outcome.folder),
        "reused": True,
        "results": outcome.results,
    }
    # the folders are enough: a ledger that is lost comes back from them
    workspace.ledger_path.unlink()
    assert rebuild(workspace, open_ledger(workspace)) == 1
    rebuilt = jobs.show(outcome.run_id, settings=workspace)
    unknown = {"host": "", "pid": 0, "finished": None, "seconds": None}
    assert replace(rebuilt, **unknown) == replace(view, **unknown)
    # and text cells do not count for the key, but code does
    document = json.loads(counting.read_text())
    document["cells"][0]["source"] = "# Another title"
    counting.write_text(json.dumps(document))
    assert jobs.run(counting, {"word": HOSTILE, "n": 5}, settings=workspace).reused
    assert jobs.submit(counting, {"n": 6}, settings=workspace).reused is False


def test_force_replaces_the_results_and_keeps_the_older_log(workspace, counting):
    first = jobs.run(counting, settings=workspace)
    (first.folder / "sub" / "mark").write_text("of the first")
    second = jobs.run(counting, settings=workspace, force=True)
    assert (second.state, second.reused, second.folder) == ("succeeded", False, first.folder)
    assert second.run_id != first.run_id
    assert not (second.folder / "sub" / "mark").exists()
    older = jobs.show(first.run_id, settings=workspace)
    assert older.folder == workspace.runs / "counting" / "attempts" / first.run_id
    assert sorted(p.name for p in older.folder.iterdir()) == sorted(
        ["notebook.ipynb", "log.txt", "events.jsonl", "report.json"]
    )
    assert jobs.log_path(first.run_id, settings=workspace).is_file()
    assert jobs.run(counting, settings=workspace).run_id == second.run_id
    assert jobs.show(second.run_id, settings=workspace).attempt == 2
    workspace.ledger_path.unlink()
    third = jobs.run(counting, settings=workspace, force=True)
    assert third.state == "succeeded"
    assert jobs.show(second.run_id, settings=workspace).folder.parent == older.folder.parent


@pytest.mark.parametrize("in_one_step", [True, False])
def test_two_folders_exchange_their_names(tmp_path, monkeypatch, in_one_step):
    if not in_one_step:  # a system without the call
        monkeypatch.setattr(folders.ctypes, "CDLL", lambda name: object())
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    folders._exchange(tmp_path / "a", tmp_path / "b")
    assert [(tmp_path / name / "file").read_text() for name in "ab"] == ["b", "a"]
    assert len(list(tmp_path.iterdir())) == 2


def test_two_runs_of_the_same_key_at_once_execute_once(workspace, sleeping):
    code = (
        "import sys; from geolab import jobs;"
        "o = jobs.run(sys.argv[1], {'seconds': '1.5'}); print(o.run_id, o.state, o.reused)"
    )
    command = [sys.executable, "-c", code, str(sleeping)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    lines = [process.communicate()[0].split() for process in both]
    assert len({line[0] for line in lines}) == 1
    assert {line[1] for line in lines} == {"succeeded"}
    assert sorted(line[2] for line in lines) == ["False", "True", "True"]
    assert len(jobs.runs(settings=workspace)) == 1


def test_a_folder_given_up_while_another_process_tidies_is_no_error(workspace, tmp_path):
    _remove_unknown(workspace, tmp_path / "given-up")


def test_a_failure_shows_the_cell_and_its_own_traceback(workspace, make_notebook):
    path = make_notebook(
        "n: int = 1", "x = {}", "def f(k):\n    return x[k]\nf('no')", "print('never')", name="bad"
    )
    outcome = jobs.run(path, settings=workspace)
    assert outcome.state == "failed"
    assert outcome.error.startswith(
        "cell 4 failed: KeyError: 'no'\n\n    def f(k):\n        return x[k]\n    f('no')"
    )
    assert "papermill" not in outcome.error
    assert "\x1b" not in outcome.error
    assert outcome.folder == workspace.runs / "bad" / "attempts" / outcome.run_id
    assert {p.name for p in outcome.folder.iterdir()} == {"notebook.ipynb", "log.txt", "events.jsonl"}
    assert "KeyError" in (outcome.folder / "log.txt").read_text()
    assert _visible(workspace, "bad") == []
    second = jobs.run(path, settings=workspace)
    assert second.run_id != outcome.run_id  # a failure is not found again, it is tried again
    assert jobs.show(second.run_id, settings=workspace).attempt == 2


def test_a_dead_kernel_and_an_early_exit_are_failures_in_words(workspace, make_notebook):
    dies = make_notebook(
        "n: int = 1", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "2", name="dies"
    )
    outcome = jobs.run(dies, settings=workspace)
    assert outcome.state == "failed"
    assert outcome.error.startswith("the kernel died in cell 3 (import os, signal): killed, out of memory")
    exits = make_notebook("n: int = 1", "import sys\nsys.exit(0)", "print('never')", name="exits")
    outcome = jobs.run(exits, settings=workspace)
    assert outcome.state == "failed"
    assert "the notebook ended itself in cell 3" in outcome.error


def test_a_notebook_without_parameters_or_report_succeeds_with_no_results(workspace, make_notebook):
    outcome = jobs.run(make_notebook("", "1 + 1", name="empty"), settings=workspace)
    assert (outcome.state, outcome.results) == ("succeeded", {})


def test_time_out_and_cancel_end_the_kernel_and_say_where(workspace, sleeping):
    outcome = jobs.run(sleeping, {"seconds": 60}, settings=workspace, timeout_s=3)
    assert outcome.state == "failed"
    assert outcome.error.startswith(
        "stopped after 3 s (the time-out), "
    )  # in which cell depends on the machine

    submitted = jobs.submit(sleeping, {"seconds": 60}, settings=workspace)
    for text in jobs.follow(submitted.run_id, settings=workspace):
        if "step 3" in text:  # the log is read while it is written
            break
    view = jobs.show(submitted.run_id, settings=workspace)
    assert (view.state, view.doing) == ("running", "cell 4")
    began = time.monotonic()
    jobs.cancel(submitted.run_id, settings=workspace)
    outcome = jobs.wait(submitted.run_id, settings=workspace)
    assert time.monotonic() - began < 10
    assert outcome.state == "cancelled"
    assert "cancelled in cell 4" in outcome.error
    assert _visible(workspace, "sleeping") == []
    assert _all_end(workspace)


def _all_end(settings) -> bool:
    """Whether every process of the workspace's runs ends soon: one that is over may still be closing."""
    deadline = time.monotonic() + 40
    while _processes_of(settings) and time.monotonic() < deadline:
        time.sleep(0.1)
    return _processes_of(settings) == []


def _processes_of(settings) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("GEOLAB_RUN", "").startswith(str(settings.runs)):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def test_a_run_survives_the_process_that_asked_for_it(workspace, sleeping):
    code = "import sys; from geolab import jobs; print(jobs.submit(sys.argv[1], {'seconds': '1'}).run_id)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(sleeping)], capture_output=True, text=True, check=True
    )
    assert jobs.wait(done.stdout.strip(), settings=workspace).state == "succeeded"


def test_what_is_wrong_with_the_request_starts_nothing(workspace, make_notebook):
    path = make_notebook(
        'epochs: int = 3  # passes {1..}\nbefore: str = "nosuchitem"  # image {item}\n'
        'pairs: str = "sample"  # where from {source|sample}',
        "1",
    )
    for given, kind, words in [
        ({"epoch": "3"}, NotFound, "did you mean 'epochs'"),
        ({"epochs": "abc"}, BadInput, "a whole number"),
        ({"before": "20240101-missing"}, NotFound, "20240101-missing"),
        ({}, NotFound, "nosuchitem"),
        ({"before": str(path), "pairs": "/no/such/folder"}, NotFound, "pairs may also be: sample"),
        ({"before": ""}, BadInput, "found nothing"),
    ]:
        with pytest.raises(kind, match=words):
            jobs.run(path, given, settings=workspace)
    assert not workspace.runs.exists()
    assert not workspace.ledger_path.exists()


def test_paths_become_absolute_and_their_content_decides_the_key(
    workspace, make_notebook, tmp_path, monkeypatch
):
    path = make_notebook(
        'source: str = ""  # files {source}',
        "from pathlib import Path\nfrom geolab import jobs",
        "jobs.report(names=sorted(p.name for p in Path(source).iterdir()))",
    )
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.txt").write_text("one")
    monkeypatch.chdir(tmp_path)
    first = jobs.run(path, {"source": "in"}, settings=workspace)
    assert first.results == {"names": ["a.txt"]}
    assert jobs.run(path, {"source": str(folder)}, settings=workspace).reused
    (folder / "a.txt").write_text("two")
    second = jobs.submit(path, {"source": "in"}, settings=workspace)
    assert not second.reused
    report = json.loads((first.folder / "report.json").read_text())
    assert report["inputs"][0]["parameter"] == "source"
    assert len(report["inputs"][0]["sha256"]) == 64
    jobs.wait(second.run_id, settings=workspace)


def test_the_kernel_is_this_python_and_works_in_its_own_folder(
    workspace, make_notebook, monkeypatch, tmp_path
):
    kernels = tmp_path / "share" / "kernels" / "python3"  # somebody's other environment
    kernels.mkdir(parents=True)
    spec = {"argv": ["/bin/false"], "display_name": "x", "language": "python"}
    (kernels / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share"))
    path = make_notebook(
        "",
        "import os, sys\nfrom geolab import jobs\nrun = jobs.context()",
        "inside = os.getcwd() == str(run.folder)",
        "jobs.report(python=sys.executable, inside=inside, home=str(run.settings.home))",
    )
    settings = replace(workspace, heartbeat_s=0.5)
    outcome = jobs.run(path, settings=settings)
    assert outcome.results == {"python": sys.executable, "inside": True, "home": str(workspace.home)}
    assert "TCP" not in (outcome.folder / "log.txt").read_text()


def test_checkpoints_pass_from_a_failed_attempt_to_the_next_and_go_with_success(
    workspace, make_notebook, tmp_path
):
    path = make_notebook(
        f'gate: str = "{tmp_path / "gate"}"  # must exist',
        "from pathlib import Path\nfrom geolab import jobs\nrun = jobs.context()",
        "steps = run.checkpoints() / 'steps'",
        "steps.write_text(steps.read_text() + 'x' if steps.exists() else 'x')",
        "assert Path(gate).exists()",
        "jobs.report(steps=steps.read_text())",
    )
    assert jobs.run(path, settings=workspace).state == "failed"
    (tmp_path / "gate").touch()
    outcome = jobs.run(path, settings=workspace)
    assert outcome.results == {"steps": "xx"}
    assert list((workspace.runs / ".checkpoints").iterdir()) == []


def test_watching_gives_every_event_once(workspace, counting):
    submitted = jobs.submit(counting, {"n": 2}, settings=workspace)
    found = list(jobs.watch(submitted.run_id, settings=workspace))
    assert [e["number"] for e in found if e["event"] == "cell"] == [2, 3, 4, 5, 6]
    assert [(e["done"], e["total"]) for e in found if e["event"] == "progress"] == [(2, 2)]


def test_neither_papermill_nor_nbformat_is_loaded_by_the_one_who_asks():
    heavy = ("papermill", "nbformat", "torch", "rasterio", "mlflow")
    code = f"import sys, geolab.jobs.runner; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_stopped_runner_loses_its_run_and_is_ended(workspace, sleeping):
    settings = replace(workspace, lease_s=1.5, heartbeat_s=0.4)
    submitted = jobs.submit(sleeping, {"seconds": 60}, settings=settings)
    _wait_for_step(settings, submitted.run_id)
    worker = psutil.Process(jobs.show(submitted.run_id, settings=settings).pid)
    worker.suspend()
    outcome = jobs.wait(submitted.run_id, settings=settings)
    assert outcome.state == "lost"
    psutil.wait_procs([worker], timeout=5)
    assert not psutil.pid_exists(worker.pid) or worker.status() == psutil.STATUS_ZOMBIE
    assert _all_end(settings)


def _wait_for_step(settings, run_id: str) -> None:
    log = jobs.log_path(run_id, settings=settings)
    deadline = time.monotonic() + 30
    while "step 1" not in log.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)


def test_a_removed_workspace_ends_the_run_by_itself(workspace, sleeping):
    settings = replace(workspace, lease_s=1.0, heartbeat_s=0.3)
    submitted = jobs.submit(sleeping, {"seconds": 60}, settings=settings)
    _wait_for_step(settings, submitted.run_id)
    shutil.rmtree(workspace.home)
    assert _all_end(settings)


def test_ctrl_c_cancels_what_the_call_started(workspace, sleeping):
    # a process that a shell started in the background ignores SIGINT, and so would its children
    code = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "from geolab import jobs; jobs.run(sys.argv[1], {'seconds': '60'})"
    process = subprocess.Popen([sys.executable, "-c", code, str(sleeping)], stderr=subprocess.PIPE)
    while not (found := jobs.runs("running", settings=workspace)):
        time.sleep(0.1)
    process.send_signal(2)
    process.communicate()
    assert jobs.wait(found[0].run_id, settings=workspace).state == "cancelled"


def test_threads_of_one_process_may_run_different_notebooks(workspace, counting):
    outcomes: list[jobs.Outcome] = []
    threads = [
        threading.Thread(target=lambda n=n: outcomes.append(jobs.run(counting, {"n": n}, settings=workspace)))
        for n in (1, 2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcome.results["n"] for outcome in outcomes) == [1, 2]


def test_unknown_runs_and_states_are_refused(workspace):
    with pytest.raises(NotFound, match="no run 'nosuch'"):
        jobs.show("nosuch", settings=workspace)
    with pytest.raises(BadInput, match="one of queued, running"):
        jobs.runs("finished", settings=workspace)
    assert Path(workspace.ledger_path).exists()
