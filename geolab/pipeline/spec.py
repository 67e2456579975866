"""Reading a pipeline file: checked whole, every mistake with its file, line and key.

pipeline = spec.load("yearly_change.yaml", {"years": "2021-2024"}, settings)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from geolab.errors import BadInput, GeolabError, PipelineError, did_you_mean, one_line
from geolab.jobs.notebook import find_notebook
from geolab.jobs.values import Parameter, checked, from_text
from geolab.pipeline import axes as axes_module
from geolab.pipeline import check, cron, needs, space, templates, yamlfile
from geolab.pipeline.model import Axis, Pipeline, Stage
from geolab.pipeline.yamlfile import Field
from geolab.settings import Settings

MOST_NODES = 1_000_000

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_STAGE = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,59}")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,59}")

_TOP = ("name", "description", "parameters", "axes", "stages", "limit", "schedule", "search")
_OF_A_STAGE = (
    *("notebook", "each", "needs", "parameters", "retries", "backoff_s", "timeout_s"),
    *("memory_mb", "gpu", "limit", "priority"),
)


def load(
    path: str | Path, given: Mapping[str, Any] | None = None, settings: Settings | None = None
) -> Pipeline:
    """The pipeline of a file, its parameters replaced by those given.

    given: name -> text, typed like the file's own value, or a value of that type; relative paths in it
    start from the working folder, those in the file from the file's.
    settings: of the workspace in which everything that parameters name must exist; without it that is
    not checked. Raises NotFound for the file itself and PipelineError for whatever is wrong in it.
    """
    file = Path(path).expanduser().absolute()
    root = yamlfile.read(file)
    top = _keys(root, _TOP)
    name = _name(top.get("name"), file)
    parameters, changed = _parameters(root, dict(given or {}))
    fields = _below(top.get("axes"))
    parameters = _anchored(file, fields, parameters, changed)
    axes = {one: _axis(one, field, parameters, file) for one, field in fields.items()}
    stages = _stages(root, file, axes)
    check.anchor_given(stages, parameters, changed)
    pipeline = Pipeline(
        name=name,
        path=file,
        parameters=parameters,
        axes=axes,
        stages=stages,
        given={one: parameters[one] for one in changed},
        description=_text(top.get("description")),
        limit=_whole(top, "limit", 0),
        schedule=_times(top.get("schedule")),
        search=_below(top.get("search")) and top["search"].plain,
    )
    _check_size(pipeline, root)
    check.check(pipeline, root, settings)
    if pipeline.search:
        space.read(pipeline)
    return pipeline


def name_of(path: str | Path) -> str:
    """The name of a file's pipeline, by which it is paused and stopped; nothing else is checked."""
    file = Path(path).expanduser().absolute()
    return _name(_keys(yamlfile.read(file), _TOP).get("name"), file)


def parameters_of(path: str | Path) -> list[str]:
    """The names of the parameters that a file's pipeline has now."""
    return list(_below(_keys(yamlfile.read(Path(path).expanduser().absolute()), _TOP).get("parameters")))


# ---------------------------------------------------------------- small parts


def _keys(field: Field, known: tuple[str, ...]) -> dict[str, Field]:
    """The fields of a mapping that has no other keys than these."""
    if not isinstance(field.value, dict):
        raise field.error(f"is {_shown(field.plain)}; expected a mapping with {', '.join(known)}")
    for name, one in field.value.items():
        if name not in known:
            raise one.error(f"unknown key; {did_you_mean(name, known)}")
    return field.value


def _below(field: Field | None) -> dict[str, Field]:
    """The fields of a mapping of free names; none where it is absent or empty."""
    if field is None or field.value is None:
        return {}
    if not isinstance(field.value, dict):
        raise field.error(f"is {_shown(field.plain)}; expected a mapping")
    return field.value


def _shown(value: Any) -> str:
    return one_line(repr(value), 60)


def _text(field: Field | None) -> str:
    if field is None or field.value is None:
        return ""
    if not isinstance(field.value, str):
        raise field.error(f"is {_shown(field.plain)}; expected a text")
    return field.value


def _times(field: Field | None) -> str:
    """Times in cron's words, as five fields; empty for none."""
    if not (text := _text(field)) or field is None:
        return ""
    try:
        return cron.checked(text)
    except BadInput as error:
        raise field.error(str(error)) from error


def _name(field: Field | None, file: Path) -> str:
    name = _text(field) or file.stem
    if not _NAME.fullmatch(name):
        what = f"the name is {_shown(name)}; expected letters, digits, '.', '_' and '-'"
        raise field.error(what) if field else PipelineError(file.name, what, key="name")
    return name


def _number(fields: Mapping[str, Field], name: str, default: Any, *, low: float, whole: bool) -> Any:
    field = fields.get(name)
    if field is None or field.value is None:
        return default
    kinds = (int,) if whole else (int, float)
    if type(field.value) not in kinds or field.value < low or field.value > 1e9:
        kind = "a whole number" if whole else "a number"
        raise field.error(f"is {_shown(field.plain)}; expected {kind} of at least {low:g}")
    return field.value


def _whole(fields: Mapping[str, Field], name: str, default: int, low: float = 0) -> int:
    return _number(fields, name, default, low=low, whole=True)


# ---------------------------------------------------------------- parameters of the pipeline


