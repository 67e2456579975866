"""A run as a command and as a notebook: each is the very same work."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geolab import jobs
from geolab.apps import command
from geolab.cli import work
from geolab.errors import BadInput, NotFound

CELL = """
word: str = "a"  # a text
maybe: "Optional[str]" = None  # a text or none
n: int = 3  # a number {..}
x: float = 1.5  # a number
y: "Optional[float]" = 0.5  # a number or none
yes: bool = True  # a switch
some: list = [1, 2.0]  # a list
facts: dict = {"a": [None, True]}  # facts
""".strip().replace(" {..}", "")
AWKWARD = [
    "", " ", "'", "\"'\\", "$(touch x)", "`touch x`", "; touch x #", "a\nb", "\x1b[201~; touch x\n", "-p",
    "!!", "*", "~", "ü–日本", "\u202egpj.exe", "%s", "\\x41", "none ", "None", "\t", "=",
]  # fmt: skip
text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])) | st.sampled_from(AWKWARD)
number = st.floats(allow_nan=False, allow_infinity=False)
whole = st.integers(-(10**17), 10**17)
plain = st.recursive(
    st.none() | st.booleans() | whole | number | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
some_values = st.fixed_dictionaries(
    {},
    optional={
        "word": text,
        "maybe": st.none() | text,
        "n": whole,
        "x": number,
        "y": st.none() | number,
        "yes": st.booleans(),
        "some": st.lists(plain, max_size=3),
        "facts": st.dictionaries(st.text(), plain, max_size=3),
    },
)


@pytest.fixture
def odd_notebook(make_notebook) -> Path:
    return make_notebook(CELL, "print(word)", name="odd")


def _words(line: str) -> list[str]:
    """What bash makes of a command line, word by word."""
    program = f'geolab() {{ printf "%s\\0" "$@"; }}\n{line}'
    done = subprocess.run(["bash", "-c", program], capture_output=True, check=True)
    return done.stdout.decode().split("\0")[:-1]


def _typed(words: list[str]) -> dict[str, str]:
    """The parameters as the command line's own code takes them."""
    assert words[0] == "run"
    assert words[2::2] == ["-p"] * len(words[2::2])
    return dict(work._assignment(word) for word in words[3::2])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=some_values)
def test_the_command_pasted_into_bash_has_the_very_same_key(odd_notebook, workspace, values):
    key, full = jobs.key_of(odd_notebook, values, settings=workspace)
    line = command.of(odd_notebook, full)
    words = _words(line)
    assert line.isprintable()
    assert words[1] == str(odd_notebook)
    assert jobs.key_of(words[1], _typed(words), settings=workspace) == (key, full)


