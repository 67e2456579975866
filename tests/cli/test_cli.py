"""The command line as a user meets it: real processes, exit codes, one line on stderr, stable JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from geolab.cli import commands
from geolab.settings import Settings


def geolab(*words: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "geolab", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300)


def mistake(done: subprocess.CompletedProcess[str]) -> str:
    """The one line on stderr of a user's mistake."""
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("town")
    done = geolab("town", folder, "--size", 256, "--seed", 3, "--photos", 2, "--json")
    assert done.returncode == 0, done.stderr
    assert {Path(f).suffix for f in json.loads(done.stdout)["files"]} >= {".tif"}
    return folder


@pytest.mark.parametrize("name", commands())
def test_every_command_has_help_with_an_example(name: str):
    done = geolab(name, "--help")
    assert done.returncode == 0
    assert f"example:\n  {'' if name != 'demo' else 'GEOLAB_HOME=/tmp/demo '}geolab {name}" in done.stdout


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["bogus"], "bogus"),
        (["run"], "NAME"),
        (["run", "03_train_change", "-p", "epoch=3"], "did you mean 'epochs'?"),
        (["run", "03_train_change", "-p", "epochs=abc"], "epochs"),
        (["run", "03_train_change", "-p", "epochs"], "name=value"),
        (["run", "03_train_change", "-p", "pairs=nowhere"], "nowhere"),
        (["run", "04_detect_change", "-p", "before=nothing"], "nothing"),
        (["run", "04_detect_change", "-p", "method=magic"], "magic"),
        (["run", "../../etc/passwd"], "passwd"),
        (["run", "no_such"], "no_such"),
        (["runs", "show", "abcdef"], "abcdef"),
        (["runs", "--state", "odd"], "odd"),
        (["notebooks", "no_such"], "no_such"),
        (["ingest", "/no/such/file"], "/no/such/file"),
        (["search", "--bbox", "1,2"], "bbox"),
        (["search", "--bbox", "a,b,c,d"], "--bbox"),
        (["search", "--datetime", "yesterday"], "yesterday"),
        (["search", "--filter", "gsd <"], "gsd"),
        (["search", "--limit", "0"], "limit"),
        (["town", "/dev/null/x"], "/dev/null"),
    ],
)
def test_a_mistake_is_one_line_and_starts_nothing(workspace: Settings, words: list[str], named: str):
    assert named in mistake(geolab(*words))
    assert not workspace.runs.exists()
    assert not workspace.catalog_path.exists()


def test_an_unknown_setting_is_a_mistake(workspace: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GEOLAB_WORKRES", "3")
    assert "GEOLAB_WORKRES" in mistake(geolab("runs"))


def test_what_was_ingested_is_found_by_search(workspace: Settings, town: Path):
    done = geolab("ingest", town, "--collection", "town", "--json")
    told = json.loads(done.stdout)
    assert set(told) == {"added", "updated", "unchanged", "rejected"}
    assert len(told["added"]) >= 5
    assert told["rejected"] == []
    found = json.loads(geolab("search", "--collection", "town", "--json").stdout)
    assert found["type"] == "FeatureCollection"
    assert {item["id"] for item in found["features"]} == set(told["added"])
    again = json.loads(geolab("ingest", town, "--collection", "town", "--json").stdout)
    assert again["unchanged"] == told["added"]


def test_a_dry_run_says_what_would_be_and_makes_nothing(workspace: Settings, town: Path):
    told = json.loads(geolab("ingest", town, "--dry-run", "--json").stdout)
    assert len(told["added"]) >= 5
    assert not workspace.home.exists()


def test_a_negative_longitude_needs_no_equals_sign(workspace: Settings):
    assert geolab("search", "--bbox", "-98.1,30,-98,31").returncode == 0


def test_a_run_is_recorded_and_found_again(workspace: Settings, town: Path):
    geolab("ingest", town, "--collection", "town")
    titles = sorted(p.stem for p in town.glob("town-*.tif"))
    words = ["run", "04_detect_change", "-p", f"before={titles[0]}", "-p", f"after={titles[1]}", "--json"]
    first = json.loads(geolab(*words).stdout)
    assert first["state"] == "succeeded", first
    assert {"run_id", "state", "key", "folder", "reused", "results"} <= set(first)
    results = first["results"]
    assert {"mask", "probability", "polygons", "changed_m2", "changed_share"} <= set(results)
    assert Path(results["mask"].removeprefix("file://")).is_relative_to(first["folder"])
    second = json.loads(geolab(*words).stdout)
    assert (second["reused"], second["run_id"]) == (True, first["run_id"])
    shown = json.loads(geolab("runs", "show", first["run_id"], "--json").stdout)
    assert shown["state"] == "succeeded"
    assert geolab("runs", "logs", first["run_id"]).returncode == 0
    listed = json.loads(geolab("runs", "--json", "--state", "succeeded").stdout)
    assert [r["run_id"] for r in listed] == [first["run_id"]]


def test_a_failed_run_exits_1_and_shows_the_failing_cell(workspace: Settings, tmp_path: Path):
    from nbformat import v4, write

    cells = [
        v4.new_markdown_cell("# Fails\n\nOn purpose.\n\n*Reads nothing; writes nothing.*"),
        v4.new_code_cell("n: int = 1  # a number", metadata={"tags": ["parameters"]}),
        v4.new_code_cell("1 / (n - 1)"),
    ]
    path = tmp_path / "fails.ipynb"
    write(v4.new_notebook(cells=cells), path)
    done = geolab("run", path)
    assert done.returncode == 1
    assert "cell 3 failed: ZeroDivisionError" in done.stderr
    assert "papermill" not in done.stderr


def test_doctor_names_devices_and_packages(workspace: Settings):
    done = geolab("doctor", "--json")
    assert done.returncode == 0, done.stdout
    assert {"geolab", "packages", "torch", "workspace"} <= {f["what"] for f in json.loads(done.stdout)}


def test_output_is_plain_when_it_is_no_terminal(workspace: Settings):
    assert "\x1b" not in geolab("notebooks").stdout


def test_a_closed_pipe_is_no_error(workspace: Settings):
    command = f"{sys.executable} -m geolab notebooks 03_train_change | head -1"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert os.linesep in done.stdout
