"""Pipeline files: what they mean, and that every mistake is named before anything starts."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from shapely.geometry import box

from geolab.errors import NotFound, PipelineError
from geolab.pipeline import axes, spec
from geolab.pipeline.nodes import find, locate, nodes
from geolab.raster import cells

Write = Callable[..., Path]

WORK = (
    'cell: str = "a"  # id\nyear: int = 2020  # {1984..2100}\nkind: str = "x"  # {x|y}\n'
    "ok: bool = True  # flag\nfiles: list = []  # {source}\nshare: float = 0.5  # {0..1}"
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the notebook `work`, away from the working folder."""
    (tmp_path / "p").mkdir()
    made = [new_markdown_cell("# Work"), new_code_cell(WORK, metadata={"tags": ["parameters"]})]
    nbformat.write(new_notebook(cells=made), tmp_path / "p" / "work.ipynb")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "p"


@pytest.fixture
def write(folder: Path) -> Write:
    def made(text: str, name: str = "p.yaml") -> Path:
        (folder / name).write_text(text, encoding="utf-8")
        return folder / name

    return made


YEARLY = """
name: yearly
description: Change by year
parameters: {years: 2021-2023, kind: x}
axes:
  cell: [b, a]
  year: {years: "${years}"}
stages:
  summary: {notebook: work.ipynb, each: [cell], needs: {changes: "change[cell, *]"}}
  acquire:
    notebook: ./work.ipynb
    each: [cell, year]
    parameters: {cell: "${cell}", year: "${year}", kind: "${kind}", ok: false, share: 1}
    retries: 2
    gpu: 1
    timeout_s: 60
  change:
    notebook: work
    notebook: work.ipynb
    each: [cell, year]
    needs: {before: "acquire[cell, year-1]", after: acquire}
    parameters: {files: ["${before.out}", "${after.out}"]}
  mosaic: {notebook: work.ipynb, needs: {all: "change[*, *]", first: "acquire[b, 2021]"}}
""".replace("    notebook: work\n", "")


def test_stages_axes_and_needs_make_nodes_in_topological_order(write):
    pipeline = spec.load(write(YEARLY))
    assert (pipeline.name, list(pipeline.stages)) == ("yearly", ["acquire", "change", "summary", "mosaic"])
    assert (pipeline.stages["acquire"].retries, pipeline.stages["acquire"].gpu) == (2, 1)
    found = list(nodes(pipeline))
    slots = [node.slot for node in found]
    places = [f"{cell}/{year}" for cell in "ba" for year in (2021, 2022, 2023)]
    first = [f"acquire/{place}" for place in places]
    second = [f"change/{place}" for place in places if not place.endswith("2021")]
    assert slots == [*first, *second, "summary/b", "summary/a", "mosaic"]
    assert pipeline.count == len(slots) == 13
    assert found[1].at == {"cell": "b", "year": 2022}
    needs = {n.slot: {name: [one.slot for one in each] for name, each in n.needs().items()} for n in found}
    assert needs["change/a/2022"] == {"before": ["acquire/a/2021"], "after": ["acquire/a/2022"]}
    assert needs["summary/a"] == {"changes": ["change/a/2022", "change/a/2023"]}
    assert needs["mosaic"] == {"all": second, "first": ["acquire/b/2021"]}
    before = set()
    for slot in slots:
        assert before.issuperset(one for each in needs[slot].values() for one in each)
        before.add(slot)


def test_a_slot_leads_back_to_its_node_and_nothing_else_does(write):
    text = (
        "stages: {s: {notebook: work.ipynb, each: [x, y]}}\naxes: {x: ['a/b', 'a%2Fb', c], y: [1, -2, 0.5]}"
    )
    pipeline = spec.load(write(text))
    for node in nodes(pipeline):
        assert find(pipeline, node.slot) == node
    assert len({node.slot for node in nodes(pipeline)}) == 9
    for slot in ("", "s", "s/c", "s/c/3", "t/c/1", "s/c/1/1", "s/a/b/1", "../c/1"):
        assert locate(pipeline, slot) is None


