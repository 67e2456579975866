"""Band math: '(b4 - b3) / (b4 + b3)' as a tree of our own, worked out with NumPy.

    list    = sum ("," sum)*            one picture band each
    sum     = product (("+" | "-") product)*
    product = signed (("*" | "/") signed)*
    signed  = ("+" | "-") signed | atom
    atom    = number | "b" digits | name "(" sum ("," sum)* ")" | "(" sum ")"

Nothing of the text is ever given to an evaluator of Python or of another library.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geolab.errors import BadInput, one_line

Array = NDArray[np.float64]

LONGEST = 400  # characters
DEEPEST = 32  # brackets and signs within each other
MOST_BANDS = 12
FUNCTIONS: Mapping[str, tuple[int, Callable[..., Array]]] = {
    "abs": (1, np.abs),
    "sqrt": (1, np.sqrt),
    "log": (1, np.log),
    "exp": (1, np.exp),
    "min": (2, np.minimum),
    "max": (2, np.maximum),
}
_OPERATORS: Mapping[str, Callable[..., Array]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
}
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d{1,15}(?:\.\d{0,15})?(?:[eE][+-]?\d{1,2})?|\.\d{1,15})(?![\w.])"
    r"|b(?P<band>[1-9]\d{0,4})(?!\w)|(?P<name>[a-z]{1,10})(?=\s*\()|(?P<sign>[-+*/(),]))",
    re.ASCII,
)


@dataclass(frozen=True)
class Number:
    value: float


@dataclass(frozen=True)
class Band:
    number: int


@dataclass(frozen=True)
class Call:
    """An operator or a function of one or two values."""

    do: str
    values: tuple[Node, ...]


Node = Number | Band | Call


def parse(text: str) -> tuple[Node, ...]:
    """The trees of a list of expressions. Raises BadInput."""
    if len(text) > LONGEST:
        raise BadInput("expression", found=f"{len(text)} characters", expected=f"at most {LONGEST}")
    trees = _Parser(text).all()
    if len(trees) not in (1, 3):
        raise BadInput("expression", found=f"{len(trees)} of them", expected="one, or three for colours")
    if len(bands(trees)) > MOST_BANDS:
        raise BadInput("expression", found=f"{len(bands(trees))} bands", expected=f"at most {MOST_BANDS}")
    return trees


def bands(trees: tuple[Node, ...]) -> tuple[int, ...]:
    """The numbers of the bands that occur, sorted."""
    found: set[int] = set()
    waiting: list[Node] = list(trees)
    while waiting:
        node = waiting.pop()
        if isinstance(node, Band):
            found.add(node.number)
        elif isinstance(node, Call):
            waiting.extend(node.values)
    return tuple(sorted(found))


def evaluate(trees: tuple[Node, ...], pixels: Mapping[int, Array], shape: tuple[int, ...]) -> Array:
    """[tree, *shape]; NaN or infinite where a value does not exist (0 / 0, log of nothing).

    pixels: by band number, each of this shape.
    """
    with np.errstate(all="ignore"):
        return np.stack([np.broadcast_to(_value(tree, pixels), shape) for tree in trees])


def _value(node: Node, pixels: Mapping[int, Array]) -> Array:
    if isinstance(node, Number):
        return np.float64(node.value)  # pyright: ignore[reportReturnType]
    if isinstance(node, Band):
        return np.asarray(pixels[node.number], np.float64)
    values = [_value(one, pixels) for one in node.values]
    if node.do == "negative":
        return np.negative(values[0])
    return _OPERATORS[node.do](*values) if node.do in _OPERATORS else FUNCTIONS[node.do][1](*values)


class _Parser:
    """Recursive descent over the text; `_next` is the token that was not used yet."""

    def __init__(self, text: str):
        self._text, self._position, self._depth = text, 0, 0
        self._kind, self._next = "", ""
        self._advance()

    def all(self) -> tuple[Node, ...]:
        found = self._list()
        if self._kind:
            raise self._unexpected()
        return found

    def _advance(self) -> None:
        if not self._text[self._position :].strip():
            self._kind = self._next = ""
            return
        match = _TOKEN.match(self._text, self._position)
        if match is None:
            self._kind, self._next = "?", self._text[self._position :].strip()
            raise self._unexpected()
        self._position = match.end()
        self._kind = str(match.lastgroup)
        self._next = match[self._kind]

    def _unexpected(self) -> BadInput:
        found = f"{one_line(self._next, 20)!r}" if self._kind else "its end"
        names = ", ".join(FUNCTIONS)
        return BadInput("expression", found=found, expected=f"numbers, b1, b2, ..., + - * / ( ) and {names}")

    def _takes(self, *signs: str) -> str:
        """The sign that comes next, if it is one of these; it is used up then."""
        if self._kind != "sign" or self._next not in signs:
            return ""
        sign = self._next
        self._advance()
        return sign

    def _deeper(self, step: int) -> None:
        self._depth += step
        if self._depth > DEEPEST:
            raise BadInput("expression", found="too many brackets", expected=f"at most {DEEPEST} deep")

    def _list(self) -> tuple[Node, ...]:
        found = [self._sum()]
        while self._takes(","):
            found.append(self._sum())
        return tuple(found)

    def _sum(self) -> Node:
        value = self._product()
        while sign := self._takes("+", "-"):
            value = Call(sign, (value, self._product()))
        return value

    def _product(self) -> Node:
        value = self._signed()
        while sign := self._takes("*", "/"):
            value = Call(sign, (value, self._signed()))
        return value

    def _signed(self) -> Node:
        sign = self._takes("+", "-")
        if not sign:
            return self._atom()
        self._deeper(1)
        value = self._signed()
        self._deeper(-1)
        return Call("negative", (value,)) if sign == "-" else value

    def _atom(self) -> Node:
        kind, text = self._kind, self._next
        if kind == "number":
            self._advance()
            return Number(float(text))
        if kind == "band":
            self._advance()
            return Band(int(text))
        if kind == "name" and text in FUNCTIONS:
            self._advance()
            return self._call(text)
        if self._takes("("):
            return self._bracket()[0]
        raise self._unexpected()

    def _bracket(self) -> tuple[Node, ...]:
        """What stands in brackets, the first of which is used up: one value."""
        values = self._inside()
        if len(values) != 1:
            raise BadInput("expression", found="a comma in brackets", expected="one value there")
        return values

    def _inside(self) -> tuple[Node, ...]:
        self._deeper(1)
        values = self._list()
        self._deeper(-1)
        if not self._takes(")"):
            raise self._unexpected()
        return values

    def _call(self, name: str) -> Call:
        self._takes("(")
        values, wanted = self._inside(), FUNCTIONS[name][0]
        if len(values) != wanted:
            raise BadInput(
                "expression", found=f"{name} of {len(values)}", expected=f"{wanted} in its brackets"
            )
        return Call(name, values)
