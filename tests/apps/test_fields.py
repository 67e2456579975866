"""Parameters as fields: which control, which words, and that what a field holds is the value it came from."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geolab import jobs
from geolab.apps import fields
from geolab.errors import BadInput
from geolab.jobs.parameters import Contract

CELL = """
word: str = "a"  # a text
maybe: "Optional[str]" = None  # a text or none
method: str = "cva"  # how {cva|irmad}
level: "Literal[2, 4]" = 2
part: "Optional[Literal['x, y', 'z']]" = None
n: int = 3  # a number
side_px: int = 512  # side of the tiles, pixels {64..8192}
share: float = 0.5  # of the whole {0..1}
y: "Optional[float]" = None  # budget, minutes; none for all {0..1}
yes: bool = True  # a switch
perhaps: "Optional[bool]" = None  # a switch or none
day: str = ""  # when {date}
span: str = ""  # from/to {dates}
bbox: str = ""  # where {bbox}
names: list = ["blue", "red"]  # bands
kinds: list = ["a"]  # some of them {a|b|c}
levels: list = [1, 2.5]  # classes
mixed: list = [1, "a"]  # anything
files: list = ["sample"]  # masks {source|sample}
places: "Optional[list]" = None  # places
facts: dict = {"a": [None, True]}  # facts
item: str = ""  # an image {item}
scene: str = "town"  # photos {scene}
path: str = "orbit"  # a way {source|orbit|spline}
splats: str = "latest"  # a model {splats}
""".strip()
CONTROLS = {
    "word": "text", "maybe": "text", "method": "choice", "level": "choice", "part": "choice", "n": "number",
    "side_px": "slider", "share": "slider", "y": "slider", "yes": "switch", "perhaps": "choice",
    "day": "date", "span": "dates", "bbox": "bbox", "names": "list", "kinds": "checks",
    "levels": "list", "mixed": "list",
    "files": "lines", "places": "list", "facts": "json", "item": "pick", "scene": "pick", "path": "pick",
    "splats": "pick",
}  # fmt: skip


@pytest.fixture
def every_kind(make_notebook) -> Contract:
    return jobs.contract(make_notebook(CELL, name="every"))


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def test_every_kind_of_parameter_has_its_control(every_kind):
    assert {field.name: field.control for field in fields.of(every_kind)} == CONTROLS


number = st.floats(allow_nan=False, allow_infinity=False)
text = st.text() | st.sampled_from(["", " ", "a,b", "a\nb", "[1]", "<script>", "true", "0x1", "1e5", "٣"])
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**17), 10**17) | number | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
no_none = text.filter(lambda t: t.strip().lower() not in ("none", "null"))
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "word": text,
    "maybe": st.none() | no_none,
    "method": st.sampled_from(["cva", "irmad"]),
    "level": st.sampled_from([2, 4]),
    "part": st.sampled_from([None, "x, y", "z"]),
    "n": st.integers(-(10**17), 10**17),
    "side_px": st.integers(64, 8192),
    "share": st.floats(0, 1),
    "y": st.none() | st.floats(0, 1),
    "yes": st.booleans(),
    "perhaps": st.none() | st.booleans(),
    "day": st.just("") | st.dates().map(str),
    "span": st.sampled_from(["", "2024", "2021-01-01/..", "../2024-01-01T00:00:00Z"]),
    "bbox": st.sampled_from(["", "1,2,3,4", "179.5,-1,-179.5,1"]),
    "names": st.lists(text),
    "kinds": st.lists(st.sampled_from("abc")),
    "levels": st.lists(st.integers(-9, 9) | number),
    "mixed": st.lists(plain, max_size=3),
    "files": st.lists(text, max_size=3),
    "places": st.none() | st.lists(plain, max_size=3),
    "facts": st.dictionaries(st.text(), plain, max_size=3),
    "item": text,
    "scene": text,
    "path": text,
    "splats": text,
}


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.fixed_dictionaries(VALUES))
def test_what_a_field_holds_reads_back_as_the_value_it_came_from(every_kind, values):
    for parameter in every_kind.parameters:
        value = jobs.parse(every_kind, {parameter.name: values[parameter.name]})[parameter.name]
        held, how = fields.said(parameter, value), fields.mode(parameter, value)
        assert _json(fields.read(parameter, held, how)) == _json(value)
        assert json.loads(json.dumps(held)) == held


def test_every_notebook_gives_fields_whose_defaults_read_back():
    for path in jobs.notebooks().values():
        contract = jobs.contract(path)
        for parameter, field in zip(contract.parameters, fields.of(contract), strict=True):
            assert field.help[:1] != " "
            assert field.label
            how = fields.mode(parameter, parameter.default)
            assert fields.read(parameter, field.default, how) == parameter.default


@pytest.mark.parametrize(
    "name, held, words",
    [
        ("n", "3.5", "n: found '3.5', expected a whole number"),
        ("n", "", "n: found '', expected a whole number"),
        ("share", "2", "share: found 2.0, expected a value in 0..1"),
        ("y", "half", "y: found 'half', expected a finite number or none"),
        ("method", "svm", "method: found 'svm', expected one of cva, irmad"),
        ("levels", "1, two", "levels: found '[1, two]', expected a JSON list such as [\"a\", \"b\"]"),
        ("facts", "{", "facts: found '{', expected a JSON object such as {\"a\": 1}"),
        ("day", "2024-02-30", "day: found '2024-02-30', expected a day such as 2024-08-15"),
        ("kinds", ["a", "z"], "kinds: found 'z', expected one of a, b, c"),
    ],
)  # fmt: skip
def test_problems_are_those_of_the_command_line(every_kind, name, held, words):
    parameter = every_kind.parameter(name)
    assert parameter is not None
    with pytest.raises(BadInput) as by_form:
        fields.read(parameter, held, fields.mode(parameter, parameter.default))
    assert str(by_form.value) == words
    if isinstance(held, str) and parameter.base != "list":
        with pytest.raises(BadInput) as by_command:
            jobs.parse(every_kind, {name: held})
        assert str(by_command.value) == words


def test_lists_are_written_so_that_people_can_read_them(every_kind):
    def written(name: str, value: Any) -> tuple[Any, str]:
        parameter = every_kind.parameter(name)
        assert parameter is not None
        return fields.said(parameter, value), fields.mode(parameter, value)

    assert written("names", ["blue", "red"]) == ("blue, red", "words")
    assert written("names", ["a,b"]) == ('["a,b"]', "json")
    assert written("names", []) == ("", "words")
    assert written("levels", [2, 4.5]) == ("2, 4.5", "numbers")
    assert written("levels", [True]) == ("[true]", "json")
    assert written("files", ["/a b/c.tif", "sample"]) == ("/a b/c.tif\nsample", "lines")


def test_sliders_know_their_ends_and_when_to_be_logarithmic(every_kind):
    found = {field.name: field for field in fields.of(every_kind)}
    side, share = found["side_px"], found["share"]
    assert (side.low, side.high, side.step, side.log, side.unit) == (64, 8192, 1, True, "pixels")
    assert (share.low, share.high, share.step, share.log, share.unit) == (0, 1, 0.01, False, "")
    assert found["y"].unit == "minutes"


def test_labels_are_words(every_kind):
    found = {field.name: field.label for field in fields.of(every_kind)}
    assert (found["side_px"], found["bbox"], found["yes"]) == ("Side", "Area", "Yes")
    assert [fields.label_of(n) for n in ("tile_px", "max_cloud", "m", "gsd_m", "_", "__init__")] == [
        "Tile size", "Max cloud", "M", "Pixel size", "_", "Init",
    ]  # fmt: skip


def test_hostile_help_stays_a_text(make_notebook):
    hostile = "<img src=x onerror=alert(1)> & \u202e 'quoted' \\"
    field = fields.of(jobs.contract(make_notebook(f"n: str = '<b>'  # {hostile}")))[0]
    assert (field.help, field.default) == (hostile, "<b>")


def test_advanced_are_only_names_that_notebooks_have():
    names = {p.name for path in jobs.notebooks().values() for p in jobs.contract(path).parameters}
    assert names >= fields.ADVANCED
