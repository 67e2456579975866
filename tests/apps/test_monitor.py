"""The monitor, on the ledger of a real pipeline: stages x cells, what failed, what can be done."""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from pathlib import Path

import pytest

from geolab import jobs, settings
from geolab.apps import monitor
from geolab.apps.monitor.watched import LETTERS, Watched
from geolab.apps.parts import Download, Table
from geolab.jobs.ledger import open_ledger
from geolab.pipeline import control, driver, spec
from geolab.pipeline.board import STATES


def _driving():
    path = Path(__file__).parents[1] / "pipeline" / "driving.py"
    if "geolab_driving" not in sys.modules:
        found = importlib.util.spec_from_file_location("geolab_driving", path)
        assert found is not None
        assert found.loader is not None
        sys.modules["geolab_driving"] = importlib.util.module_from_spec(found)
        found.loader.exec_module(sys.modules["geolab_driving"])
    return sys.modules["geolab_driving"]


@pytest.fixture(scope="module")
def driven(tmp_path_factory):
    """A workspace in which a pipeline of 2 cells x 2 years was driven; one scene of it is corrupt."""
    folder = tmp_path_factory.mktemp("pipeline")
    home = settings.load(folder / "workspace", environ={})
    file = _driving().small(folder / "small", cells=2, years="2021-2022", work_s=0.05)
    (folder / "small" / "bad" / "c02-2022").touch()
    for _ in driver.drive(spec.load(file, {}, home), settings=home, workers=2):
        pass
    return home, folder / "small"


@pytest.fixture
def shown(driven, make_page, beat):
    page = make_page(driven[0], "monitor", pipeline="", run="", state="any", notebook="")
    made = monitor.build(page)
    beat(page)  # lists the pipelines
    beat(page)  # looks at the only one
    return made


def test_every_run_of_a_pipeline_is_a_square_in_its_state(shown):
    panel = shown.pipelines.panel
    grids = {grid["name"]: grid for grid in panel.matrix.grids}
    states = {name: [LETTERS.get(c, c) for c in grid["cells"]] for name, grid in grids.items()}
    assert states["draw"] == ["succeeded"] * 3 + ["failed"]
    assert states["compare"] == [".", "succeeded", ".", "blocked"]
    assert states["total"] == ["succeeded", "blocked"]
    assert tuple(grids["draw"]["rows"]) == ("c01", "c02")
    assert tuple(grids["draw"]["columns"]) == ("2021", "2022")
    assert set(LETTERS.values()) == set(STATES)


def test_stages_and_failures_are_the_figures_of_the_command_line(shown, words):
    panel = shown.pipelines.panel
    assert [(row["name"], row["part"]) for row in panel._stages.rows] == [
        ("draw", 0.75),
        ("compare", 0.5),
        ("total", 0.5),
    ]
    (failed,) = panel._failed.rows
    assert failed["cell"] == "draw c02/2022"
    assert failed["error"] == "cell 5 failed: ValueError: the scene of c02 in 2022 is corrupt"
    assert "5 of 8 done, 1 failed, 2 blocked" in words(panel)
    assert [button.description for button in panel._actions.children] == ["Run what is left", "Retry failed"]


def test_a_square_opens_its_run_and_one_without_a_run_says_so(shown, say, words, beat):
    panel = shown.pipelines.panel
    say(panel.matrix, kind="open", grid="draw", row=1, column=1)
    beat(shown.page)
    assert shown.panel.view.slot == "draw/c02/2022"
    assert "the scene of c02 in 2022 is corrupt" in words(shown.panel)
    say(panel.matrix, kind="open", grid="compare", row=1, column=1)
    assert shown.page.frame.notice["text"] == "That one has not run yet."
    shown.close_run()
    assert shown.panel is None


@pytest.mark.parametrize(
    ("kind", "begin"), [(".html", b"<!doctype html>"), (".csv", b"stage,cell"), (".json", b"{")]
)
def test_the_report_is_what_the_command_writes(driven, kind, begin):
    made = Watched("small", driven[0]).report(kind)
    assert made.startswith(begin)
    if kind == ".json":
        assert json.loads(made)["counts"] == {"succeeded": 5, "failed": 1, "blocked": 2}


def test_a_report_of_each_kind_is_offered(shown, within):
    buttons = [one for one in within(shown.pipelines.panel) if isinstance(one, Download)]
    assert [one.name for one in buttons] == ["small.html", "small.csv", "small.json"]


