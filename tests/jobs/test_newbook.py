"""geolab new: a notebook that is a page, a job and a test from its first moment."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from geolab import jobs, store
from geolab.cli import main
from geolab.errors import BadInput, ContractBroken, FileRejected, NotFound
from geolab.jobs import newbook


def test_a_new_notebook_is_a_job(tmp_path, workspace, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["new", "my_study"]) == 0
    assert capsys.readouterr().out == (
        "my_study.ipynb: open it in JupyterLab, or run it: geolab run ./my_study.ipynb\n"
    )
    path = tmp_path / "my_study.ipynb"
    nbformat.validate(nbformat.read(path, 4))
    assert jobs.contract(path).title == "My study"
    outcome = jobs.run(path, {"side_px": 32}, settings=workspace)
    assert (outcome.state, outcome.error) == ("succeeded", "")
    mask = np.load(store.local_path(outcome.results["mask"]))
    assert mask.shape == (32, 32)
    assert outcome.results["bright_share"] == pytest.approx(0.3, abs=0.05)
    assert "step image: done in" in (outcome.folder / "notebook.ipynb").read_text()


@pytest.mark.slow
def test_a_new_notebook_is_a_test(tmp_path, workspace):
    newbook.create("my_study", tmp_path)
    command = [sys.executable, "-m", "pytest", "--nbmake", "-q", "-p", "no:cacheprovider", "my_study.ipynb"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_every_notebook_of_geolab_can_be_copied(tmp_path):
    for name, path in jobs.notebooks().items():
        copy = newbook.create(f"my_{name}", tmp_path, like=name)
        assert jobs.contract(copy).parameters == jobs.contract(path).parameters
        given, made = nbformat.read(path, 4), nbformat.read(copy, 4)
        assert [c.source for c in made.cells[1:]] == [c.source for c in given.cells[1:]]
        assert made.cells[0].source.splitlines()[1:] == given.cells[0].source.splitlines()[1:]


def _executed(tmp_path: Path, *, parameters: bool = True) -> Path:
    given = new_code_cell("n: int = 1  # a number", metadata={"tags": ["parameters"], "papermill": {"x": 1}})
    injected = new_code_cell("n = 5", metadata={"tags": ["injected-parameters"]})
    work = new_code_cell("print(3)", execution_count=7, outputs=[new_output("stream", text="secret")])
    cells = [
        new_markdown_cell("# Old title\n\nKeeps this."),
        *([given, injected] if parameters else []),
        work,
    ]
    notebook = new_notebook(cells=cells, metadata={"papermill": {"parameters": {"n": 5}}})
    path = tmp_path / "executed.ipynb"
    nbformat.write(notebook, path)
    return path


def test_what_executions_left_is_not_copied(tmp_path):
    path = newbook.create("study.ipynb", tmp_path, like=_executed(tmp_path))
    assert path == tmp_path / "study.ipynb"
    text = path.read_text()
    for word in ("secret", "papermill", "injected", "Old title", '"execution_count": 7'):
        assert word not in text
    made = nbformat.reads(text, 4)
    nbformat.validate(made)
    assert [c.source for c in made.cells] == ["# Study\n\nKeeps this.", "n: int = 1  # a number", "print(3)"]


def test_a_notebook_without_parameters_gets_a_cell_for_them(tmp_path):
    path = newbook.create("study", tmp_path, like=_executed(tmp_path, parameters=False))
    assert jobs.contract(path).parameters == ()
    cell = json.loads(path.read_text())["cells"][1]
    assert cell["metadata"]["tags"] == ["parameters"]
    assert cell["source"].startswith("# name: type = value")


@pytest.mark.parametrize(
    "name", ["", "../x", "a/b", ".hidden", "a b", "a\n", "ä", "x" * 101, "$(id)", ".ipynb"]
)
def test_names_that_could_be_paths_are_refused(tmp_path, name):
    with pytest.raises(BadInput, match=r"notebook: found .* expected a name of letters"):
        newbook.create(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten_and_no_name_of_geolabs_is_taken(tmp_path):
    newbook.create("study", tmp_path)
    before = (tmp_path / "study.ipynb").read_bytes()
    with pytest.raises(BadInput, match=r"study.ipynb, which is there, expected a new name"):
        newbook.create("study", tmp_path, like="01_ingest")
    assert (tmp_path / "study.ipynb").read_bytes() == before
    with pytest.raises(BadInput, match="01_ingest, which comes with geolab"):
        newbook.create("01_ingest", tmp_path)


def test_what_is_no_notebook_or_no_job_is_refused(tmp_path):
    with pytest.raises(NotFound, match="did you mean '04_detect_change'"):
        newbook.create("study", tmp_path, like="04_detect_chang")
    (tmp_path / "odd.ipynb").write_text("{}")
    with pytest.raises(FileRejected):
        newbook.create("study", tmp_path, like=tmp_path / "odd.ipynb")
    broken = new_code_cell("n = 1", metadata={"tags": ["parameters"]})
    nbformat.write(new_notebook(cells=[broken]), tmp_path / "broken.ipynb")
    with pytest.raises(ContractBroken):
        newbook.create("study", tmp_path, like=tmp_path / "broken.ipynb")
    assert not (tmp_path / "study.ipynb").exists()
