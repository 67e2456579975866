"""The panel of a run, on real runs: how it goes, how it ends, what can be done."""

from __future__ import annotations

import dataclasses
import time

import pytest

from geolab import jobs
from geolab.apps import charts, ended, words
from geolab.apps.live import Live
from geolab.apps.runlist import row, summary, titles_of
from geolab.apps.runpanel import RunPanel, recent


@pytest.fixture
def panel(ran, make_page, beat):
    def show(run_id, **asked):
        page = make_page(ran.workspace, "home", **asked)
        made = RunPanel(page, run_id)
        beat(page)
        return made

    return show


def test_a_run_that_succeeded_shows_results_figures_curves_and_its_log(panel, ran, words, within, hostile):
    made = panel(ran.drawn, run="")
    shown = words(made)
    assert "succeeded" in shown
    assert "12,346 m²" in shown
    assert "&lt;img src=x" in shown
    assert "<img src=x" not in shown
    assert f"/geolab/runs/{ran.drawn}/figures/red.png#" in shown
    assert set(made._charts.series) == {"train_loss", "val_iou"}
    assert "five steps" in made._log.text
    assert made.page.asked["run"] == ran.drawn  # a reload finds it


def test_a_panel_stops_looking_once_it_has_seen_the_end_twice(panel, ran, beat):
    made = panel(ran.drawn)
    assert made.page.clock.tasks
    beat(made.page)
    assert made.page.clock.tasks == []
    assert made.page.frame.period_s == 0


def test_a_failed_run_says_why_in_one_line_with_the_traceback_folded(panel, ran, words, hostile):
    shown = words(panel(ran.failed))
    line = next(line for line in shown.splitlines() if "geolab-trouble" in line)
    assert "cell 3 failed: ValueError: &lt;img src=x onerror=alert(1)&gt;" in line
    assert "Traceback" not in line
    assert "<details><summary>Details</summary>" in shown
    assert "Retry" in shown
    assert "<script" not in shown


def test_a_cancelled_run_says_that_it_was_asked_to_stop(panel, ran, words):
    shown = words(panel(ran.cancelled))
    assert "Cancelled: it was asked to stop." in shown
    assert "Retry" in shown


def test_a_run_that_is_not_there_is_one_sentence_and_a_way_on(panel, words):
    shown = words(panel("nothere-123"))
    assert "no run" in shown
    assert "/voila/render/monitor.ipynb" in shown


def test_a_run_can_be_taken_along_as_a_command_and_a_notebook(panel, ran, words, within, monkeypatch):
    made = panel(ran.failed)
    made._more.opened = True
    shown = words(made)
    assert "geolab run" in shown
    assert f"/geolab/runs/{ran.failed}/log.txt" in shown
    opener = next(one for one in within(made) if getattr(one, "description", "") == "Open as notebook")
    opener.click()
    (copied,) = (ran.workspace.home / "notebooks").glob("failing-copy*.ipynb")
    assert f"jupyter lab {copied}" in words(made)
    monkeypatch.setenv("GEOLAB_LAB_ROOT", str(ran.workspace.home.resolve()))
    opener.click()
    assert f'href="/lab/tree/notebooks/{copied.name}"' in words(made)


def test_cancel_stops_a_run_and_retry_begins_another_that_the_page_remembers(
    make_notebook, workspace, make_page, beat, words
):
    slow = make_notebook(
        "n: int = 600  # steps of 0.1 s {1..}",
        "import time\nfrom geolab import jobs\nrun = jobs.context()",
        "for step in range(n):\n    run.progress(step, n, f'step {step}')\n    time.sleep(0.1)",
        name="slow",
    )
    page = make_page(workspace, "home", run="")
    made = RunPanel(page, jobs.submit(slow, settings=workspace).run_id)

    def until(there) -> None:
        deadline = time.monotonic() + 60
        while not there():
            assert time.monotonic() < deadline, words(made)
            beat(page)
            time.sleep(0.05)

    until(lambda: made.view is not None and made.view.doing.startswith("step"))
    assert made._bar.part is not None
    assert "Cancel" in words(made)
    made.cancel()
    until(lambda: made.view is not None and made.view.state == "cancelled")
    assert "asked to stop" in words(made)
    first = made.run_id
    made.retry()
    assert made.run_id != first
    assert page.asked["run"] == made.run_id
    jobs.cancel(made.run_id, settings=workspace)
    jobs.wait(made.run_id, settings=workspace)