def test_the_real_command_line_finds_the_same_run(odd_notebook, workspace):
    values = {"word": 'it\'s "$HOME" `x`\n\x1b[201~ ü', "y": None, "some": ["a b", {"k": -0.0}], "x": -1e-9}
    key, full = jobs.key_of(odd_notebook, values, settings=workspace)
    line = command.of(odd_notebook, full).replace("geolab", f"{sys.executable} -m geolab", 1)
    done = subprocess.run(["bash", "-c", f"{line} --queue"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    view = jobs.show(done.stdout.strip(), settings=workspace)
    assert (view.key, view.parameters) == (key, full)


def test_only_what_differs_from_its_default_is_said(odd_notebook):
    contract = jobs.contract(odd_notebook)
    assert command.of(odd_notebook, jobs.parse(contract, {})) == f"geolab run {odd_notebook}"
    line = command.of(odd_notebook, jobs.parse(contract, {"some": [True, 2.0], "y": None, "yes": False}))
    assert line == f"geolab run {odd_notebook} -p y=none -p yes=false -p 'some=[true, 2.0]'"
    assert (
        command.of("04_detect_change", {"method": "irmad"}) == "geolab run 04_detect_change -p method=irmad"
    )
    assert command.of(jobs.notebooks()["04_detect_change"], {}) == "geolab run 04_detect_change"


def test_a_notebook_that_is_gone_is_named_as_it_was():
    assert command.of("nosuch", {"n": 3, "a": "x y"}) == "geolab run nosuch -p n=3 -p 'a=x y'"


@pytest.mark.parametrize("bad", ["a\0b", "\ud800", "a\udc80"])
def test_a_text_that_no_command_line_holds_is_refused(odd_notebook, bad):
    with pytest.raises(BadInput, match=r"word: .*expected a text that a command line can hold"):
        command.of(odd_notebook, {"word": bad})


# ---------------------------------------------------------------- the copy


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=some_values)
def test_values_filled_into_the_cell_are_its_new_defaults(make_notebook, odd_notebook, values):
    contract = jobs.contract(odd_notebook)
    full = jobs.parse(contract, values)
    cell = command.filled_in(CELL, full)
    assert len(cell.splitlines()) == len(CELL.splitlines())
    filled = jobs.contract(make_notebook(cell, name="filled"))
    assert _plain({p.name: p.default for p in filled.parameters}) == _plain(full)
    assert [(p.type, p.help) for p in filled.parameters] == [(p.type, p.help) for p in contract.parameters]


def _plain(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def test_filling_in_keeps_what_surrounds_the_literals():
    cell = 'a: int = (1)  # "ü" {0..9}\n# kept\nü: str = "ä" "b"; c: list = []  # both'
    told = command.filled_in(cell, {"a": 5, "ü": "it's", "c": ["x"]})
    assert told == 'a: int = (5)  # "ü" {0..9}\n# kept\nü: str = "it\'s"; c: list = [\'x\']  # both'


def test_a_hostile_text_stays_a_text_in_the_copy(odd_notebook, workspace, tmp_path):
    trap = tmp_path / "trap"
    word = f'"\n__import__("os").system("touch {trap}")\n#\'\'\''
    made = command.notebook_copy(workspace, odd_notebook, {"word": word})
    namespace: dict[str, Any] = {}
    exec(json.loads(made.read_text())["cells"][1]["source"], namespace)
    assert namespace["word"] == word
    assert not trap.exists()


def test_a_copy_is_found_again_until_it_is_changed(odd_notebook, workspace):
    first = command.notebook_copy(workspace, odd_notebook, {"n": 4})
    assert first == workspace.home / "notebooks" / "odd-copy.ipynb"
    assert command.notebook_copy(workspace, odd_notebook, {"n": "4"}) == first
    second = command.notebook_copy(workspace, odd_notebook, {"n": 5})
    assert second.name == "odd-copy-2.ipynb"
    first.write_text("{ half a file")
    assert command.notebook_copy(workspace, odd_notebook, {"n": 4}).name == "odd-copy-3.ipynb"
    assert first.read_text() == "{ half a file"


def test_a_copy_has_no_outputs_and_none_but_its_own_parameters(odd_notebook, workspace):
    document = json.loads(odd_notebook.read_text())
    document["cells"][2] |= {"outputs": [{"output_type": "stream", "name": "stdout", "text": "old"}]}
    document["cells"].insert(2, document["cells"][2] | {"metadata": {"tags": ["injected-parameters"]}})
    odd_notebook.write_text(json.dumps(document))
    made = json.loads(command.notebook_copy(workspace, odd_notebook, {}).read_text())
    assert [c["cell_type"] for c in made["cells"]] == ["markdown", "code", "code"]
    assert made["cells"][2]["outputs"] == []


def test_what_the_notebook_does_not_take_is_not_copied(odd_notebook, workspace):
    with pytest.raises(NotFound, match="no parameter of odd 'm'"):
        command.notebook_copy(workspace, odd_notebook, {"m": 1})
    with pytest.raises(BadInput, match="n: found 'x', expected a whole number"):
        command.notebook_copy(workspace, odd_notebook, {"n": "x"})
    assert not (workspace.home / "notebooks").exists()


def test_every_notebook_of_geolab_can_be_copied_with_its_defaults(workspace):
    for name, path in jobs.notebooks().items():
        made = jobs.contract(command.notebook_copy(workspace, name, {}))
        assert made.parameters == jobs.contract(path).parameters


def test_jupyterlab_is_linked_where_it_reaches_the_notebook(tmp_path, monkeypatch):
    monkeypatch.setenv("GEOLAB_BASE_URL", "/user/ann/")
    path = tmp_path / "a b" / "ü#1.ipynb"
    assert command.lab_url(path) == ""
    monkeypatch.setenv("GEOLAB_LAB_ROOT", str(tmp_path / "elsewhere"))
    assert command.lab_url(path) == ""
    monkeypatch.setenv("GEOLAB_LAB_ROOT", str(tmp_path))
    assert command.lab_url(path) == "/user/ann/lab/tree/a%20b/%C3%BC%231.ipynb"
    assert command.lab_url(tmp_path / "a b" / ".." / ".." / "out.ipynb") == ""
