"""Search: what is tried follows from seed and results alone, and no trial that has ended is run again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import nbformat
import optuna
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from geolab import track
from geolab.cli import main
from geolab.errors import PipelineError
from geolab.jobs import processes
from geolab.jobs.ledger import open_ledger
from geolab.pipeline import search, spec, trials
from geolab.pipeline.space import Range, Search
from geolab.pipeline.trials import Trial
from geolab.settings import Settings

PARAMETERS = {"x": Range(-2.0, 3.0), "n": Range(1, 64, log=True, whole=True), "kind": ("a", "b")}
SEARCH = Search("train", "f1", "maximize", 12, PARAMETERS, batch=3, seed=5)


def _f1(parameters: dict) -> float:
    return -((parameters["x"] - 1) ** 2) + (parameters["kind"] == "b")


def _whole(wanted: Search) -> list[Trial]:
    known: list[Trial] = []
    while batch := trials.suggest(wanted, known) if len(known) < wanted.trials else []:
        known += [replace(one, value=_f1(one.parameters), run_id=f"r{one.number}") for one in batch]
    return known


def test_suggestions_follow_from_seed_and_results_alone():
    known = _whole(SEARCH)
    assert [trial.number for trial in known] == list(range(12))
    for ended in range(0, 12, 3):  # as after a kill: a new process that knows what has ended
        again = trials.suggest(SEARCH, known[:ended])
        assert [one.parameters for one in again] == [one.parameters for one in known[ended : ended + 3]]
    assert _whole(replace(SEARCH, seed=6)) != known
    assert len({str(trial.parameters) for trial in known}) == 12


def test_suggestions_lie_in_their_ranges_and_keep_types():
    for trial in _whole(replace(SEARCH, trials=30)):
        assert -2 <= trial.parameters["x"] <= 3
        assert type(trial.parameters["n"]) is int
        assert 1 <= trial.parameters["n"] <= 64
        assert trial.parameters["kind"] in ("a", "b")


def test_search_does_better_than_chance():
    wanted = replace(SEARCH, trials=48)
    known = _whole(wanted)
    early = sum(trial.value or 0 for trial in known[:12]) / 12
    late = sum(trial.value or 0 for trial in known[-12:]) / 12
    assert late > early + 0.5
    found = trials.best(wanted, known)
    assert found is not None
    assert found.value > 0.9
    assert trials.best(replace(wanted, direction="minimize"), known).value < -1


def test_trials_that_failed_are_never_the_best():
    known = [Trial(0, {}, None), Trial(1, {}, 0.5), Trial(2, {}, 0.5), Trial(3, {}, 0.1)]
    assert trials.best(SEARCH, known) == known[1]
    assert trials.best(replace(SEARCH, direction="minimize"), known) == known[3]
    assert trials.best(SEARCH, known[:1]) is None
    with_failure = [replace(one, value=None) if one.number == 1 else one for one in _whole(SEARCH)]
    assert len(trials.suggest(replace(SEARCH, trials=20), with_failure)) == 3


def test_the_journal_is_read_by_optuna(tmp_path):
    known = _whole(SEARCH)
    path = tmp_path / "a" / "nightly.journal"
    for _ in range(2):  # it is replaced
        trials.save(SEARCH, known, "nightly/train", path)
    study = optuna.load_study(
        study_name="nightly/train", storage=JournalStorage(JournalFileBackend(str(path)))
    )
    assert [t.params for t in study.trials] == [t.parameters for t in known]
    assert study.best_trial.user_attrs["geolab.run"] == trials.best(SEARCH, known).run_id
    assert [p.name for p in path.parent.iterdir()] == [path.name]


# ---------------------------------------------------------------- the file


_TRAIN = """\
import json, pathlib, time
from geolab import jobs
run = jobs.context()
with (run.settings.home / "ran.txt").open("a") as stream:
    stream.write(f"{json.dumps([x, n, data])}\\n")