def test_a_neighbour_that_is_not_there_takes_away_all_that_hangs_on_it(write):
    pipeline = spec.load(write(YEARLY), {"years": "2021"})
    assert [node.slot for node in nodes(pipeline)] == ["acquire/b/2021", "acquire/a/2021"]


@pytest.mark.parametrize(
    "text, values",
    [
        ("[a, b]", ("a", "b")),
        ("[1, 2.5, true, '07', 2024-06-12]", (1, 2.5, True, "07", "2024-06-12")),
        ("{years: 2021-2023}", (2021, 2022, 2023)),
        ("{years: '2018, 2021..2022'}", (2018, 2021, 2022)),
        ("{years: [2018, 2021-2022]}", (2018, 2021, 2022)),
        ("{years: 2021}", (2021,)),
        ("{range: [0, 3]}", (0, 1, 2, 3)),
        ("{range: [3, 1, -1]}", (3, 2, 1)),
        ("{range: [0.1, 0.5, 0.2]}", (0.1, 0.3, 0.5)),
        ("'${listed}'", ("p", "q")),
        ("{years: '${years}'}", (2020, 2021)),
        ("{table: t.csv, column: id}", ("one", "two")),
        ("{table: t.parquet, column: n}", (1, 2)),
        ("{grid: grid.gpkg}", ("west", "east")),
        ("{grid: '${grid}'}", ("west", "east")),
    ],
)
def test_an_axis_can_be_written_in_many_ways(folder, write, text, values):
    pd.DataFrame({"id": ["one", "two"], "n": [1, 2]}).to_csv(folder / "t.csv", index=False)
    pd.DataFrame({"id": ["one", "two"], "n": [1, 2]}).to_parquet(folder / "t.parquet")
    squares = [box(500_000, 5_400_000, 502_560, 5_402_560), box(502_560, 5_400_000, 505_120, 5_402_560)]
    gpd.GeoDataFrame({"id": ["west", "east"]}, geometry=squares, crs=32632).to_file(folder / "grid.gpkg")
    head = "parameters: {listed: [p, q], years: 2020-2021, grid: grid.gpkg}\n"
    pipeline = spec.load(
        write(f"{head}axes: {{x: {text}}}\nstages: {{s: {{notebook: work.ipynb, each: x}}}}")
    )
    assert pipeline.axes["x"].values == values
    assert [type(v) for v in pipeline.axes["x"].values] == [type(v) for v in values]


def test_an_axis_of_cells_over_an_area(write):
    area = "bbox: [11.9, 48.0, 12.0, 48.05], side_m: 2560"
    text = f"axes: {{cell: {{{area}}}}}\nstages: {{s: {{notebook: work.ipynb, each: cell}}}}"
    places = spec.load(write(text)).axes["cell"].values
    assert list(places) == [cell.id for cell in cells.over((11.9, 48.0, 12.0, 48.05), side_m=2560)]
    with pytest.raises(PipelineError, match=r"line 1, axes\.cell: area: found"):
        spec.load(write(text.replace("12.0", "200")))


def test_parameters_given_are_typed_like_the_files_own(write):
    head = "parameters: {n: 1, f: 0.5, b: false, t: x, l: [1], d: {a: 1}, e: }"
    text = f"{head}\nstages: {{s: {{notebook: work.ipynb}}}}"
    given = {"n": "7", "f": "2", "b": "true", "t": "5", "l": "[2, 3]", "d": '{"b": 2}', "e": "z"}
    pipeline = spec.load(write(text), given)
    assert pipeline.parameters == {
        "n": 7,
        "f": 2.0,
        "b": True,
        "t": "5",
        "l": [2, 3],
        "d": {"b": 2},
        "e": "z",
    }
    assert pipeline.given == pipeline.parameters
    assert spec.load(write(text), {"n": 3}).given == {"n": 3}
    for wrong in ({"n": "x"}, {"b": "1"}, {"l": "2"}, {"f": "nan"}):
        with pytest.raises(PipelineError, match=r"p\.yaml, line 1, -p \w: "):
            spec.load(write(text), wrong)
    with pytest.raises(PipelineError, match=r"-p year: the pipeline has no parameter 'year'; known: b, d"):
        spec.load(write(text), {"year": "1"})


