"""Values of parameters: strict, from text (command line, forms) or typed (Python, HTTP)."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any

from geolab.errors import BadInput, one_line
from geolab.jobs import formats

BASES = {"str": str, "int": int, "float": float, "bool": bool, "list": list, "dict": dict}
REFERENCES = ("item", "collection", "model", "source", "scene", "splats")

_INT = re.compile(r"[-+]?\d{1,18}")


@dataclass(frozen=True)
class Parameter:
    """One line of the parameters cell."""

    name: str
    base: str  # "str", "int", "float", "bool", "list" or "dict"
    default: Any
    help: str = ""
    optional: bool = False  # None is a value too
    choices: tuple[Any, ...] = ()  # values, of the base type
    references: tuple[str, ...] = ()  # of REFERENCES: what else a value may name
    minimum: float | None = None
    maximum: float | None = None
    form: str = ""  # of a text: "date", "dates" or "bbox"

    @property
    def type(self) -> str:
        """The type as it is written: 'int' or 'Optional[int]'."""
        return f"Optional[{self.base}]" if self.optional else self.base

    @property
    def kind(self) -> str:
        """What stands in the braces: 'a|b|c', '0..1', 'item', 'date', or ''."""
        if self.form:
            return self.form
        if self.minimum is not None or self.maximum is not None:
            ends = ("" if end is None else f"{end:g}" for end in (self.minimum, self.maximum))
            return "..".join(ends)
        return "|".join([*self.references, *map(str, self.choices)])


def from_text(parameter: Parameter, text: str) -> Any:
    """The value a text stands for. Raises BadInput."""
    bare = text.strip()
    if parameter.optional and bare.lower() in ("none", "null"):
        return None
    if parameter.base == "str":
        return text
    if parameter.base == "int" and _INT.fullmatch(bare):
        return int(bare)
    if parameter.base == "bool" and bare.lower() in ("true", "false"):
        return bare.lower() == "true"
    try:
        if parameter.base == "float":
            return float(bare)
        if parameter.base in ("list", "dict"):
            return json.loads(bare)
    except (ValueError, RecursionError):
        pass  # said below, in the same words for every type
    raise _wrong(parameter, repr(text))


_EXPECTED = {
    "int": "a whole number",
    "float": "a finite number",
    "bool": "true or false",
    "str": "a text",
} | {
    "list": 'a JSON list such as ["a", "b"]',
    "dict": 'a JSON object such as {"a": 1}',
}


def _wrong(parameter: Parameter, found: str) -> BadInput:
    expected = _EXPECTED[parameter.base] + (" or none" if parameter.optional else "")
    return BadInput(parameter.name, found=one_line(found, 80), expected=expected)


def checked(parameter: Parameter, given: Any) -> Any:
    """The value, if it has the parameter's type and lies in its range or choices. Raises BadInput."""
    if given is None and parameter.optional:
        return None
    value: Any = float(given) if parameter.base == "float" and type(given) is int else given
    if type(value) is not BASES[parameter.base] or not _plain(value):
        raise _wrong(parameter, repr(value))
    if parameter.form and (value or parameter.default not in ("", None)):  # may be empty if its default is
        formats.check(parameter.name, parameter.form, value)
    low, high = parameter.minimum, parameter.maximum
    if (low is not None and value < low) or (high is not None and value > high):
        raise BadInput(parameter.name, found=value, expected=f"a value in {parameter.kind}")
    if parameter.choices and not parameter.references:
        for one in value if parameter.base == "list" else [value]:
            if one not in parameter.choices:
                listed = ", ".join(map(str, parameter.choices))
                raise BadInput(parameter.name, found=repr(one), expected=f"one of {listed}")
    return value


def _plain(value: Any) -> bool:
    """Whether a value is made of JSON's types only, all numbers finite."""
    if value is None or isinstance(value, bool | int | str):
        return True
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, list):
        return all(map(_plain, value))
    return isinstance(value, dict) and all(isinstance(k, str) and _plain(v) for k, v in value.items())