def _parameters(root: Field, given: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The parameters with those given put in, and the names of those that were given."""
    fields = _below(root.value.get("parameters"))
    for name, field in fields.items():
        if not _IDENTIFIER.fullmatch(name):
            raise field.error("a parameter's name is letters, digits and '_', such as max_cloud")
        if any(True for _ in _names(field)):
            raise field.error("a parameter's value is written out; ${...} stands in axes and stages")
    for name in given:
        if name not in fields:
            what = f"the pipeline has no parameter '{name}'; {did_you_mean(name, fields)}"
            raise PipelineError(root.file, what, key=f"-p {one_line(name, 60)}")
    values = {
        name: _typed(field, given[name]) if name in given else field.plain for name, field in fields.items()
    }
    return values, list(given)


def _typed(field: Field, given: Any) -> Any:
    """A value given, of the type that the file's own value has."""
    default, name = field.plain, field.key.removeprefix("parameters.")
    base = "str" if default is None else type(default).__name__
    like = Parameter(name, base, default, optional=default is None)
    try:
        return checked(like, from_text(like, given) if isinstance(given, str) else given)
    except BadInput as error:
        raise PipelineError(field.file, str(error), line=field.line, key=f"-p {name}") from error


def _names(field: Field) -> list[str]:
    try:
        return list(templates.names(field.plain))
    except ValueError as error:
        raise field.error(str(error)) from error


def _anchored(
    file: Path, axes: Mapping[str, Field], parameters: dict[str, Any], changed: list[str]
) -> dict[str, Any]:
    """The parameters, absolute where an axis reads them as the path of a file."""
    found = dict(parameters)
    for field in axes.values():
        path = axes_module.path_of(field)
        name = templates.alone(path.plain) if path else ""
        if name in found and isinstance(found[name], str) and found[name]:
            found[name] = str(
                axes_module.located(found[name], Path.cwd() if name in changed else file.parent)
            )
    return found


def _axis(name: str, field: Field, parameters: Mapping[str, Any], file: Path) -> Axis:
    if not _IDENTIFIER.fullmatch(name):
        raise field.error("an axis' name is letters, digits and '_', such as year")
    if name in parameters:
        raise field.error(f"is a parameter too; rename one, ${{{name}}} would mean both")

    def look(wanted: str) -> Any:
        if wanted not in parameters:
            raise LookupError(f"no parameter '{wanted}'; {did_you_mean(wanted, parameters)}")
        return parameters[wanted]

    return axes_module.axis(name, field, look, file.parent)


# ---------------------------------------------------------------- stages


def _stages(root: Field, file: Path, axes: Mapping[str, Axis]) -> dict[str, Stage]:
    field = root.value.get("stages")
    fields = _below(field)
    if not fields:
        raise PipelineError(
            root.file,
            "has no stage; add stages: {name: {notebook: ...}}",
            line=field.line if field else 0,
            key="stages",
        )
    for name, one in fields.items():
        if not _STAGE.fullmatch(name):
            raise one.error("a stage's name is letters, digits, '_' and '-', such as acquire")
    each = {name: _each(one, axes) for name, one in fields.items()}
    found = {name: _stage(name, one, file, axes, each) for name, one in fields.items()}
    return needs.ordered(fields, found)


def _each(stage: Field, axes: Mapping[str, Axis]) -> tuple[str, ...]:
    field = _keys(stage, _OF_A_STAGE).get("each")
    if field is None or field.value is None:
        return ()
    listed = field.value if isinstance(field.value, list) else [field]
    for one in listed:
        if one.value not in axes:
            raise one.error(f"no axis {_shown(one.plain)}; {did_you_mean(str(one.plain), axes)}")
    names = tuple(one.value for one in listed)
    if len(set(names)) < len(names):
        raise field.error("names an axis twice; keep one")
    return names


def _stage(
    name: str, field: Field, file: Path, axes: Mapping[str, Axis], each: Mapping[str, tuple[str, ...]]
) -> Stage:
    fields = _keys(field, _OF_A_STAGE)
    parameters = _below(fields.get("parameters"))
    return Stage(
        name=name,
        notebook=_notebook(fields.get("notebook"), field, file),
        each=each[name],
        needs=needs.read(name, fields.get("needs"), axes, each),
        parameters={one: value.plain for one, value in parameters.items()},
        retries=_whole(fields, "retries", 0),
        backoff_s=float(_number(fields, "backoff_s", 10.0, low=0, whole=False)),
        timeout_s=_number(fields, "timeout_s", None, low=0.1, whole=False),
        memory_mb=_number(fields, "memory_mb", None, low=1, whole=False),
        gpu=_whole(fields, "gpu", 0),
        limit=_whole(fields, "limit", 0),
        priority=_whole(fields, "priority", 0, low=-1e9),
        line=field.line,
    )


def _notebook(field: Field | None, stage: Field, file: Path) -> Path:
    """One of geolab's by name, or a file from the pipeline's folder on."""
    if field is None or not isinstance(field.value, str) or not field.value:
        raise (field or stage).error("needs notebook: a name from `geolab notebooks`, or ./file.ipynb")
    try:
        is_path = field.value.endswith(".ipynb")
        return find_notebook(file.parent / Path(field.value).expanduser() if is_path else field.value)
    except (GeolabError, ValueError, OSError) as error:
        raise field.error(str(error)) from error


def _check_size(pipeline: Pipeline, root: Field) -> None:
    """Raise where the matrix is larger than can be planned."""
    for name, stage in pipeline.stages.items():
        field = root.value["stages"].value[name]
        size = 1
        for axis in pipeline.axes_of(stage):
            size *= len(axis.values)
        if size > MOST_NODES:
            what = f"{size:,} places ({' x '.join(stage.each)}); at most {MOST_NODES:,}: split the axes"
            raise field.error(what)
        needs.check_size(pipeline, stage, size, field)
    if pipeline.count > MOST_NODES:
        raise root.value["stages"].error(f"{pipeline.count:,} runs; at most {MOST_NODES:,}: split the axes")
