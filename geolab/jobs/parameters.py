"""The contract of a notebook: its parameters cell, read without running anything.

One line per parameter, `name: type = literal  # help {kind}`. The kind in braces at the end says
more than the type: `{a|b|c}` choices, `{0..1}` a range (either end may be missing), `{item}`,
`{collection}`, `{model}`, `{source}`, `{scene}` (a collection, or photos with or without cameras),
`{splats}` (a model's file or item, or "latest"), or one of these with words that it may be instead, as in
`{source|sample}`; or the form of a text: `{date}` (2024-08-15), `{dates}` (from/to, `..` for an open end),
`{bbox}` (west,south,east,north in degrees). An optional value is `name: "Optional[float]" = None`; choices
may also be annotated, `name: "Literal['a', 'b']" = "a"`. Both stand in quotes: nothing is imported before.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from geolab.errors import BadInput, ContractBroken, NotFound
from geolab.jobs.annotations import type_of
from geolab.jobs.formats import FORMS
from geolab.jobs.notebook import Cell, Version, cells, version
from geolab.jobs.references import resolve
from geolab.jobs.values import REFERENCES, Parameter, checked, from_text
from geolab.settings import Settings

_KIND = re.compile(r"\{([^{}]*)\}\s*$")
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER})?\.\.({_NUMBER})?")
_SECRET = re.compile(r"password|passwd|secret|token|api_?key|(?:^|_)key(?:$|_)", re.IGNORECASE)


@dataclass(frozen=True)
class Contract:
    """What a notebook is and takes."""

    name: str
    title: str
    summary: str
    parameters: tuple[Parameter, ...]
    path: Path

    def parameter(self, name: str) -> Parameter | None:
        """The parameter of that name, or None."""
        return next((p for p in self.parameters if p.name == name), None)


def contract(path: str | Path) -> Contract:
    """The contract of the notebook at a path.

    Raises NotFound, FileRejected (no notebook) or ContractBroken, which names cell and line.
    """
    path = Path(path)
    return _contract(path, version(path))


@lru_cache(maxsize=256)
def _contract(path: Path, _version: Version) -> Contract:
    """The contract of a notebook as it is now: planning asks once a run."""
    found = cells(path)
    cell = _parameters_cell(path, found)
    parameters = _read_parameters(path, cell) if cell else ()
    if cell:
        _refuse_overwriting(path, found[cell.number :], {p.name for p in parameters})
    title, summary = _heading(found, path.stem)
    return Contract(path.stem, title, summary, parameters, path)


def parse(
    contract: Contract, given: Mapping[str, Any], *, settings: Settings | None = None
) -> dict[str, Any]:
    """The full, typed parameters: those given, and the defaults of the others.

    given: name -> text (`"3"`, `"true"`, `"[1, 2]"`, `"none"`), or a value of the right type.
    settings: of the workspace in which everything that values name (items, models, files) must exist;
    without it only names and types are checked.
    Raises NotFound for an unknown name or a missing thing, BadInput for a value.
    """
    known = [p.name for p in contract.parameters]
    for name in given:
        if name not in known:
            raise NotFound(f"parameter of {contract.name}", name, known=known)
    values = {
        p.name: value(p, given[p.name]) if p.name in given else deepcopy(p.default)
        for p in contract.parameters
    }
    return values if settings is None else resolve(contract.parameters, values, settings)


def value(parameter: Parameter, given: Any) -> Any:
    """One parameter's value, from a text or a value of the right type. Raises BadInput."""
    is_text = isinstance(given, str) and (parameter.base != "str" or parameter.optional)
    return checked(parameter, from_text(parameter, given) if is_text else given)


def _parameters_cell(path: Path, found: list[Cell]) -> Cell:
    tagged = [cell for cell in found if cell.kind == "code" and "parameters" in cell.tags]
    if not tagged:
        raise ContractBroken(
            path.name, "no cell is tagged 'parameters'; tag the cell of defaults (it may be empty)"
        )
    first_code = next(cell for cell in found if cell.kind == "code")
    if len(tagged) > 1:
        raise ContractBroken(
            path.name, "a second cell is tagged 'parameters'; keep one", cell=tagged[1].number
        )
    if tagged[0] is not first_code:
        raise ContractBroken(
            path.name, "code before the parameters cell; move it below", cell=first_code.number
        )
    return tagged[0]


def _heading(found: list[Cell], stem: str) -> tuple[str, str]:
    """Title and first sentence line of the first cell; the file's stem when it has none."""
    lines = found[0].source.splitlines() if found and found[0].kind == "markdown" else []
    lines = [line.strip() for line in lines if line.strip()]
    if not lines or not lines[0].startswith("#"):
        return stem, lines[0] if lines else ""
    return lines[0].lstrip("# "), lines[1] if len(lines) > 1 else ""


# ---------------------------------------------------------------- the cell


def _read_parameters(path: Path, cell: Cell) -> tuple[Parameter, ...]:
    statements, found = _statements(path, cell), dict[str, Parameter]()
    comments = _comments(cell)
    for statement in statements:
        line = statement.lineno
        try:
            parameter = _parameter(statement, comments.get(line, ""))
        except BadInput as error:
            raise ContractBroken(path.name, str(error), cell=cell.number, line=line) from error
        if parameter.name in found:
            raise ContractBroken(path.name, f"'{parameter.name}' stands twice", cell=cell.number, line=line)
        found[parameter.name] = parameter
    return tuple(found.values())