def test_all_runs_are_listed_by_state_and_can_be_retried_where_that_makes_sense(shown, driven, beat, say):
    table = shown.runs.table
    assert len(table.rows) == 6
    assert {(row["state"], tuple(row["actions"])) for row in table.rows} == {
        ("succeeded", ()),
        ("failed", ("retry",)),
    }
    shown.runs._state.value = "failed"
    beat(shown.page)
    assert [row["place"] for row in table.rows] == ["small draw/c02/2022"]
    assert shown.page.frame.address["state"] == "failed"
    shown.runs._notebook.value = "compare"
    beat(shown.page)
    assert table.rows == []
    shown.runs._state.value = "any"
    beat(shown.page)
    assert {row["notebook"] for row in table.rows} == {"compare"}
    assert shown.page.frame.address == {"state": "", "notebook": "compare"}


def test_pause_resume_and_stop_are_those_of_the_command_line(shown, driven, beat):
    home, panel = driven[0], shown.pipelines.panel
    for do, state, button in (
        (panel.pause, "paused", "Resume"),
        (panel.resume, "active", "Run what is left"),
        (panel.stop, "stopped", "Run what is left"),
    ):
        do()
        beat(shown.page)
        assert control.find("small", home).state == state
        assert panel._actions.children[0].description == button
    control.set_state("small", "active", home)


def test_a_pipeline_whose_file_is_gone_says_so_and_its_runs_are_still_listed(shown, driven, beat, words):
    file = driven[1] / "small.yaml"
    file.rename(driven[1] / "moved.yaml")
    try:
        beat(shown.page)
        assert "Its file can&#x27;t be read" in words(shown.pipelines)
        assert len(shown.runs.table.rows) == 6
    finally:
        (driven[1] / "moved.yaml").rename(file)
    beat(shown.page)
    assert "Its file can" not in words(shown.pipelines)


def test_what_failed_is_done_again_by_a_driver_that_the_page_starts(tmp_path, make_page, beat, words):
    home = settings.load(tmp_path / "workspace", environ={})
    file = _driving().small(tmp_path / "small", cells=1, years="2021-2022", work_s=0.05)
    bad = tmp_path / "small" / "bad" / "c01-2022"
    bad.touch()
    for _ in driver.drive(spec.load(file, {}, home), settings=home, workers=1):
        pass
    bad.unlink()
    page = make_page(home, "monitor", pipeline="small", run="", state="any", notebook="")
    made = monitor.build(page)
    beat(page)
    beat(page)
    made.pipelines.panel.retry()
    deadline = time.monotonic() + 90
    while not made.pipelines.panel._figures or made.pipelines.panel._figures.done < 4:
        assert time.monotonic() < deadline, words(made.pipelines)
        beat(page)
        time.sleep(0.1)
    assert made.pipelines.panel.driver.process.wait(30) == 0
    beat(page)
    assert "4 of 4 done" in words(made.pipelines)


def test_a_driver_that_is_refused_says_so_on_the_page(driven, make_page, beat):
    page = make_page(driven[0], "monitor", pipeline="small", run="", state="any", notebook="")
    made = monitor.build(page)
    beat(page)
    beat(page)

    class Ended:
        refused = "pipeline small is being run already"

    made.pipelines.panel.driver = Ended()
    beat(page)
    assert page.frame.notice["text"] == "pipeline small is being run already"


def test_an_empty_workspace_has_neither_pipelines_nor_runs_and_says_how_to_begin(
    workspace, make_page, beat, words, within
):
    page = make_page(workspace, "monitor", pipeline="", run="", state="any", notebook="")
    made = monitor.build(page)
    beat(page)
    assert "No pipeline yet." in words(made)
    assert "geolab pipeline run" in words(made)
    assert [one.rows for one in within(made.runs) if isinstance(one, Table)] == [[]]
    assert not workspace.ledger_path.exists()
    assert "cores busy" in words(made)


def test_asking_again_puts_a_run_into_the_ledger_for_whoever_takes_it(make_notebook, workspace):
    bad = make_notebook("n: int = 1  # a number", "1 / 0", name="bad")
    first = jobs.run(bad, settings=workspace)
    assert control.retry([first.run_id, "nothere"], workspace)[0] == 1
    waiting = open_ledger(workspace).runs(states=("queued",))
    assert [run.waiting for run in waiting] == [True]
    assert "no run" in control.retry(["nothere"], workspace)[1]