def test_paths_start_from_the_file_and_those_given_from_the_working_folder(folder, write, workspace):
    text = """
parameters: {table: t.csv, extra: x.txt}
axes: {x: {table: "${table}", column: id}}
stages: {s: {notebook: work.ipynb, each: x, parameters: {files: ["${extra}", x.txt]}}}
"""
    for where, one in ((folder, "home"), (Path.cwd(), "away")):
        (where / "t.csv").write_text(f"id\n{one}\n")
    (folder / "x.txt").write_text("x")
    here = spec.load(write(text), settings=workspace)
    assert here.axes["x"].values == ("home",)
    assert here.parameters["table"] == str(folder / "t.csv")
    assert here.given == {}
    there = spec.load(write(text), {"table": "t.csv"}, workspace)
    assert there.axes["x"].values == ("away",)
    assert there.given == {"table": str(Path.cwd() / "t.csv")}
    os.chdir(folder)  # what was given stays what it was
    assert spec.load(write(text), there.given).axes["x"].values == ("away",)


def test_a_path_given_for_a_notebooks_reference_starts_from_the_working_folder(folder, write, workspace):
    one = "parameters: {f: x.txt}\nstages: {s: {notebook: one.ipynb, parameters: {file: '${f}'}}}"
    made = [new_code_cell('file: str = ""  # {source}', metadata={"tags": ["parameters"]})]
    nbformat.write(new_notebook(cells=made), folder / "one.ipynb")
    with pytest.raises(PipelineError, match=r"line 2, stages\.s\.parameters\.file: no file"):
        spec.load(write(one), {"f": "x.txt"}, workspace)
    (Path.cwd() / "x.txt").write_text("x")
    assert spec.load(write(one), {"f": "x.txt"}, workspace).parameters["f"] == str(Path.cwd() / "x.txt")


# ---------------------------------------------------------------- mistakes

GOOD = """
parameters: {years: 2021-2022, limit: 3}
axes: {cell: [a, b], year: {years: "${years}"}}
stages:
  first:
    notebook: work.ipynb
    each: [cell, year]
    parameters: {cell: "${cell}", year: "${year}"}
  second:
    notebook: work.ipynb
    each: [cell]
    needs: {all: "first[cell, *]"}
    parameters: {files: "${all.out}"}
"""