def test_recent_runs_are_found_by_their_notebooks(ran, make_page, beat, say):
    page, opened = make_page(ran.workspace), []
    table = recent(page, ("drawn", "failing"), opened.append)
    beat(page)
    assert {one["id"] for one in table.rows} == {ran.drawn, ran.failed}
    say(table, kind="open", ids=[ran.drawn])
    assert opened == [ran.drawn]


# ---------------------------------------------------------------- in words


def test_what_is_new_of_a_log_is_read_once(ran):
    live = Live(ran.workspace, ran.drawn)
    first, second = live.look(), live.look()
    assert "five steps\n" in first.log
    assert second.log == ""
    assert second.series == first.series
    assert first.notebook.endswith("drawn.ipynb")


def test_every_end_has_a_sentence(ran):
    view = jobs.show(ran.failed, settings=ran.workspace)
    for state, cause, error, said in (
        ("lost", "", "", "Retry goes on"),
        ("failed", "memory", "stopped in cell 3\nmore", "stopped in cell 3 Give it more memory"),
        ("failed", "", "", "without a word"),
        ("running", "", "", ""),
    ):
        told = ended.sentence(dataclasses.replace(view, state=state, cause=cause, error=error))
        assert said in told
        assert "\n" not in told


def test_metrics_that_are_alike_share_a_chart():
    points = [(0, 1.0)]
    names = ("train_loss", "val_loss", "val_iou", "test/f1", "lr", "psnr")
    found = charts.grouped(dict.fromkeys(names, points))
    assert {name: sorted(own) for name, own in found.items()} == {
        "loss": ["train_loss", "val_loss"], "score": ["test/f1", "val_iou"], "psnr": ["psnr"], "lr": ["lr"],
    }  # fmt: skip
    assert list(found)[-1] == "lr"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("changed_m2", 12345.6, ("changed", "12,346 m²")),
        ("changed_share", 0.0312, ("changed share", "3.12 %")),
        ("shift_px", 0.5672, ("shift", "0.567 px")),
        ("polygon_count", 1652, ("polygon count", "1,652")),
        ("psnr_db", 27.31, ("psnr", "27.3 dB")),
        ("done", True, ("done", "yes")),
        ("threshold", None, ("threshold", "none")),
        ("m2", 3, ("m2", "3")),
    ],
)
def test_a_result_is_said_with_the_unit_of_its_name(name, value, said):
    assert words_of(name, value) == said


def words_of(name, value):
    return words.measure(name, value)


def test_durations_and_sizes_have_sensible_digits():
    assert [words.duration(s) for s in (0.42, 8, 75, 3700, None)] == [
        "0.4 s",
        "8 s",
        "1 min 15 s",
        "1 h 1 min",
        "",
    ]
    assert [words.size(b) for b in (812, 4_200_000, 240e9)] == ["812 B", "4.2 MB", "240 GB"]


def test_a_row_says_what_sets_a_run_apart(hostile):
    said = summary(
        "04_detect_change", {"before": "a", "method": "cva", "after": "file:///x/y/b.tif", "tile_px": 64}
    )
    assert said == "before a, after b.tif, tile_px 64"
    assert "2 values" in summary("none", {"masks": ["a", "b"]})


def test_items_are_called_by_their_titles(ran, make_page):
    view = jobs.show(ran.drawn, settings=ran.workspace)
    item = (view.report or {})["outputs"][0]
    named = dataclasses.replace(view, parameters={"before": item["id"], "after": "0" * 20})
    titles = titles_of([named], ran.workspace)
    assert titles == {item["id"]: item["properties"]["title"]}
    assert row(named, titles=titles)["what"].startswith(f"drawn: before {item['properties']['title']}"[:40])
