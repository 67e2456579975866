"""Schedules run exactly the words that were meant: through cron's own rules, a shell, a kernel and Python."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nbclient
import nbformat
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_notebook

from geolab import settings
from geolab.cli import main
from geolab.errors import BadInput, GeolabError
from geolab.pipeline import schedule
from geolab.pipeline.model import Pipeline
from geolab.pipeline.schedule import Schedule

HOSTILE = [
    "50%", "%", "a\\%b", "a\\\\%b", "\\\\\\%", "100%%", "it's", "'\\%'", '"; touch /tmp/x; "', "$(id)",
    "`id`", "$HOME", "a b", "*", "~", "#", "!!", "\\", "{{ 1 + 1 }}", "{x}", "%s",
    '"""', "\\x41", "ü→😀", "-p", "",
]  # fmt: skip


def _pipeline(tmp_path: Path, **facts) -> Pipeline:
    plain = {"name": "nightly", "path": tmp_path / "nightly.yaml", "parameters": {}, "axes": {}, "stages": {}}
    return Pipeline(**(plain | facts))


def _schedule(tmp_path: Path, words: list[str]) -> Schedule:
    """A schedule whose command writes its own words into a file."""
    code = (
        "import json, os, sys; json.dump([sys.argv[1:], os.environ['GEOLAB_HOME']], open('words.json', 'w'))"
    )
    home = tmp_path / "it's 5% home"
    return Schedule("nightly", "0 3 * * 1", "Europe/Berlin", (sys.executable, "-c", code, *words), home)


def _read_by_cron(line: str) -> str:
    """What cron gives its shell: vixie cron's rule for %, as in its do_command.c."""
    command, escaped = "", False
    for char in line.split(maxsplit=5)[5]:
        if escaped:
            command = command[:-1] + char if char == "%" else command + char
            escaped = False
        elif char == "%":
            break
        else:
            command, escaped = command + char, char == "\\"
    return command


def _run_by_cron(found: Schedule, folder: Path) -> list[str]:
    line = schedule.crontab(found)
    assert "\n" not in line
    subprocess.run(
        ["/bin/sh", "-c", _read_by_cron(line)], cwd=folder, check=True, env={"PATH": os.environ["PATH"]}
    )
    words, home = json.loads((folder / "words.json").read_text())
    assert home == str(found.home)
    assert (found.home / "logs/nightly.log").is_file()
    return words


def test_a_crontab_line_runs_the_very_words(tmp_path):
    assert _run_by_cron(_schedule(tmp_path, HOSTILE), tmp_path) == HOSTILE


@limits(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.sampled_from("\\%'\"$` a{}!"), max_size=8), min_size=1, max_size=12))
def test_a_crontab_line_runs_the_very_words_whatever_they_are(tmp_path, words):
    assert _run_by_cron(_schedule(tmp_path, words), tmp_path) == words