# ruff: noqa: E501 - one line a mistake
MISTAKES = {
    "stage: 1": ("stages:", "stage:", r"line 4, stage: unknown key; did you mean 'stages'\?"),
    "unknown key of a stage": ("each: [cell]", "eech: [cell]", r"line 11, stages\.second\.eech: unknown key; did you mean 'each'\?"),
    "no axis": ("each: [cell]", "each: [cel]", r"line 11, stages\.second\.each\[0\]: no axis 'cel'; did you mean 'cell'\?"),
    "an axis twice": ("each: [cell]", "each: [cell, cell]", r"line 11, stages\.second\.each: names an axis twice"),
    "no notebook": ("    notebook: work.ipynb\n    each: [cell]", "    each: [cell]", r"line 9, stages\.second: needs notebook"),
    "missing notebook": ("notebook: work.ipynb\n    each: [cell]", "notebook: wrk.ipynb\n    each: [cell]", r"line 10, stages\.second\.notebook: no notebook"),
    "unknown parameter": ('files: "${all', 'flies: "${all', r"line 13, stages\.second\.parameters\.flies: work has no parameter 'flies'; did you mean 'files'\?"),
    "unknown reference": ('"${year}"', '"${yaer}"', r"line 8, stages\.first\.parameters\.year: \$\{yaer\}: nothing has this name; did you mean 'year'\?"),
    "an axis it has not": ('files: "${all.out}"', 'year: "${year}"', r"line 13, .*year: \$\{year\}: the stage does not run for each year; add it to each"),
    "a need without result": ("${all.out}", "${all}", r"line 13, .*files: \$\{all\}: a need has results; write \$\{all\.result\}"),
    "unknown need": ("${all.out}", "${al.out}", r"line 13, .*files: \$\{al\.out\}: no need 'al'; did you mean 'all'\?"),
    "no reference": ("${all.out}", "${all.out + 1}", r"line 13, .*is no reference; write \$\{name\}"),
    "open reference": ("${all.out}", "${all.out", r"line 13, .*is no reference"),
    "need of no stage": ("first[cell, *]", "frist[cell, *]", r"line 12, stages\.second\.needs\.all: no stage 'frist'; did you mean 'first'\?"),
    "need of no place": ("first[cell, *]", "first[cell, yeer-1]", r"line 12, .*'yeer-1' is no place on the axis year"),
    "need at an axis it has not": ("first[cell, *]", "first[cell, year]", r"line 12, .*has no axis year of its own; write \* for all"),
    "need with too few places": ("first[cell, *]", "first[cell]", r"line 12, .*has 1 places; first has 2: first\[cell, year\]"),
    "need without brackets": ('"first[cell, *]"', "first", r"line 12, .*write first\[cell, \*\]"),
    "need that is no text": ('"first[cell, *]"', "3", r"line 12, .*expected a stage and its axes in quotes"),
    "needs no mapping": ('{all: "first[cell, *]"}', "[first]", r"line 12, stages\.second\.needs: expected a mapping"),
    "itself": ("first[cell, *]", "second[cell]", r"line 12, .*can't need itself"),
    "circle": ('year: "${year}"}', 'year: "${year}"}\n    needs: {x: second}', r"line 5, stages\.first: needs itself in a circle: first -> second -> first"),
    "axis without value": ("[a, b]", "[]", r"line 3, axes\.cell: has no value"),
    "duplicate value": ("[a, b]", "[a, b, a]", r"line 3, axes\.cell: the value 'a' stands twice"),
    "values with one name": ("[a, b]", "[1, '1']", r"line 3, axes\.cell: the value '1' stands twice"),
    "value of a wrong kind": ("[a, b]", "[a, [b]]", r"line 3, axes\.cell: value 2 is \['b'\]; expected a text or a number"),
    "control character": ("[a, b]", '["a\\tb"]', r"line 3, axes\.cell: the value .* names no place"),
    "right-to-left": ("[a, b]", '["a\\u202Eb"]', r"line 3, axes\.cell: the value .* names no place"),
    "empty value": ("[a, b]", "['']", r"line 3, axes\.cell: the value '' names no place"),
    "axis that is a text": ("[a, b]", "a", r"line 3, axes\.cell: 'a' is no list"),
    "axis of no form": ("[a, b]", "{yeers: 2021}", r"line 3, axes\.cell\.yeers: an axis is a list, or a mapping with one of"),
    "axis of two forms": ("[a, b]", "{years: 2021, range: [1, 2]}", r"line 3, axes\.cell\.range: an axis is a list"),
    "table without column": ("[a, b]", "{table: t.csv}", r"line 3, axes\.cell: table needs column beside it"),
    "table that is missing": ("[a, b]", "{table: no.csv, column: a}", r"line 3, axes\.cell: the table .*no\.csv can't be read"),
    "grid that is missing": ("[a, b]", "{grid: no.gpkg}", r"line 3, axes\.cell: no .*no\.gpkg"),
    "odd years": ("2021-2022,", "2022-2021,", r"line 3, axes\.year: years is 2022-2021; expected the earlier year first"),
    "years that are none": ("2021-2022,", "soon,", r"line 3, axes\.year: years is 'soon'; expected 2021-2024"),
    "range without end": ("[a, b]", "{range: [1, 2, 0]}", r"line 3, axes\.cell: range .* never reaches"),
    "range of texts": ("[a, b]", "{range: [a, b]}", r"line 3, axes\.cell: range is \['a', 'b'\]; expected \[first, last\]"),
    "endless range": ("[a, b]", "{range: [0, 1.0e+9]}", r"line 3, axes\.cell: more than 1,000,000 values"),
    "matrix too large": ("[a, b]", "{range: [1, 900000]}", r"line 5, stages\.first: 1,800,000 places \(cell x year\); at most 1,000,000"),
    "parameter of the file unknown": ("${years}", "${yers}", r"line 3, axes\.year: no parameter 'yers'; did you mean 'years'\?"),
    "template in a parameter": ("limit: 3", "limit: '${years}'", r"line 2, parameters\.limit: a parameter's value is written out"),
    "axis and parameter": ("limit: 3", "cell: 3", r"line 3, axes\.cell: is a parameter too"),
    "name of an axis": ("[a, b]", "[a, b], 'x y': [1]", r"line 3, axes\.x y: an axis' name is letters"),
    "name of a stage": ("  second:", "  ../second:", r"line 9, stages\.\.\./second: a stage's name is letters"),
    "wrong type": ('year: "${year}"}', "year: soon}", r"line 8, stages\.first\.parameters\.year: year: found 'soon', expected a whole number"),
    "out of range": ('year: "${year}"}', "year: 1900}", r"line 8, .*parameters\.year: year: found 1900, expected a value in 1984\.\.2100"),
    "not among the choices": ('year: "${year}"}', "kind: z}", r"line 8, .*parameters\.kind: kind: found 'z', expected one of x, y"),
    "a later value of an axis": ("2021-2022,", "2099-2101,", r"line 8, .*parameters\.year: year: found 2101, .* \(at year 2101\)"),
    "a list inside a text": ('cell: "${cell}"', 'cell: "a ${l}"', r"line 8, .*\$\{l\}"),
    "retries": ("each: [cell]", "each: [cell]\n    retries: -1", r"line 12, stages\.second\.retries: is -1; expected a whole number of at least 0"),
    "gpu": ("each: [cell]", "each: [cell]\n    gpu: yes", r"line 12, stages\.second\.gpu: is 'yes'; expected a whole number"),
    "memory": ("each: [cell]", "each: [cell]\n    memory_mb: 0", r"line 12, stages\.second\.memory_mb: is 0; expected a number of at least 1"),
    "name of the pipeline": ("\nparameters:", "\nname: ../x\nparameters:", r"line 2, name: the name is '\.\./x'"),
    "no stages": (GOOD, "name: x\n", r"stages: has no stage"),
    "stages a list": (GOOD, "stages: [a]\n", r"line 1, stages: is \['a'\]; expected a mapping"),
    "stage a text": (GOOD, "stages: {a: b}\n", r"line 1, stages\.a: is 'b'; expected a mapping with notebook"),
}  # fmt: skip


