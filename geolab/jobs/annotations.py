"""The types of parameters as they are written: 'int', "Optional[float]", "Literal['a', 'b']"."""

from __future__ import annotations

import ast
from typing import Any

from geolab.errors import BadInput
from geolab.jobs.values import BASES


def type_of(name: str, annotation: ast.expr) -> tuple[str, bool, tuple[Any, ...]]:
    """The base type, whether None is allowed, and the choices of a Literal. Raises BadInput."""
    written = annotation.value if isinstance(annotation, ast.Constant) else None
    quoted = isinstance(written, str)
    text = written.strip() if isinstance(written, str) else ast.unparse(annotation)
    inner = _inside("Optional", node := _annotation(text))
    listed = _inside("Literal", inner or node)
    choices = _literals(name, text, listed) if listed else ()
    base = type(choices[0]).__name__ if choices else ast.unparse(inner or node)
    if base not in BASES:
        known = f'{", ".join(BASES)} or "Optional[...]" of one'
        raise BadInput(name, found=f"type {text}", expected=known)
    if (inner or choices) and not quoted:
        raise BadInput(
            name, found=text, expected=f'"{text}" in quotes', remedy="nothing is imported before this cell"
        )
    return base, inner is not None, choices


def _annotation(text: str) -> ast.expr:
    """What a type says; a name that is no type for what is not Python."""
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Name(text)


def _inside(name: str, node: ast.expr) -> ast.expr | None:
    """The X of `name[X]`; None for anything else."""
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == name:
        return node.slice
    return None


def _literals(name: str, text: str, listed: ast.expr) -> tuple[str | int, ...]:
    """The values of a Literal: texts, or whole numbers."""
    nodes = listed.elts if isinstance(listed, ast.Tuple) else [listed]
    values = tuple(node.value for node in nodes if isinstance(node, ast.Constant))
    for kind in (str, int):
        chosen = tuple(v for v in values if type(v) is kind)
        if nodes and len(chosen) == len(nodes):
            return chosen
    raise BadInput(name, found=f"type {text}", expected="a Literal of texts, or of whole numbers")
