"""Reports and the terminal: complete, escaped, readable without any server."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from geolab import cli
from geolab.errors import BadInput, NotFound
from geolab.jobs import ids, processes
from geolab.jobs.ledger import Control, Ledger, open_ledger
from geolab.jobs.record import Record
from geolab.pipeline import report, resolve, spec, watch
from geolab.pipeline.board import Board
from geolab.pipeline.model import Pipeline
from geolab.settings import Settings

HOSTILE = "</td><script>alert(1)</script>\"'&"
FILE = f"""
name: small
description: {json.dumps(HOSTILE)}
parameters: {{kind: x, workers: 2}}
axes: {{cell: [a, "=cmd|x", "<b>"], year: {{years: 2021-2022}}}}
stages:
  draw:
    notebook: draw.ipynb
    each: [cell, year]
    parameters: {{cell: "${{cell}}", year: "${{year}}", kind: "${{kind}}"}}
  total:
    notebook: total.ipynb
    each: [cell]
    needs: {{all: "draw[cell, *]"}}
    parameters: {{scenes: "${{all.scene}}"}}
"""


@pytest.fixture
def pipeline(tmp_path: Path, workspace: Settings) -> Pipeline:
    for name, text in {
        "draw": 'cell: str = "a"\nyear: int = 1\nkind: str = "x"',
        "total": "scenes: list = []",
    }.items():
        cells = [new_code_cell(text, metadata={"tags": ["parameters"]})]
        nbformat.write(new_notebook(cells=cells), tmp_path / f"{name}.ipynb")
    (tmp_path / "p.yaml").write_text(FILE)
    return spec.load(tmp_path / "p.yaml", settings=workspace)


@pytest.fixture
def ledger(pipeline: Pipeline, workspace: Settings) -> Ledger:
    """One run failed, one runs, one waits, the others of the first stage are done."""
    found = open_ledger(workspace)
    board = Board(pipeline, workspace, found)
    board.refresh()
    for number, node in enumerate(list(board.ready())):
        key, name = resolve.key(node, board.resolve(node), workspace), node.stage.notebook.stem
        folder = workspace.runs / name / key[:16]
        run = Record(ids.new(), name, key, pipeline="small", slot=node.slot, created=1e9)
        found.enqueue(run)
        if number == 1:
            continue
        error = f"cell 3 failed: ValueError: {HOSTILE}\n\nTraceback\x1b[31m" if number == 0 else ""
        state = {0: "failed", 2: "running"}.get(number, "succeeded")
        ended = {"finished": 1e9 + 65} if state != "running" else {}
        found.update(run.id, lambda r, s=state, e=error, f=folder, x=ended: replace(
            r, state=s, started=1e9 + 5, error=e, folder=str(f), **x))  # fmt: skip
        if state == "succeeded":
            folder.mkdir(parents=True)
            used = {"cpu_s": 12.5, "cpu_pct": 20.8, "memory_mb_peak": 512.0, "odd": "<i>"}
            text = {"key": key, "run_id": run.id, "results": {"scene": "s.tif"}, "usage": used}
            (folder / "report.json").write_text(json.dumps(text))
            (folder / "notebook.ipynb").write_text("{}")
    return found


def _counts(found: dict[str, int]) -> dict[str, int]:
    return dict(sorted(found.items()))


STATES = {"blocked": 1, "failed": 1, "queued": 1, "ready": 1, "running": 1, "succeeded": 3, "waiting": 1}


class _Page(HTMLParser):
    """What a browser would load, link or run."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = {name: value or "" for name, value in attrs}
        self.links += [found["href"]] if tag == "a" else []
        self.loads += [
            v for name, v in found.items() if name in ("src", "srcset") or (name == "href" and tag != "a")
        ]
        assert not any(name.startswith("on") for name in found)


def test_the_page_is_whole_escaped_and_asks_nothing_of_any_server(tmp_path, pipeline, ledger, workspace):
    out = tmp_path / "out" / "r.html"
    out.parent.mkdir()
    report.write(out, pipeline, workspace)
    text = out.read_text()
    seen = _Page()
    seen.feed(text)
    assert "script" not in seen.tags
    assert seen.loads == []
    assert not re.search(r"https?://|@import|url\(", text)
    assert "alert(1)" in text
    assert "cell 3 failed: ValueError" in text
    assert "\x1b" not in text
    assert len(seen.links) == 3
    assert all((out.parent / link).resolve().name == "notebook.ipynb" for link in seen.links)
    assert all((out.parent / link).resolve().is_file() for link in seen.links)
    for words in ("prefers-color-scheme:dark", "width=device-width", "3 of 6", "512 MB", "1 min 00 s"):
        assert words in text