def test_the_file_of_the_mistakes_is_good_without_them(write):
    assert spec.load(write(GOOD)).count == 6


@pytest.mark.parametrize("old, new, expected", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_named_with_file_line_and_key(write, old, new, expected):
    text = GOOD.replace(old, new)
    assert text != GOOD
    with pytest.raises(PipelineError) as caught:
        spec.load(write(text))
    message = str(caught.value)
    assert message.startswith("p.yaml, ")
    assert re.search(expected, message), message
    assert "\n" not in message
    assert (caught.value.file, bool(caught.value.key)) == ("p.yaml", True)


HOSTILE = {
    "aliases": ("a: &a [x]\nb: [*a, *a]", r"line 1: anchors and aliases"),
    "python": ("a: !!python/object/apply:os.system [id]", r"line 1, a: the tag .* is not read"),
    "custom tag": ("a: !x 1", r"line 1, a: the tag !x is not read"),
    "a key twice": ("a: 1\nb: 2\na: 3", r"line 3, a: stands twice, first in line 1"),
    "deep": ("a: " + "[" * 5000, r"line 1: nested deeper than 20 levels"),
    "large": ("a: " + "x" * 1_100_000, "larger than 1,000,000 bytes"),
    "not YAML": ("a: [1", r"line 1: not YAML"),
    "tabs": ("a:\n\tb: 1", r"line 2: not YAML"),
    "control characters": ("a: \x07", "holds the character"),
    "two documents": ("a: 1\n---\nb: 2", r"line 2: not YAML: but found another document"),
    "a list": ("- a", r"line 1: a pipeline is a mapping"),
    "empty": ("", "a pipeline is a mapping"),
    "mapping as key": ("{a: 1}: 2", r"line 1: a key must be a text"),
    "infinite": ("a: 1.0e+999", "line 1, a: .* is no float"),
}


@pytest.mark.parametrize("text, expected", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_file_is_refused_in_one_line(write, text, expected):
    with pytest.raises(PipelineError, match=expected) as caught:
        spec.load(write(text))
    assert len(str(caught.value)) < 700


def test_bytes_that_are_no_text_and_files_that_are_none(folder):
    (folder / "b.yaml").write_bytes(b"name: x\nb: \xff\xfe")
    with pytest.raises(PipelineError, match=r"b\.yaml, line 2: not UTF-8"):
        spec.load(folder / "b.yaml")
    with pytest.raises(PipelineError, match="can't be read"):
        spec.load(folder)
    with pytest.raises(NotFound, match="no pipeline file"):
        spec.load(folder / "none.yaml")
    with pytest.raises(PipelineError, match="can't be read"):
        spec.load("a\0b")


def test_a_broken_notebook_is_named_by_the_stage(folder, write):
    made = [new_code_cell("n = 1", metadata={"tags": ["parameters"]})]
    nbformat.write(new_notebook(cells=made), folder / "broken.ipynb")
    with pytest.raises(PipelineError, match=r"line 1, stages\.s\.notebook: broken\.ipynb, cell 1, line 1: "):
        spec.load(write("stages: {s: {notebook: broken.ipynb}}"))


def test_what_parameters_name_must_be_there_when_it_can_be_known(write, workspace):
    missing = "stages: {s: {notebook: work.ipynb, parameters: {files: [none.txt]}}}"
    spec.load(write(missing))
    with pytest.raises(
        PipelineError, match=r"stages\.s\.parameters\.files: no file or folder '\S+/p/none\.txt'"
    ):
        spec.load(write(missing), settings=workspace)


def test_a_table_names_line_and_column(folder, write):
    text = "axes: {x: {table: t.csv, column: id}}\nstages: {s: {notebook: work.ipynb, each: x}}"
    (folder / "t.csv").write_text("id,n\na,1\n")
    assert spec.load(write(text)).count == 1
    with pytest.raises(
        PipelineError, match=r"line 1, axes\.x: the table t\.csv has no column 'no'; it has id, n"
    ):
        spec.load(write(text.replace("column: id", "column: no")))
    (folder / "t.csv").write_text("n,id\n1,a\n2\n")
    with pytest.raises(PipelineError, match=r"t\.csv, line 3: no value in the column id"):
        spec.load(write(text))
    (folder / "t.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(PipelineError, match=r"the table .*t\.parquet can't be read"):
        spec.load(write(text.replace("t.csv", "t.parquet")))
    (folder / "t.csv").write_text("id\n" + "\n".join(f"{n}" for n in range(2000)))
    assert spec.load(write(text)).count == 2000


def test_years_are_read_in_every_form():
    assert axes.years("2021-2023") == axes.years([2021, "2022-2023"]) == axes.years("[2021, 2022, 2023]")
    for wrong in ("", "x", "2021-", True, [2021.5], {"a": 1}, "2021-20221"):
        with pytest.raises(ValueError, match=r"expected"):
            axes.years(wrong)


def test_the_name_alone_is_read_of_a_file_whose_matrix_is_gone(write):
    path = write("name: x-1\naxes: {cell: {grid: gone.gpkg}}\nstages: {s: {notebook: gone.ipynb}}")
    assert spec.name_of(path) == "x-1"
    assert spec.name_of(write("stages: {}", name="stem.yaml")) == "stem"
