"""Pipeline files as YAML: read safely, with the line of every value.

Values are texts, whole numbers, numbers, true, false, null, lists and mappings with text keys, as in
JSON: `no` is the text no, 2024-06-12 and 12:30 are texts, 007 is a text. Tags, anchors, merges and
a key that stands twice are refused.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from geolab.errors import NotFound, PipelineError

LARGEST_BYTES = 1_000_000
DEEPEST = 20


@dataclass(frozen=True)
class Field:
    """One value of the file. value: a scalar, a list of fields, or a dict from text to field."""

    value: Any
    line: int  # from 1
    key: str  # where it stands, such as stages.change.needs
    file: str  # the file's name

    def error(self, reason: str) -> PipelineError:
        """The error that names this place."""
        return PipelineError(self.file, reason, line=self.line, key=self.key)

    @property
    def plain(self) -> Any:
        """The value without lines."""
        if isinstance(self.value, dict):
            return {name: one.plain for name, one in self.value.items()}
        return [one.plain for one in self.value] if isinstance(self.value, list) else self.value


def read(path: Path) -> Field:
    """The file's one document. Raises NotFound or PipelineError."""
    text = _text(path)
    try:
        loader = _Loader(text, path)
        node = loader.get_single_node()
    except yaml.YAMLError as error:
        raise PipelineError(path.name, _reason(error), line=_line(error)) from error
    if not isinstance(node, yaml.MappingNode):
        line = _line_of(node) if node else 0
        raise PipelineError(path.name, "a pipeline is a mapping: name, parameters, axes, stages", line=line)
    return _field(path.name, node, "")


def _text(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST_BYTES + 1)
    except FileNotFoundError as error:
        raise NotFound("pipeline file", str(path)) from error
    except (OSError, ValueError) as error:
        raise PipelineError(
            str(path), f"can't be read: {getattr(error, 'strerror', None) or error}"
        ) from error
    if len(content) > LARGEST_BYTES:
        remedy = "put long lists into a table: {table: items.csv, column: id}"
        what = f"larger than {LARGEST_BYTES:,} bytes; {remedy}"
        raise PipelineError(path.name, what)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise PipelineError(path.name, "not UTF-8; save it as UTF-8 text", line=line) from error


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the scalars of JSON, without aliases, not deeper than DEEPEST."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - as PyYAML declares it

    def __init__(self, text: str, path: Path):
        self.path, self.depth = path, 0
        super().__init__(text)

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            line = event.start_mark.line + 1
            raise PipelineError(
                self.path.name,
                "anchors and aliases (& and *) are not read; write it out, or "
                "quote a text that begins with * or &",
                line=line,
            )
        self.depth += 1
        if self.depth > DEEPEST:
            line = event.start_mark.line + 1
            raise PipelineError(self.path.name, f"nested deeper than {DEEPEST} levels", line=line)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


_TAG = "tag:yaml.org,2002:"
for _name, _pattern, _first in (
    ("bool", r"true|false", "tf"),
    ("null", r"null|~|", ["n", "~", ""]),
    ("int", r"-?(?:0|[1-9][0-9]{0,17})", "-0123456789"),
    ("float", r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,3})?", "-0123456789"),
):
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(f"(?:{_pattern})\\Z"), list(_first))

_SCALARS = {
    "str": str,
    "bool": lambda text: text == "true",
    "null": lambda _: None,
    "int": int,
    "float": float,
}


def _field(file: str, node: Any, key: str) -> Field:
    line, kind = _line_of(node), str(node.tag).removeprefix(_TAG)
    if isinstance(node, yaml.MappingNode) and kind == "map":
        return Field(_mapping(file, node, key), line, key, file)
    if isinstance(node, yaml.SequenceNode) and kind == "seq":
        below = [_field(file, one, f"{key}[{number}]") for number, one in enumerate(node.value)]
        return Field(below, line, key, file)
    if isinstance(node, yaml.ScalarNode) and kind in _SCALARS:
        try:
            return Field(_finite(_SCALARS[kind](node.value)), line, key, file)
        except ValueError as error:  # !!int abc, 1e999
            raise PipelineError(file, f"{node.value!r} is no {kind}", line=line, key=key) from error
    raise PipelineError(file, f"the tag {node.tag} is not read; write a plain value", line=line, key=key)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(value)
    return value


def _mapping(file: str, node: Any, key: str) -> dict[str, Field]:
    found: dict[str, Field] = {}
    for name, value in node.value:
        if not isinstance(name, yaml.ScalarNode) or not name.value:
            raise PipelineError(file, "a key must be a text", line=_line_of(name), key=key)
        inner = f"{key}.{name.value}" if key else name.value
        if name.value in found:
            first = found[name.value].line
            raise PipelineError(
                file, f"stands twice, first in line {first}; keep one", line=_line_of(name), key=inner
            )
        field = _field(file, value, inner)
        found[name.value] = Field(field.value, _line_of(name), inner, file)
    return found


def _line_of(node: Any) -> int:
    return node.start_mark.line + 1


def _line(error: yaml.YAMLError) -> int:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    return mark.line + 1 if mark else 0


def _reason(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.reader.ReaderError):
        return f"holds the character {error.character!r}, which YAML refuses"
    return f"not YAML: {getattr(error, 'problem', None) or error}"