def test_the_table_has_every_row_and_no_formula(tmp_path, pipeline, ledger, workspace):
    report.write(tmp_path / "r.csv", pipeline, workspace)
    with (tmp_path / "r.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 9
    assert rows[0]["state"] == "failed"
    assert rows[0]["error"].startswith("cell 3 failed")
    assert rows[0]["seconds"] == "60.0"
    done = next(row for row in rows if row["state"] == "succeeded")
    assert (done["cpu_s"], done["memory_mb_peak"]) == ("12.5", "512.0")
    assert Path(done["notebook"]).is_file()
    assert {row["cell"] for row in rows if "cmd" in row["cell"]} == {
        "'=cmd|x/2021",
        "'=cmd|x/2022",
        "'=cmd|x",
    }


def test_the_document_is_that_of_status_and_more(tmp_path, pipeline, ledger, workspace):
    report.write(tmp_path / "r.json", pipeline, workspace)
    found = json.loads((tmp_path / "r.json").read_text())
    board = Board(pipeline, workspace, ledger)
    board.refresh()
    told = watch.summary(board)
    assert _counts(found["counts"]) == _counts(told["counts"]) == STATES
    assert found["executions"] == told["executions"] == 5
    assert [(r["stage"], r["cell"], r["state"]) for r in found["rows"]] == [
        (r["stage"], r["cell"], r["state"]) for r in told["rows"]
    ]
    assert set(told["rows"][0]) == {"stage", "cell", "state", "run_id", "attempts"}


def test_a_large_pipeline_stays_a_page(tmp_path, pipeline, ledger, workspace, monkeypatch):
    from geolab.pipeline import page

    report.write(tmp_path / "a.html", pipeline, workspace)
    monkeypatch.setattr(page, "MOST_CHIPS", 5)
    monkeypatch.setattr(page, "MOST_ROWS", 2)
    report.write(tmp_path / "b.html", pipeline, workspace)
    text = (tmp_path / "b.html").read_text()
    assert "3 are too many for a page: 1 of those with failures" in text
    assert len(text) < len((tmp_path / "a.html").read_text())


@pytest.mark.parametrize("name, error", [("r.txt", BadInput), ("r", BadInput), ("none/r.csv", NotFound)])
def test_a_report_of_no_kind_is_refused(tmp_path, name, error):
    with pytest.raises(error):
        report.check_name(tmp_path / name)


def test_figures_are_one_for_terminal_and_page(pipeline, ledger, workspace):
    now = watch.figures(pipeline, workspace)
    assert _counts(now.counts) == STATES
    assert (now.total, now.done, now.executions, now.workers) == (9, 3, 5, 1)
    draw, total = now.stages
    assert (draw.name, draw.done, draw.total, draw.mean_s) == ("draw", 3, 6, 60.0)
    assert draw.eta_s == pytest.approx(2 * 60)
    assert total.eta_s is None  # none has ever ended
    assert now.eta_s is None
    assert [(one.stage, one.cell) for one in now.running] == [("draw", "=cmd|x/2021")]
    assert [(row.stage, row.cell) for row in now.failures] == [("draw", "a/2021")]
    assert now.failures[0].error.startswith("cell 3 failed: ValueError: </td>")
    json.dumps(watch.as_json(now), allow_nan=False)


# ---------------------------------------------------------------- terminal


def _run(*words: str) -> int:
    return cli.main(list(words))


def test_plan_and_status_print_the_exact_document(tmp_path, pipeline, ledger, capsys):
    for verb in ("plan", "status"):
        assert _run("pipeline", verb, str(pipeline.path), "--json") == 0
        found = json.loads(capsys.readouterr().out)
        assert list(found) == ["counts", "executions", "rows"]
        assert found["executions"] == 5
        assert {tuple(row) for row in found["rows"]} == {("stage", "cell", "state", "run_id", "attempts")}
        assert len(found["rows"]) == 9


def test_the_plan_is_a_table_of_stages_and_cells(pipeline, ledger, capsys):
    assert _run("pipeline", "plan", str(pipeline.path)) == 0
    text = capsys.readouterr().out
    assert "\x1b" not in text
    assert re.search(r"draw +draw +cell x year +6 +3 +0 +1 queued, 1 running, 3 succeeded, 1 failed", text)
    assert re.search(r"cell +draw +total", text)
    assert re.search(r"a +1 queued, 1 failed +1 blocked", text) or re.search(r"a +1 failed, 1 queued", text)
    assert "9 runs: 3 done, 2 to do (1 can start now), 2 queued or running, 1 failed" in text


def test_status_tells_what_runs_and_what_failed(pipeline, ledger, capsys):
    assert _run("pipeline", "status", str(pipeline.path)) == 0
    text = capsys.readouterr().out
    assert "3 of 9 done" in text
    assert re.search(r"draw +a/2021 .*cell 3 failed: ValueError", text)
    assert "\x1b" not in text


def test_status_takes_the_parameters_of_the_last_run(pipeline, ledger, capsys):
    assert _run("pipeline", "status", str(pipeline.path), "--json") == 0
    plain = json.loads(capsys.readouterr().out)["counts"]
    ledger.set_control(Control("small", parameters={"kind": "y", "gone": 1}))
    assert _run("pipeline", "status", str(pipeline.path), "--json") == 0
    last = json.loads(capsys.readouterr().out)["counts"]
    assert _run("pipeline", "status", str(pipeline.path), "--json", "-p", "kind=x") == 0
    assert json.loads(capsys.readouterr().out)["counts"] == plain
    assert (plain["succeeded"], plain["ready"], last["succeeded"]) == (3, 1, 3)
    assert "failed" not in last  # with other values it is other work
    me = processes.owner()
    ledger.set_control(Control("small", parameters={"kind": "y"}, driver=me, beat=ledger.now()))
    assert _run("pipeline", "status", str(pipeline.path), "--json") == 0  # a driver may do them again
    assert json.loads(capsys.readouterr().out)["counts"]["outdated"] == 3


def test_pause_resume_and_stop_are_written_in_the_ledger(pipeline, ledger, capsys, tmp_path):
    for verb, state in (("pause", "paused"), ("resume", "active")):
        assert _run("pipeline", verb, str(pipeline.path), "--json") == 0
        assert json.loads(capsys.readouterr().out) == {"name": "small", "state": state}
        control = ledger.control("small")
        assert control is not None
        assert (control.state, control.file) == (state, str(pipeline.path))
    for run in ledger.runs(states=("running",)):  # a run without owner would be waited for
        ledger.update(run.id, lambda r: replace(r, state="cancelled"))
    assert _run("pipeline", "stop", str(pipeline.path)) == 0
    assert "stopped; the next `geolab pipeline run` goes on" in capsys.readouterr().out
    assert ledger.runs(states=("queued", "running")) == []
    assert {run.state for run in ledger.runs(slot="draw/a/2022")} == {"cancelled"}


@pytest.mark.parametrize(
    "words, message",
    [
        (["plan", "none.yaml"], "no pipeline file"),
        (
            ["plan", "FILE", "-p", "kid=1"],
            r"-p kid: the pipeline has no parameter 'kid'; did you mean 'kind'\?",
        ),
        (["plan", "FILE", "-p", "kind"], "name=value"),
        (["run", "FILE", "--workers", "0"], "is no number from 1 to 1000"),
        (["report", "FILE", "--out", "r.txt"], r"ends in \.html, \.csv or \.json"),
        (["nothing"], "invalid choice"),
        ([], "plan, run, status, report"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(pipeline, capsys, words, message):
    words = [str(pipeline.path) if word == "FILE" else word for word in words]
    try:
        code = _run("pipeline", *words)
    except SystemExit as ended:
        code = ended.code
    error = capsys.readouterr().err
    assert code == 2
    assert re.search(message, error)
    assert error.startswith("error: ")
    assert error.count("\n") == 1


def test_a_wide_plan_stays_readable(tmp_path, pipeline, capsys):
    listed = ", ".join(f"c{n}" for n in range(500))
    pipeline.path.write_text(FILE.replace('a, "=cmd|x", "<b>"', listed))
    assert _run("pipeline", "plan", str(pipeline.path)) == 0
    text = capsys.readouterr().out
    assert len(text.splitlines()) < 12
    assert "500 values of cell" in text
    assert "1,500 runs: 0 done, 1,500 to do (1,000 can start now)" in text
