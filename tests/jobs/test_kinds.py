"""Choices by Literal, and texts that have a form: dates, spans of time, boxes."""

from __future__ import annotations

import pytest

from geolab import jobs
from geolab.errors import BadInput, ContractBroken


def _only(make_notebook, line: str) -> jobs.Parameter:
    return jobs.contract(make_notebook(line)).parameters[0]


@pytest.mark.parametrize(
    "line, base, optional, choices, default",
    [
        ("n: \"Literal['a', 'b']\" = 'b'  # which", "str", False, ("a", "b"), "b"),
        ("n: \"Literal['only']\" = 'only'", "str", False, ("only",), "only"),
        ('n: "Literal[2, 4]" = 4', "int", False, (2, 4), 4),
        ("n: \"Optional[Literal['a b', 'c,d', ']']]\" = None", "str", True, ("a b", "c,d", "]"), None),
        ("n: \" Literal['a|b', 'ü'] \" = 'ü'", "str", False, ("a|b", "ü"), "ü"),
    ],
)
def test_a_literal_gives_choices(make_notebook, line, base, optional, choices, default):
    found = _only(make_notebook, line)
    assert (found.base, found.optional, found.choices, found.default) == (base, optional, choices, default)
    assert found.help == ("which" if "#" in line else "")
    assert jobs.parse(jobs.contract(make_notebook(line)), {"n": str(choices[-1])})["n"] == choices[-1]
    with pytest.raises(BadInput, match=r"n: found .*, expected"):
        jobs.parse(jobs.contract(make_notebook(line)), {"n": "7"})


@pytest.mark.parametrize(
    "line, words",
    [
        ("n: Literal['a', 'b'] = 'a'", "in quotes"),
        ("n: \"Literal['a', 2]\" = 'a'", "a Literal of texts, or of whole numbers"),
        ('n: "Literal[True, False]" = True', "a Literal of texts, or of whole numbers"),
        ('n: "Literal[()]" = 1', "a Literal of texts, or of whole numbers"),
        ('n: "Literal[x]" = 1', "a Literal of texts, or of whole numbers"),
        ("n: \"Literal['a', 'b']\" = 'c'", "one of a, b"),
        ("n: \"Literal['a', 'b']\" = 'a'  # which {a|b}", "leave the braces out"),
        ('n: "list[Literal[1]]" = []', "type list[Literal[1]]"),
        ('n: "Literal[" = 1', "type Literal["),
        ('n: "Optional[Optional[int]]" = 1', "type Optional[Optional[int]]"),
        ("n: int = 1  # day {date}", "{date} alone, on a str"),
        ("n: str = ''  # day {date|latest}", "{date} alone, on a str"),
        ("n: str = '2024-02-30'  # day {date}", "a day such as 2024-08-15"),
    ],
)
def test_what_is_no_literal_or_form_is_refused(make_notebook, line, words):
    with pytest.raises(ContractBroken) as caught:
        jobs.contract(make_notebook(line))
    assert words in str(caught.value)


GOOD = {
    "date": ["2024-08-15", "0001-01-01", ""],
    "dates": ["2024-08-15", "2021/2024-05", "2021-01-01/..", "../2024-01-01T00:00:00Z", ""],
    "bbox": ["11.5,48.1,11.6,48.2", "179,-1,-179,1", " 1, 2 ,3,4", ""],
}
BAD = {
    "date": ["2024-8-15", "2024-02-30", "today", "2024-08-15T00:00:00Z", "٢٠٢٤-٠١-٠١"],
    "dates": ["yesterday", "2024/2021", "2021/2022/2023"],
    "bbox": ["1,2,3", "1,2,3,4,5,6", "a,b,c,d", "0,50,1,40", "0,0,200,1", "nan,0,1,1"],
}


@pytest.mark.parametrize("form", GOOD)
def test_texts_with_a_form_are_checked_by_name(make_notebook, form):
    agreed = jobs.contract(make_notebook(f"when: str = ''  # which {{{form}}}"))
    assert (agreed.parameters[0].kind, agreed.parameters[0].form) == (form, form)
    for text in GOOD[form]:
        assert jobs.parse(agreed, {"when": text}) == {"when": text}
    for text in BAD[form]:
        with pytest.raises(BadInput, match=r"^when: found .+, expected "):
            jobs.parse(agreed, {"when": text})


def test_a_form_may_be_empty_only_where_its_default_is(make_notebook):
    agreed = jobs.contract(make_notebook("day: str = '2024-08-15'  # which {date}"))
    with pytest.raises(BadInput, match="expected a day such as"):
        jobs.parse(agreed, {"day": ""})
    optional = jobs.contract(make_notebook('day: "Optional[str]" = None  # which {date}'))
    assert jobs.parse(optional, {"day": "none"}) == {"day": None}