time.sleep(wait_s)
if n == broken:
    raise ValueError("diverged")"""


def _notebook(path: Path, parameters: str, *code: str) -> None:
    cells = [new_code_cell(parameters, metadata={"tags": ["parameters"]}), *map(new_code_cell, code)]
    nbformat.write(new_notebook(cells=cells), path)


def _file(
    folder: Path, *, trial_count: int = 4, wait_s: float = 0.0, more: str = "", broken: int = 0
) -> Path:
    _notebook(folder / "data.ipynb", "", "from geolab import jobs\njobs.report(data='d1')")
    _notebook(
        folder / "train.ipynb",
        'x: float = 0.0  # {-9..9}\nn: int = 1\ndata: str = ""\n'
        f"wait_s: float = {wait_s}\nbroken: int = {broken}",
        _TRAIN,
        "jobs.report(scores={'f1': -((x - 1) ** 2) - n / 100}, x=x)",
    )
    _notebook(
        folder / "use.ipynb",
        "x: float = 0.0  # of the best model",
        "from geolab import jobs\njobs.context().path('used.txt').write_text(repr(x))\njobs.report(used=x)",
    )
    path = folder / "sweep.yaml"
    path.write_text(f"""\
name: sweep
stages:
  data: {{notebook: ./data.ipynb}}
  train: {{notebook: ./train.ipynb, needs: {{data: data}}, parameters: {{data: "${{data.data}}"}}}}
  use: {{notebook: ./use.ipynb, needs: {{model: train}}, parameters: {{x: "${{model.x}}"}}}}
search:
  stage: train
  metric: scores.f1
  trials: {trial_count}
  batch: 2
  parameters: {{x: {{low: -2, high: 3}}, n: {{choices: [1, 2]}}}}
{more}""")
    return path


@pytest.mark.parametrize(
    "old, new, why",
    [
        ("stage: train", "stage: trian", "search.stage: no stage 'trian'; did you mean 'train'?"),
        ("metric: scores.f1", "metric: 3", "search.metric: is 3; expected the name of a result of train"),
        ("trials: 4", "trials: 0", "search.trials: is 0; expected a whole number from 1 to 10000"),
        ("trials: 4", "trials: true", "search.trials: is True"),
        ("batch: 2", "batsh: 2", "search.batsh: unknown key; did you mean 'batch'?"),
        ("batch: 2", "direction: up", "search.direction: is 'up'; expected maximize or minimize"),
        (
            "{low: -2, high: 3}",
            "{low: 3, high: -2}",
            "search.parameters.x.high: is -2.0; expected more than low",
        ),
        (
            "{low: -2, high: 3}",
            "{low: -2}",
            "search.parameters.x: expected {low: ..., high: ...} or {choices",
        ),
        ("{low: -2, high: 3}", "{low: -2, high: 3, log: true}", "parameters.x.log: is True with low -2.0"),
        ("{low: -2, high: 3}", "{low: -2, high: 3, step: 0}", "search.parameters.x.step: is 0"),
        (
            "{low: -2, high: 3}",
            "{low: -2, high: 30}",
            "search.parameters.x.high: x: found 30.0, expected a value",
        ),
        ("{low: -2, high: 3}", "{low: a, high: 3}", "search.parameters.x.low: is 'a'; expected a number"),
        (
            "n: {choices: [1, 2]}",
            "m: {choices: [1, 2]}",
            "search.parameters.m: train has no parameter of that name",
        ),
        ("{choices: [1, 2]}", "{choices: [1, b]}", "search.parameters.n.choices: n: found 'b'"),
        ("{choices: [1, 2]}", "{choices: [1, 1]}", "search.parameters.n.choices: names a value twice"),
        ("{choices: [1, 2]}", "{choices: [1]}", "at least two"),
        (
            "{choices: [1, 2]}",
            "{low: 1, high: 2.5}",
            "search.parameters.n.high: is 2.5; expected a whole number",
        ),
    ],
)
def test_mistakes_of_a_search_are_told_with_file_and_key(tmp_path, old, new, why):
    path = _file(tmp_path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(PipelineError) as told:
        spec.load(path)
    assert str(told.value).startswith("sweep.yaml")
    assert why in str(told.value)


# ---------------------------------------------------------------- driven


@pytest.fixture
def workspace(workspace, monkeypatch) -> Settings:
    """With cold kernels: these notebooks import nothing that a template would have ready."""
    monkeypatch.setenv("GEOLAB_WARM", "0")
    return replace(workspace, warm=0)


def _ran(settings: Settings) -> list[str]:
    path = settings.home / "ran.txt"
    return path.read_text().splitlines() if path.exists() else []


def _drive(path: Path, settings: Settings, **more) -> tuple[trials.Trial | None, int]:
    pipeline = spec.load(path, settings=settings)
    assert list(search.drive(pipeline, settings=settings, workers=2, **more))
    return search.best(pipeline, settings)


@pytest.mark.slow
def test_a_search_runs_trials_then_the_pipeline_with_the_best(tmp_path, workspace, capfd):
    path = _file(tmp_path)
    assert main(["pipeline", "run", str(path), "--workers", "2"]) == 0
    pipeline = spec.load(path, settings=workspace)
    found, count = search.best(pipeline, workspace)
    assert found is not None
    assert count == 4
    assert capfd.readouterr().out.splitlines()[-1] == (
        f"best of 4 of 4 trials: scores.f1 {found.value:.6g} with "
        f"x={found.parameters['x']:.6g}, n={found.parameters['n']} (trial {found.number}, run {found.run_id})"
    )
    assert len(_ran(workspace)) == len(set(_ran(workspace))) <= 4
    assert all('"d1"' in line for line in _ran(workspace))
    (used,) = (workspace.runs / "use").glob("*/used.txt")
    assert float(used.read_text()) == found.parameters["x"]
    settled = search.settled(pipeline, workspace)
    assert settled.stages["train"].parameters["x"] == found.parameters["x"]
    (best,) = track.tagged(workspace, "sweep", search.BEST, "sweep/train")
    assert best.tag("geolab.run") == found.run_id
    assert search.journal(settled, workspace).is_file()

    assert main(["pipeline", "status", str(path), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["counts"] == {"succeeded": 3}
    before = _ran(workspace)
    assert _drive(path, workspace) == (found, count)
    assert _ran(workspace) == before
    assert len(track.tagged(workspace, "sweep", search.BEST, "sweep/train")) == 1


@pytest.mark.slow
def test_more_trials_go_on_from_those_that_ended(tmp_path, workspace):
    first, _ = _drive(_file(tmp_path, trial_count=2), workspace)
    before = _ran(workspace)
    second, count = _drive(_file(tmp_path, trial_count=4), workspace)
    assert count == 4
    assert _ran(workspace)[: len(before)] == before
    assert first is not None
    assert second is not None
    assert (second.value or 0) >= (first.value or 0)
    assert len(track.tagged(workspace, "sweep", search.BEST, "sweep/train")) == 1


@pytest.mark.slow
def test_trials_that_fail_do_not_end_the_search(tmp_path, workspace):
    found, count = _drive(_file(tmp_path, trial_count=6, broken=1), workspace)
    assert count == 6
    assert found is not None
    assert found.parameters["n"] == 2
    ran = len(_ran(workspace))
    assert any(", 1, " in line for line in _ran(workspace))
    assert _drive(_file(tmp_path, trial_count=6, broken=1), workspace) == (found, count)
    assert len(_ran(workspace)) == ran


_CODE = """\
import sys
from geolab import settings
from geolab.pipeline import search, spec
found = settings.load()
for figures in search.drive(spec.load(sys.argv[1], settings=found), settings=found, workers=2):
    pass
