"""Band math: what may be said, and that it comes to what arithmetic says."""

from __future__ import annotations

import operator
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geolab.errors import BadInput
from geolab.service.tiles import expression
from geolab.service.tiles.expression import Band, Call, Node, Number

EXACT = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "min": min,
    "max": max,
}


def exact(node: Node, values: dict[int, Fraction]) -> Fraction:
    """The slow twin: fractions, one pixel."""
    if isinstance(node, Number):
        return Fraction(node.value)
    if isinstance(node, Band):
        return values[node.number]
    inner = [exact(one, values) for one in node.values]
    if node.do == "negative":
        return -inner[0]
    return abs(inner[0]) if node.do == "abs" else Fraction(EXACT[node.do](*inner))


def written(node: Node) -> str:
    """The tree as text, with all its brackets."""
    if isinstance(node, Number):
        return f"{node.value:g}"
    if isinstance(node, Band):
        return f"b{node.number}"
    inner = [written(one) for one in node.values]
    if node.do == "negative":
        return f"(-{inner[0]})"
    return f"{node.do}({', '.join(inner)})" if node.do.isalpha() else f"({inner[0]} {node.do} {inner[1]})"


LEAVES = st.integers(0, 9).map(lambda n: Number(float(n))) | st.integers(1, 4).map(Band)
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.builds(lambda do, a, b: Call(do, (a, b)), st.sampled_from(list(EXACT)), inner, inner)
        | st.builds(lambda do, a: Call(do, (a,)), st.sampled_from(["negative", "abs"]), inner)
    ),
    max_leaves=12,
)


def value(text: str, **pixels: float) -> float:
    trees = expression.parse(text)
    arrays = {int(name[1:]): np.array([number]) for name, number in pixels.items()}
    return float(expression.evaluate(trees, arrays, (1,))[0, 0])


@given(TREES, st.lists(st.integers(-50, 50), min_size=4, max_size=4))
def test_an_expression_comes_to_what_fractions_come_to(tree: Node, numbers: list[int]):
    text = written(tree)
    if len(text) > expression.LONGEST:
        return
    (parsed,) = expression.parse(text)
    assert parsed == tree
    found = value(text, **{f"b{i}": n for i, n in enumerate(numbers, 1)})
    try:
        expected = float(exact(tree, {i: Fraction(n) for i, n in enumerate(numbers, 1)}))
    except ZeroDivisionError:
        return
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-9) or not np.isfinite(found)


@given(st.lists(st.sampled_from(["+", "-", "*", "/"]), min_size=1, max_size=10), st.randoms())
def test_without_brackets_the_usual_order_holds(signs: list[str], random):
    numbers = [random.randint(1, 9) for _ in range(len(signs) + 1)]
    text = "".join(f"{n}{s}" for n, s in zip(numbers, [*signs, ""], strict=True))
    left: list[Fraction] = [Fraction(numbers[0])]
    for sign, number in zip(signs, numbers[1:], strict=True):
        if sign in "*/":
            left[-1] = left[-1] * number if sign == "*" else left[-1] / number
        else:
            left.append(Fraction(number if sign == "+" else -number))
    assert value(text) == pytest.approx(float(sum(left)), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("(b2-b1)/(b2+b1)", 0.5),
        ("2 - 3 - 4", -5.0),
        ("12/2/3", 2.0),
        ("-b1*-b2", 3.0),
        ("--b2", 3.0),
        ("2.5e1 + .5", 25.5),
        ("sqrt(max(b1, 9))", 3.0),
        ("log(exp(2))", 2.0),
        ("abs(b1-b2)", 2.0),
    ],
)
def test_some_by_hand(text: str, expected: float):
    assert value(text, b1=1, b2=3) == pytest.approx(expected)


def test_what_has_no_value_is_not_finite():
    for text in ("b1/b1", "1/b1", "log(b1)", "sqrt(b1-1)", "exp(999)"):
        assert not np.isfinite(value(text, b1=0))


def test_three_make_colours_and_their_bands_are_known():
    trees = expression.parse("b4, min(b3, b1), b2*2")
    assert len(trees) == 3
    assert expression.bands(trees) == (1, 2, 3, 4)
    pixels = {n: np.full((2, 3), float(n)) for n in range(1, 5)}
    assert expression.evaluate(trees, pixels, (2, 3)).tolist() == [[[v] * 3] * 2 for v in (4.0, 1.0, 4.0)]


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "b0", "b", "b1b2", "b1 b2", "1 2", "b1+", "*b1", "(b1", "b1)", "()", "b1,b2", "b1,b2,b3,b4",
        "b1,", ",", "(b1,b2,b3)", "b123456", "b١", "1e999x", "1.2.3", "0x10", "1_000", "b1**2", "b1//2",
        "b1%2", "b1<2", "min(b1)", "abs(b1,b2)", "abs", "abs b1", "sin(b1)", "where(b1)", "b1.real", "b1[0]",
        "__import__('os').system('id')", "lambda: 1", "b1; b2", "b1 if b1 else b2", "open('/etc/passwd')",
        "B1", "nan", "inf", "1j", "b1\0", "b1#", "b1\nimport os", "'b1'", "b1=2", "exec(b1)", "\u2212b1",
        "b1" + "+b1" * 200, "(" * 40 + "b1" + ")" * 40, "-" * 100 + "b1", "(" * 390, "abs(" * 90 + "b1",
        "+".join(f"b{i}" for i in range(1, 14)),
    ],
)  # fmt: skip
def test_everything_else_is_refused_in_a_line(text: str):
    with pytest.raises(BadInput, match="expected") as refused:
        expression.parse(text)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 310


@given(st.text(alphabet="b12 +-*/(),.eabsqrtminx", max_size=60) | st.text(max_size=60))
def test_any_text_is_refused_or_has_a_value(text: str):
    try:
        trees = expression.parse(text)
    except BadInput:
        return
    numbers = expression.bands(trees)
    found = expression.evaluate(trees, {n: np.ones((2, 2)) for n in numbers}, (2, 2))
    assert found.shape == (len(trees), 2, 2)
    assert found.dtype == np.float64
