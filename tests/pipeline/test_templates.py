"""Templates: types kept, texts formatted, nothing evaluated."""

from __future__ import annotations

import pytest

from geolab.pipeline import templates

VALUES = {"n": 3, "b": True, "f": 0.5, "t": "a b", "l": [1, 2], "none": None, "need.a.b": {"x": 1}}


@pytest.mark.parametrize(
    "template, expected",
    [
        ("${n}", 3),
        ("${ n }", 3),
        ("${b}", True),
        ("${l}", [1, 2]),
        ("${none}", None),
        ("${need.a.b}", {"x": 1}),
        ("x-${n}-${t}", "x-3-a b"),
        ("${b}!", "true!"),
        ("$n ${n}$", "$n 3$"),
        ("$${n} ${n}", "${n} 3"),
        ("$${n}", "${n}"),
        (["${n}", {"k": "${f}"}, 7], [3, {"k": 0.5}, 7]),
        ("plain", "plain"),
        (12, 12),
    ],
)
def test_references_are_replaced(template, expected):
    found = templates.fill(template, VALUES.__getitem__)
    assert found == expected
    assert type(found) is type(expected)


def test_what_was_put_in_is_not_read_again():
    assert templates.fill("${x} ${x}", {"x": "${n}"}.__getitem__) == "${n} ${n}"


@pytest.mark.parametrize(
    "wrong", ["${}", "${1+1}", "${n", "${n.}", "${__import__('os')}", "${a b}", "x ${n!r}", "${n[0]}"]
)
def test_expressions_are_refused(wrong):
    for use in (lambda: list(templates.names(wrong)), lambda: templates.fill(wrong, VALUES.__getitem__)):
        with pytest.raises(ValueError, match="is no reference"):
            use()


@pytest.mark.parametrize("wrong", ["a ${l}", "a ${none}", "a ${need.a.b}"])
def test_a_list_can_not_stand_inside_a_text(wrong):
    with pytest.raises(ValueError, match="let it stand alone"):
        templates.fill(wrong, VALUES.__getitem__)


def test_names_are_found_everywhere():
    assert list(templates.names({"a": ["${x}", "${y.z} $${no}"], "b": 3})) == ["x", "y.z"]
