"""The parameters cell: what it may say, and that it is read without being run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from geolab import jobs
from geolab.errors import BadInput, ContractBroken, FileRejected, NotFound

CELL = """
before: str = ""              # image before {item}
method: str = "cva"           # how {cva|irmad|model}
threshold: "Optional[float]" = None  # change probability {0..1}
tile_px: int = 256            # side of a window, pixels {32..}
shift: float = -1             # metres
bands: list = [1, -2, 3.5]    # bands
options: dict = {"a": [None, True]}
align: bool = False           # warp first
images: str = "sample"        # where from {source|sample}
""".strip()


def test_every_part_of_a_line_is_read(make_notebook):
    contract = jobs.contract(make_notebook(CELL))
    assert (contract.name, contract.title, contract.summary) == ("tiny", "A tiny notebook", "It counts.")
    by_name = {p.name: p for p in contract.parameters}
    assert list(by_name)[:3] == ["before", "method", "threshold"]
    assert by_name["before"].references == ("item",)
    assert by_name["before"].help == "image before"
    assert by_name["method"].choices == ("cva", "irmad", "model")
    assert (by_name["threshold"].type, by_name["threshold"].default) == ("Optional[float]", None)
    assert (by_name["threshold"].minimum, by_name["threshold"].maximum) == (0.0, 1.0)
    assert (by_name["tile_px"].minimum, by_name["tile_px"].maximum) == (32.0, None)
    assert by_name["shift"].default == -1.0
    assert isinstance(by_name["shift"].default, float)
    assert by_name["bands"].default == [1, -2, 3.5]
    assert by_name["options"].default == {"a": [None, True]}
    assert (by_name["images"].references, by_name["images"].choices) == (("source",), ("sample",))
    kinds = ["item", "cva|irmad|model", "0..1", "32..", "", "", "", "", "source|sample"]
    assert [p.kind for p in contract.parameters] == kinds


@pytest.mark.parametrize(
    "cell, words",
    [
        ("n: int = 2 + 3", "expected a literal"),
        ("n: int = __import__('os').getpid()", "expected a literal"),
        ("n = 3", "nothing but"),
        ("import os", "nothing but"),
        ("n: int", "with a default"),
        ("n: list = [1,\n  2]", "on one line"),
        ("n: int = 3\nn: int = 4", "'n' stands twice"),
        ("n: int = 'a'", "a whole number"),
        ("n: int = True", "a whole number"),
        ("n: int = None", "a whole number"),
        ("n: complex = 1j", "type complex"),
        ("n: Optional[int] = None", "in quotes"),
        ("n: int | None = None", "type int | None"),
        ("n: int = 5  # help {6..9}", "in 6..9"),
        ("n: int = 5  # help {9..6}", "low to high"),
        ("n: str = 'a'  # help {0..1}", "on an int or float"),
        ("n: str = 'a'  # help {b|c}", "one of b, c"),
        ("n: str = 'a'  # help {itme}", "kind {itme}"),
        ("n: int = 1  # help {item}", "expected str or list"),
        ("n: int = 1  # help {a|b}", "a whole number"),
        ("api_key: str = ''", "secrets come from the environment"),
        ("db_password: str = ''", "secrets come from the environment"),
        ("n: int = (", "not Python"),
    ],
)
def test_what_breaks_the_grammar_is_refused_with_cell_and_line(make_notebook, cell, words):
    with pytest.raises(ContractBroken) as caught:
        jobs.contract(make_notebook(f"# a comment\n{cell}"))
    message = str(caught.value)
    assert message.startswith("tiny.ipynb, cell 2, line ")
    assert words in message
    assert "\n" not in message


def test_reading_a_contract_runs_nothing(make_notebook, tmp_path):
    trap = tmp_path / "trap"
    code = f"open({str(trap)!r}, 'w')"
    with pytest.raises(ContractBroken):
        jobs.contract(make_notebook(f"n: int = {code}"))
    jobs.contract(make_notebook("n: int = 1", code))
    assert not trap.exists()


@pytest.mark.parametrize(
    "code",
    [
        "n = 4",
        "if True:\n    n = 4",
        "for n in range(3):\n    pass",
        "import os as n",
        "n += 1",
        "n: int = 2",
        "def n(): pass",
        "with open('a') as n: pass",
        "(n := 3)",
        "%time 3\nn = 4",
        "k, (n, m) = 1, (2, 3)",
        "del n",
    ],
)
def test_a_later_cell_that_sets_a_parameter_is_refused(make_notebook, code):
    with pytest.raises(ContractBroken, match=r"cell 4, line \d+: sets the parameter 'n' again"):
        jobs.contract(make_notebook("n: int = 3", "x = n", code))


@pytest.mark.parametrize(
    "code",
    [
        "def f(n):\n    n = 3",
        "[n for n in range(3)]",
        "m = n",
        "a.n = 3",
        "f(n=3)",
        "%%bash\nn = 3",
        "x = lambda n: n",
    ],
)
def test_a_later_cell_may_use_a_parameter_and_its_name_in_other_scopes(make_notebook, code):
    assert jobs.contract(make_notebook("n: int = 3", code)).parameters[0].name == "n"


def test_a_second_parameters_cell_and_code_before_it_are_refused(make_notebook):
    path = make_notebook("n: int = 3", "x = 1")
    document = json.loads(path.read_text())
    document["cells"][2]["metadata"]["tags"] = ["parameters"]
    path.write_text(json.dumps(document))
    with pytest.raises(ContractBroken, match="cell 3: a second cell is tagged"):
        jobs.contract(path)
    document["cells"][1]["metadata"]["tags"] = []
    path.write_text(json.dumps(document))
    with pytest.raises(ContractBroken, match="cell 2: code before the parameters cell"):
        jobs.contract(path)
    document["cells"][2]["metadata"]["tags"] = []
    path.write_text(json.dumps(document))
    with pytest.raises(ContractBroken, match="no cell is tagged 'parameters'"):
        jobs.contract(path)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b"\xff\xfe", b'{"nbformat": 4, "cells": [3]}', b"[" * 100_000]
)
def test_a_file_that_is_no_notebook_is_rejected(tmp_path, content):
    path = tmp_path / "broken.ipynb"
    path.write_bytes(content)
    with pytest.raises(FileRejected, match="notebook"):
        jobs.contract(path)


def test_values_are_typed_and_defaults_filled(make_notebook):
    contract = jobs.contract(make_notebook(CELL))
    texts = {
        "tile_px": "64",
        "threshold": "0.25",
        "align": "TRUE",
        "bands": "[4]",
        "options": '{"b": 1}',
        "shift": "2",
    }
    values = jobs.parse(contract, texts)
    assert values["tile_px"] == 64
    assert values["threshold"] == 0.25
    assert values["align"] is True
    assert (values["bands"], values["options"]) == ([4], {"b": 1})
    assert isinstance(values["shift"], float)
    assert values["method"] == "cva"
    assert list(values) == [p.name for p in contract.parameters]
    assert jobs.parse(contract, values) == values
    assert jobs.parse(contract, {"threshold": "none"})["threshold"] is None


@pytest.mark.parametrize(
    "name, value, words",
    [
        ("tile_px", "3.5", "a whole number"),
        ("tile_px", "abc", "a whole number"),
        ("tile_px", "", "a whole number"),
        ("tile_px", 64.0, "a whole number"),
        ("tile_px", True, "a whole number"),
        ("tile_px", "8", "in 32.."),
        ("tile_px", "9" * 30, "a whole number"),
        ("threshold", "nan", "a finite number or none"),
        ("threshold", "inf", "a finite number"),
        ("threshold", "1.5", "in 0..1"),
        ("align", "1", "true or false"),
        ("align", "yes", "true or false"),
        ("bands", "1,2", "a JSON list"),
        ("bands", '{"a": 1}', "a JSON list"),
        ("bands", "[NaN]", "a JSON list"),
        ("bands", "[" * 100_000, "a JSON list"),
        ("options", "[1]", "a JSON object"),
        ("method", "svm", "one of cva, irmad, model"),
        ("method", 3, "a text"),
        ("method", None, "a text"),
    ],
)
def test_a_value_of_the_wrong_type_or_range_is_refused(make_notebook, name, value, words):
    with pytest.raises(BadInput) as caught:
        jobs.parse(jobs.contract(make_notebook(CELL)), {name: value})
    assert str(caught.value).startswith(f"{name}: found ")
    assert words in str(caught.value)


def test_an_unknown_name_is_refused_with_the_nearest_one(make_notebook):
    contract = jobs.contract(make_notebook("epochs: int = 3"))
    with pytest.raises(NotFound, match="no parameter of tiny 'epoch'; did you mean 'epochs'"):
        jobs.parse(contract, {"epoch": "3"})


def test_notebooks_are_found_by_name_or_by_an_existing_file_only(make_notebook, tmp_path):
    path = make_notebook("n: int = 3")
    assert jobs.find_notebook(path) == path
    for name in ("../tiny", str(path.with_suffix("")), "/etc/passwd", "nosuch", "", "a\0b"):
        with pytest.raises(NotFound, match="no notebook"):
            jobs.find_notebook(name)
    odd = tmp_path / "a b;c.ipynb"
    odd.write_bytes(path.read_bytes())
    with pytest.raises(BadInput, match="a file name of letters"):
        jobs.find_notebook(odd)


def test_geolabs_own_notebooks_keep_their_contract():
    for name, path in jobs.notebooks().items():
        contract = jobs.contract(Path(path))
        assert contract.name == name
        assert contract.title != name
        assert contract.summary
