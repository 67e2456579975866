"""What a notebook sees without a runner, and what it may report."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from geolab import jobs
from geolab.errors import BadInput, FileRejected
from geolab.jobs import events, session


def _results(run: jobs.Run):
    return json.loads((run.folder / session.RESULTS).read_text())["results"]


def test_without_a_runner_a_run_has_a_scratch_folder_named_after_its_notebook(workspace, monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "/somewhere/04_detect_change.ipynb")
    run = jobs.context()
    assert run.folder.parent == workspace.runs / "04_detect_change"
    assert run.folder.name.startswith("scratch-")
    assert run.settings == workspace
    assert jobs.context().folder != run.folder
    assert run.checkpoints().is_relative_to(run.folder)


def test_results_become_plain_json(workspace):
    run = jobs.context()
    jobs.report(
        iou=np.float32(0.5),
        count=np.int64(3),
        flag=np.bool_(True),
        nothing=None,
        undefined=float("nan"),
        endless=np.inf,
        path=Path("mask.tif"),
        each={"a": (1, np.float64(2.5))},
        text="tëxt",
    )
    assert _results(run) == {
        "iou": 0.5,
        "count": 3,
        "flag": True,
        "nothing": None,
        "undefined": None,
        "endless": None,
        "path": (run.folder / "mask.tif").as_uri(),
        "each": {"a": [1, 2.5]},
        "text": "tëxt",
    }


@pytest.mark.parametrize("value", [np.zeros(3), object(), {1, 2}, b"bytes"])
def test_other_values_are_refused_by_name(workspace, value):
    jobs.context()
    with pytest.raises(BadInput, match=r"result mask: found a .* report its path"):
        jobs.report(mask=value)


def test_outputs_stay_inside_the_run(workspace):
    run = jobs.context()
    assert run.path("a/b.png").parent.is_dir()
    for name in ("../x", "/etc/x", "", ".", "a/../../x"):
        with pytest.raises(BadInput, match="inside the run's folder"):
            run.path(name)


def test_events_are_lines_in_order_and_a_broken_line_is_left_out(workspace):
    run = jobs.context()
    run.metric("iou", np.float32(0.25), step=1)
    run.progress(3, 3, "tiles")
    with (run.folder / events.FILE).open("a") as stream:
        stream.write('{"event": "cut\n{"event": "half')
    found = list(events.read(run.folder))
    assert [(e["event"], e.get("value"), e.get("what")) for e in found] == [
        ("metric", 0.25, None),
        ("progress", None, "tiles"),
    ]


def test_progress_is_thinned_out_but_its_end_is_kept(workspace):
    run = jobs.context()
    for done in range(1001):
        run.progress(done, 1000, "steps")
    found = [e["done"] for e in events.read(run.folder)]
    assert len(found) < 200
    assert found[-1] == 1000


def test_of_many_values_of_one_metric_few_are_kept_and_each_metric_has_its_own_turn(workspace):
    run = jobs.context()
    for step in range(200):
        run.metrics({"loss": 1 / (step + 1)} | ({"iou": 0.5} if step == 150 else {}), step)
    found = [e for e in events.read(run.folder) if e["event"] == "metric"]
    assert next(e["step"] for e in found if e["name"] == "loss") == 0
    assert sum(e["name"] == "loss" for e in found) < 200
    assert [(e["step"], e["value"]) for e in found if e["name"] == "iou"] == [(150, 0.5)]


def test_a_runner_description_that_is_not_one_is_refused(workspace, monkeypatch, tmp_path):
    monkeypatch.setattr(session, "_current", None)
    for content in (None, "[]", "{}"):
        path = tmp_path / "run.json"
        if content:
            path.write_text(content)
        monkeypatch.setenv("GEOLAB_RUN", str(path))
        with pytest.raises(FileRejected, match="unset it"):
            jobs.context()


def test_log_records_of_geolab_become_events(tmp_path, workspace):
    run = jobs.Run(tmp_path, workspace, "x", {}, "1m7xxaq7p14nxr")
    handler = session._EventHandler(run)
    handler.handle(logging.makeLogRecord({"msg": "read %d tiles", "args": (3,), "levelname": "INFO"}))
    (event,) = events.read(tmp_path)
    assert (event["text"], event["level"], event["run_id"]) == ("read 3 tiles", "INFO", run.id)