def test_an_airflow_dag_runs_the_very_words(tmp_path):
    found = _schedule(tmp_path, HOSTILE)
    text = schedule.airflow(found)
    compile(text, "dag.py", "exec")
    (tmp_path / "airflow").mkdir()
    (tmp_path / "airflow/__init__.py").write_text("")
    # what the file uses of Airflow: a DAG is a context manager, @task makes a callable
    (tmp_path / "airflow/sdk.py").write_text(
        "import contextlib\n"
        "@contextlib.contextmanager\n"
        "def DAG(**facts):\n"
        "    print(facts['dag_id'], facts['schedule'], facts['start_date'].tzinfo.key, facts['catchup'])\n"
        "    yield\n"
        "def task(**facts):\n"
        "    return lambda function: function\n"
    )
    (tmp_path / "dag.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "dag.py"], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert done.stdout == "nightly 0 3 * * 1 Europe/Berlin False\n"
    assert json.loads((tmp_path / "words.json").read_text()) == [HOSTILE, str(found.home)]


def test_a_job_of_jupyter_scheduler_runs_the_very_words(tmp_path):
    found = _schedule(tmp_path, HOSTILE)
    job = schedule.jupyter(found)
    assert job["input_uri"] == "nightly-scheduled.ipynb"
    assert (job["schedule"], job["timezone"]) == ("0 3 * * 1", "Europe/Berlin")
    assert "parameters" not in job  # it would put them into the notebook as Python
    page = nbformat.reads(schedule.notebook(found), 4)
    nbformat.validate(page)
    assert page.cells[1].metadata.tags == ["parameters"]
    nbclient.NotebookClient(page, timeout=60, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert json.loads((tmp_path / "words.json").read_text()) == [HOSTILE, str(found.home)]


def test_a_failing_pipeline_fails_the_notebook(tmp_path):
    found = Schedule("nightly", "0 3 * * 1", "UTC", (sys.executable, "-c", "raise SystemExit(1)"), tmp_path)
    with pytest.raises(CellExecutionError, match="returned non-zero exit status 1"):
        nbclient.NotebookClient(nbformat.reads(schedule.notebook(found), 4), timeout=60).execute()


# ---------------------------------------------------------------- from a pipeline


def test_the_command_carries_what_was_given(tmp_path, workspace):
    facts = {"api": "http://127.0.0.1/50%", "years": [2021, 2022], "all": True, "n": 3}
    pipeline = _pipeline(tmp_path, schedule="@weekly", given=facts)
    found = schedule.of(pipeline, workspace, engine="tcp://s:8786", workers=4)
    assert found.cron == "0 0 * * 0"
    assert found.command[:6] == (
        sys.executable,
        "-m",
        "geolab",
        "pipeline",
        "run",
        str(tmp_path / "nightly.yaml"),
    )
    assert found.command[6:] == (
        *("-p", "api=http://127.0.0.1/50%", "-p", "years=[2021, 2022]", "-p", "all=true", "-p", "n=3"),
        *("--engine", "tcp://s:8786", "--workers", "4"),
    )


@pytest.mark.parametrize(
    "facts, more, why",
    [
        ({}, {}, "nightly.yaml: found no schedule, expected one; add schedule"),
        ({"schedule": "often"}, {}, "schedule: found 'often', expected minute, hour"),
        ({"schedule": "@daily"}, {"timezone": "Mars/Olympus"}, "time zone: found 'Mars/Olympus'"),
        ({"schedule": "@daily"}, {"timezone": "../../etc/passwd"}, "time zone"),
        ({"schedule": "@daily", "given": {"a": "x\ny"}}, {}, "expected words of printable characters"),
        ({"schedule": "@daily", "given": {"a": "x\0"}}, {}, "expected words of printable characters"),
    ],
)
def test_what_cannot_be_scheduled_is_told_in_one_line(tmp_path, workspace, facts, more, why):
    with pytest.raises(GeolabError) as told:
        schedule.of(_pipeline(tmp_path, **facts), workspace, **more)
    assert why in str(told.value)
    assert "\n" not in str(told.value)


def test_a_line_that_cron_would_cut_off_is_refused(tmp_path, workspace):
    found = schedule.of(_pipeline(tmp_path, given={"a": "x" * 1000}), workspace, times="@daily")
    with pytest.raises(BadInput, match="at most 990; write the parameters into the pipeline's file"):
        schedule.crontab(found)


# ---------------------------------------------------------------- the command


@pytest.fixture
def file(tmp_path) -> Path:
    notebook = tmp_path / "tiny.ipynb"
    parameters = new_code_cell('text: str = "a"  # any', metadata={"tags": ["parameters"]})
    nbformat.write(new_notebook(cells=[parameters]), notebook)
    path = tmp_path / "nightly.yaml"
    path.write_text(
        "name: nightly\nschedule: 0 3 * * mon\nparameters: {word: a}\n"
        f"stages: {{only: {{notebook: ./{notebook.name}, parameters: {{text: '${{word}}'}}}}}}\n"
    )
    return path


def test_schedule_prints_all_three(file, workspace, capsys):
    assert main(["schedule", str(file), "-p", "word=50%"]) == 0
    printed = capsys.readouterr().out
    for name in ("# crontab", "# jupyter", "# airflow"):
        assert printed.count(name) == 1
    assert "0 3 * * 1 mkdir -p" in printed
    assert "word=50''\\%" in printed


def test_schedule_prints_one_format_or_json(file, workspace, capsys):
    assert main(["schedule", str(file), "--format", "jupyter", "--cron", "@daily"]) == 0
    assert json.loads(capsys.readouterr().out)["schedule"] == "0 0 * * *"
    assert main(["schedule", str(file), "--format", "airflow"]) == 0
    compile(capsys.readouterr().out, "dag.py", "exec")
    assert main(["schedule", str(file), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told.keys() == {"name", "cron", "command", "crontab", "jupyter", "airflow"}


def test_schedule_writes_files_and_overwrites_none(file, workspace, capsys, tmp_path):
    assert main(["schedule", str(file), "--out", str(tmp_path / "out")]) == 0
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert names == {"nightly.crontab", "nightly-job.json", "nightly-scheduled.ipynb", "nightly_dag.py"}
    assert main(["schedule", str(file), "--out", str(tmp_path / "out")]) == 2
    assert "which is there" in capsys.readouterr().err


def test_a_schedule_in_the_file_is_checked_with_it(file, workspace, capsys):
    file.write_text(file.read_text().replace("0 3 * * mon", "0 25 * * mon"))
    for words in (["schedule", str(file)], ["pipeline", "plan", str(file)]):
        assert main(words) == 2
        told = capsys.readouterr().err
        assert told.startswith(
            "error: nightly.yaml, line 2, schedule: schedule, hour: found '25', expected 0 to 23"
        )


def test_mistakes_of_the_command_are_one_line(file, workspace, capsys):
    for words in (["--cron", "99 * * * *"], ["--timezone", "x"], ["-p", "wrd=1"], ["-p", "word"]):
        assert main(["schedule", str(file), *words]) == 2
        assert capsys.readouterr().err.startswith("error: ")
    assert settings.load().home.exists() is False