def _statements(path: Path, cell: Cell) -> list[ast.stmt]:
    try:
        return ast.parse(cell.source).body
    except (SyntaxError, ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None) or 1
        raise ContractBroken(path.name, f"not Python: {error}", cell=cell.number, line=line) from error


def _comments(cell: Cell) -> dict[int, str]:
    """The comment of each line, without its '#'; the cell is known to be Python."""
    tokens = tokenize.generate_tokens(io.StringIO(cell.source).readline)
    return {t.start[0]: t.string.lstrip("#").strip() for t in tokens if t.type == tokenize.COMMENT}


def _parameter(statement: ast.stmt, comment: str) -> Parameter:
    if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
        raise _not_a_line(ast.unparse(statement))
    if statement.value is None or statement.end_lineno != statement.lineno:
        raise _not_a_line(ast.unparse(statement), "on one line, with a default")
    name = statement.target.id
    if _SECRET.search(name):
        raise BadInput(
            name, found="a secret", expected="none here", remedy="secrets come from the environment"
        )
    base, optional, choices = type_of(name, statement.annotation)
    kind = _KIND.search(comment)
    if kind and choices:
        raise BadInput(
            name, found=f"a Literal and {{{kind.group(1)}}}", expected="one of them; leave the braces out"
        )
    said = comment[: kind.start()].strip() if kind else comment
    plain = Parameter(name, base, None, said, optional, choices)
    parameter = _with_kind(plain, kind.group(1)) if kind else plain
    return _with_default(parameter, statement.value)


def _not_a_line(found: str, expected: str = "nothing but 'name: type = literal  # help'") -> BadInput:
    return BadInput("parameters cell", found=repr(found), expected=expected)


def _with_default(parameter: Parameter, value: ast.expr) -> Parameter:
    try:
        default = ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise BadInput(parameter.name, found=ast.unparse(value), expected="a literal") from error
    return Parameter(**{**vars(parameter), "default": checked(parameter, default)})


# ---------------------------------------------------------------- kinds


def _with_kind(parameter: Parameter, text: str) -> Parameter:
    ends = _RANGE.fullmatch(text.replace(" ", ""))
    facts = _range(parameter, ends) if ends else _alternatives(parameter, text)
    return Parameter(**{**vars(parameter), **facts})


def _range(parameter: Parameter, ends: re.Match[str]) -> dict[str, Any]:
    low, high = (float(end) if end else None for end in ends.groups())
    if parameter.base not in ("int", "float") or (low is None and high is None):
        raise BadInput(
            parameter.name, found=ends.group(), expected="a range such as {0..1} on an int or float"
        )
    if low is not None and high is not None and low > high:
        raise BadInput(parameter.name, found=ends.group(), expected="a range from low to high")
    return {"minimum": low, "maximum": high}


def _alternatives(parameter: Parameter, text: str) -> dict[str, Any]:
    words = [word.strip() for word in text.split("|")]
    if words[0] in FORMS:
        return _formed(parameter, words)
    references = tuple(word for word in words[:1] if word in REFERENCES)
    others = words[len(references) :]  # 'model' in {cva|model} is a word like any other
    if len(words) == 1 and others:
        expected = f"{{a|b}}, a range {{0..1}} or one of {', '.join((*REFERENCES, *FORMS))}"
        raise BadInput(parameter.name, found=f"kind {{{text}}}", expected=expected)
    if references and parameter.base not in ("str", "list"):
        raise BadInput(parameter.name, found=parameter.type, expected=f"str or list for {{{text}}}")
    if parameter.base in ("bool", "dict"):
        raise BadInput(parameter.name, found=f"kind {{{text}}}", expected=f"no choices on a {parameter.base}")
    plain = Parameter(parameter.name, "str" if parameter.base == "list" else parameter.base, None)
    return {"references": references, "choices": tuple(from_text(plain, word) for word in others)}


def _formed(parameter: Parameter, words: list[str]) -> dict[str, Any]:
    if parameter.base != "str" or len(words) > 1:
        found = f"{parameter.type} {{{'|'.join(words)}}}"
        raise BadInput(parameter.name, found=found, expected=f"{{{words[0]}}} alone, on a str")
    return {"form": words[0]}


# ---------------------------------------------------------------- the cells below


def _refuse_overwriting(path: Path, below: Iterable[Cell], names: set[str]) -> None:
    """Raise if a later cell sets a parameter: it would win over the value that was asked for."""
    for cell in below:
        # papermill replaces the injected cell of a notebook that was executed before
        if cell.kind != "code" or "injected-parameters" in cell.tags or cell.source.startswith("%%"):
            continue
        plain = re.sub(r"^(\s*)[%!].*$", r"\1pass", cell.source, flags=re.MULTILINE)
        for name, line in _assigned(_statements(path, Cell(cell.number, "code", plain))):
            if name in names:
                what = f"sets the parameter '{name}' again, over the value given; use another name"
                raise ContractBroken(path.name, what, cell=cell.number, line=line)


_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.ListComp, ast.SetComp)
_OTHER_SCOPES = (*_SCOPES, ast.DictComp, ast.GeneratorExp)


def _assigned(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, int]]:
    """Every name bound at the top level of a cell, in ifs and loops too, with its line."""
    for node in nodes:
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id, node.lineno
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node.lineno
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (((alias.asname or alias.name).split(".")[0], node.lineno) for alias in node.names)
        if not isinstance(node, _OTHER_SCOPES):
            yield from _assigned(ast.iter_child_nodes(node))
