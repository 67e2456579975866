"""The repository keeps its own promises: lists agree, imports are light, notebooks have their shape."""

from __future__ import annotations

import ast
import itertools
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
NOTEBOOKS = sorted((REPOSITORY / "notebooks").rglob("*.ipynb"))
PAGES = [path for path in NOTEBOOKS if path.parent.name == "apps"]
JOBS = [path for path in NOTEBOOKS if path not in PAGES]
HEAVY = {"torch", "papermill", "mlflow", "numpy", "rasterio", "matplotlib", "nbformat", "rich", "scipy"}


@pytest.mark.parametrize("path", ["environment.yml", "binder/environment.yml"])
def test_environments_list_what_pyproject_lists(path: str):
    environment = yaml.safe_load((REPOSITORY / path).read_text())
    listed = next(d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    expected = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["splats"]
    assert [d for d in listed if d != "-e ."] == expected


def test_the_lock_is_hashed_names_no_index_and_leaves_torch_out():
    lock = (REPOSITORY / "requirements.lock").read_text()
    names = re.findall(r"^([a-z0-9._-]+)==", lock, re.MULTILINE)
    assert len(names) > 100
    assert "://" not in lock
    assert "torch" not in names
    assert not [n for n in names if n.startswith(("nvidia-", "triton"))]
    assert all("--hash=sha256:" in part for part in re.split(r"^(?=[a-z0-9._-]+==)", lock, flags=re.M)[1:])


def test_every_dependency_is_in_the_lock():
    lock = (REPOSITORY / "requirements.lock").read_text()
    extras = dict(PROJECT["optional-dependencies"])
    extras.pop("lpips")  # torchvision must fit the machine's own torch
    wanted = [*PROJECT["dependencies"], *itertools.chain(*extras.values())]
    names = {re.split(r"[<>=\[!~ ]", d)[0].lower().replace("_", "-") for d in wanted} - {"torch"}
    assert not [n for n in names if not re.search(rf"^{re.escape(n)}==", lock, re.MULTILINE)]


def loaded_by(code: str) -> set[str]:
    """The top-level modules in a fresh interpreter after running the code."""
    program = f"import sys\n{code}\nprint(*{{m.split('.')[0] for m in sys.modules}}, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_importing_geolab_loads_nothing_heavy():
    assert not loaded_by("import geolab") & HEAVY


def test_help_loads_nothing_heavy():
    code = "from geolab.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    assert not loaded_by(code) & HEAVY


def test_importing_the_apps_loads_nothing_heavy():
    assert not loaded_by("import geolab.apps") & (HEAVY | {"ipywidgets", "ipyleaflet"})


def test_change_loads_no_torch_until_it_is_used():
    assert "torch" not in loaded_by("import geolab.change")


# ---------------------------------------------------------------- notebooks


@pytest.fixture(params=NOTEBOOKS, ids=lambda p: p.stem)
def notebook(request: pytest.FixtureRequest) -> dict:
    return json.loads(request.param.read_text())


def source(cell: dict) -> str:
    return "".join(cell["source"])


def code_cells(notebook: dict) -> list[dict]:
    return [c for c in notebook["cells"] if c["cell_type"] == "code"]


def test_a_notebook_begins_with_title_purpose_and_what_it_reads_and_writes(notebook: dict):
    first = source(notebook["cells"][0])
    assert re.match(r"# \S.+\n\n\S.+\.\n\n", first)
    assert re.search(r"^\*?Reads .+writes .+", first, re.MULTILINE)


def test_the_second_cell_alone_holds_the_parameters(notebook: dict):
    tagged = [i for i, c in enumerate(notebook["cells"]) if "parameters" in c["metadata"].get("tags", [])]
    assert tagged == [1]
    body = ast.parse(source(notebook["cells"][1])).body
    assert all(isinstance(node, ast.AnnAssign) for node in body)


def test_a_notebook_only_calls_the_package(notebook: dict):
    for cell in code_cells(notebook)[1:]:
        text = source(cell)
        assert not re.search(r"^\s*[%!]", text, re.MULTILINE)
        assert "sys.path" not in text
        forbidden = (ast.FunctionDef, ast.ClassDef, ast.Lambda, ast.Try, ast.AsyncFunctionDef)
        assert not [n for n in ast.walk(ast.parse(text)) if isinstance(n, forbidden)]


def test_a_notebook_is_short(notebook: dict):
    lengths = [len([x for x in source(c).splitlines() if x.strip()]) for c in code_cells(notebook)]
    assert len(lengths) <= 14
    assert sum(lengths) <= 90
    assert max(lengths) <= 20


@pytest.mark.parametrize("path", JOBS, ids=lambda p: p.stem)
def test_results_leave_through_report_in_the_last_cell(path: Path):
    notebook = json.loads(path.read_text())
    reports = [i for i, c in enumerate(notebook["cells"]) if "jobs.report(" in source(c)]
    assert reports == [len(notebook["cells"]) - 1]


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.stem)
def test_a_page_is_a_call_of_the_apps_with_all_of_its_parameters(path: Path):
    cells = code_cells(json.loads(path.read_text()))
    assert len(cells) == 3
    names = [node.target.id for node in ast.parse(source(cells[0])).body]
    assert (
        len(names) > 1
    )  # a cell of one line that begins with the name of a magic, such as run, would be one
    (call,) = [node for node in ast.walk(ast.parse(source(cells[-1]))) if isinstance(node, ast.Call)]
    assert ast.unparse(call.func) == "apps.show"
    assert ast.literal_eval(call.args[0]) == path.stem
    assert {word.arg: ast.unparse(word.value) for word in call.keywords} == {name: name for name in names}


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.stem)
def test_a_page_has_its_module_with_a_builder(path: Path):
    module = REPOSITORY / "geolab" / "apps" / path.stem
    file = module / "__init__.py" if module.is_dir() else module.with_suffix(".py")
    defined = {node.name for node in ast.parse(file.read_text()).body if isinstance(node, ast.FunctionDef)}
    assert "build" in defined


def test_a_notebook_carries_no_outputs(notebook: dict):
    assert all(not c["outputs"] and c["execution_count"] is None for c in code_cells(notebook))
    assert "papermill" not in notebook["metadata"]


# ---------------------------------------------------------------- words


def test_readme_names_only_commands_and_targets_that_exist():
    readme = (REPOSITORY / "README.md").read_text()
    targets = set(re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z]+)", readme)) <= targets
    from geolab.cli import commands

    named = set(re.findall(r"\bgeolab ([a-z]+)", "\n".join(re.findall(r"```.*?```", readme, re.DOTALL))))
    assert named <= set(commands())


def test_every_command_is_documented_in_the_readme():
    from geolab.cli import commands

    readme = (REPOSITORY / "README.md").read_text()
    assert [name for name in commands() if f"geolab {name}" not in readme] == []
