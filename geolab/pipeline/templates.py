"""Templates: `${name}` in the values of a pipeline file, filled in without evaluating anything.

`${name}` is a parameter of the pipeline or an axis of the stage, `${need.result}` a result of the run
that is needed (`${need.result.part}` of a result that is a mapping). Alone it keeps the type of the
value; inside a text it is formatted. `$${` stands for a plain `${`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

_REFERENCE = re.compile(r"\$\$\{|\$\{([^{}]*)\}?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_-]+)*")

Look = Callable[[str], Any]  # the value of a name; raises LookupError


def names(value: Any) -> Iterator[str]:
    """Every name that a template mentions. Raises ValueError for one that is no name."""
    if isinstance(value, str):
        for found in _REFERENCE.finditer(value):
            if found.group() != "$${":
                yield _name(found)
    elif isinstance(value, dict):
        for one in value.values():
            yield from names(one)
    elif isinstance(value, list):
        for one in value:
            yield from names(one)


def _name(found: re.Match[str]) -> str:
    name = found.group(1).strip()
    if not found.group().endswith("}") or not _NAME.fullmatch(name):
        raise ValueError(f"{found.group()!r} is no reference; write ${{name}} or ${{need.result}}")
    return name


def alone(value: Any) -> str:
    """The name, if the template is nothing but one reference; else an empty text."""
    found = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
    return _name(found) if found and found.group() != "$${" else ""


def fill(value: Any, look: Look) -> Any:
    """The value with every reference replaced. Raises LookupError or ValueError."""
    if isinstance(value, dict):
        return {name: fill(one, look) for name, one in value.items()}
    if isinstance(value, list):
        return [fill(one, look) for one in value]
    if not isinstance(value, str) or "$" not in value:
        return value
    name = alone(value)
    return look(name) if name else _REFERENCE.sub(lambda found: _formatted(found, look), value)


def _formatted(found: re.Match[str], look: Look) -> str:
    if found.group() == "$${":
        return "${"
    name = _name(found)
    value = look(name)
    if isinstance(value, dict | list) or value is None:
        kind = "nothing" if value is None else "a mapping" if isinstance(value, dict) else "a list"
        raise ValueError(f"${{{name}}} is {kind} and can't stand inside a text; let it stand alone")
    return str(value).lower() if isinstance(value, bool) else str(value)