"""


@pytest.mark.slow
def test_a_search_whose_driver_is_killed_comes_to_the_same_end(tmp_path, workspace):
    path = _file(tmp_path, trial_count=4, wait_s=1.0)
    other = replace(workspace, home=tmp_path / "undisturbed")
    environment = os.environ | {"GEOLAB_HOME": str(other.home)}
    subprocess.run([sys.executable, "-c", _CODE, str(path)], env=environment, check=True)

    for wanted in (1, 3):  # in the midst of the first batch, then of the second
        driver = subprocess.Popen([sys.executable, "-c", _CODE, str(path)], start_new_session=True)
        deadline = time.monotonic() + 120
        while len(_ran(workspace)) < wanted:
            assert driver.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        processes.kill_tree(driver.pid, itself=True)
        driver.wait()
    found, count = _drive(path, workspace)
    assert count == 4
    assert set(_ran(workspace)) == set(_ran(other))
    ended = [run for run in open_ledger(workspace).runs(pipeline="sweep") if run.slot.startswith("train-")]
    of_key = [run.key for run in ended if run.state == "succeeded"]
    assert len(of_key) == len(set(of_key)) == 4  # none that had ended was run again
    assert found is not None
    (used,) = (workspace.runs / "use").glob("*/used.txt")
    (expected,) = (other.home / "runs" / "use").glob("*/used.txt")
    assert used.read_text() == expected.read_text() == repr(found.parameters["x"])
