"""CQL2 filters: understood and checked by the `cql2` package."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from geolab.errors import BadInput, one_line

if TYPE_CHECKING:
    import cql2

LONGEST_TEXT = 65_536
DEEPEST = 64  # cql2 0.6.0 overflows the stack and kills the process a few thousand levels down


def parse(filter: str | Mapping[str, Any]) -> cql2.Expr:
    """The filter as an expression that is valid CQL2. Raises BadInput."""
    import cql2

    text = filter if isinstance(filter, str) else _dump(filter)
    _refuse_monsters(text)
    try:
        expression = cql2.Expr(text)
        expression.validate()
    except cql2.ValidationError as error:
        raise _bad(text) from error
    except Exception as error:  # cql2 0.6.0 raises bare Exception for what it can't parse
        if type(error) is not Exception:
            raise
        raise _bad(text) from error
    return expression


def _dump(filter: Mapping[str, Any]) -> str:
    try:
        return json.dumps(filter, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadInput("filter", found=one_line(str(error), 80), expected="CQL2 as text or JSON") from error


def _bad(text: str) -> BadInput:
    return BadInput("filter", found=one_line(repr(text), 120), expected="CQL2 as text or JSON")


def _refuse_monsters(text: str) -> None:
    """Raise BadInput for a text on which the parser would run out of stack."""
    if len(text) > LONGEST_TEXT:
        raise BadInput(
            "filter", found=f"{len(text)} characters", expected=f"at most {LONGEST_TEXT} characters"
        )
    depth = deepest = 0
    for char in re.sub(r"'[^']*'|\"[^\"]*\"", "", text):
        depth += (char in "([{") - (char in ")]}")
        deepest = max(deepest, depth)
    if deepest > DEEPEST:
        raise BadInput("filter", found=f"{deepest} levels of brackets", expected=f"at most {DEEPEST}")
