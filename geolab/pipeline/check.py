"""Checking the stages of a pipeline by the contracts of their notebooks, before anything starts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from geolab.errors import GeolabError, did_you_mean, one_line
from geolab.jobs import references
from geolab.jobs.parameters import Contract, contract, value
from geolab.jobs.values import Parameter
from geolab.pipeline import templates
from geolab.pipeline.model import Pipeline, Stage
from geolab.pipeline.yamlfile import Field
from geolab.settings import Settings


def check(pipeline: Pipeline, root: Field, settings: Settings | None) -> None:
    """Raise PipelineError for the first thing that notebook, references or values refuse.

    A value that hangs on axes is tried with every value of each of them. What a needed run will
    have found can't be known yet.
    """
    with references.remembered():
        for stage in pipeline.stages.values():
            field = root.value["stages"].value[stage.name]
            try:
                agreed = contract(stage.notebook)
            except GeolabError as error:
                raise field.value["notebook"].error(str(error)) from error
            _check_stage(pipeline, stage, agreed, field, settings)


def _check_stage(
    pipeline: Pipeline, stage: Stage, agreed: Contract, field: Field, settings: Settings | None
) -> None:
    listed = field.value.get("parameters")
    fields: dict[str, Field] = (listed.value or {}) if listed else {}
    for name, one in fields.items():
        parameter = agreed.parameter(name)
        if parameter is None:
            known = did_you_mean(name, [p.name for p in agreed.parameters])
            raise one.error(f"{agreed.name} has no parameter '{one_line(name, 60)}'; {known}")
        _check_names(pipeline, stage, one)
        _check_values(pipeline, stage, parameter, one, settings)
    for parameter in agreed.parameters:
        if parameter.name not in fields and settings is not None:
            _check_default(parameter, field, settings)


def _check_names(pipeline: Pipeline, stage: Stage, field: Field) -> None:
    try:
        names = list(templates.names(field.plain))
    except ValueError as error:
        raise field.error(str(error)) from error
    for name in names:
        why = _unknown(pipeline, stage, name)
        if why:
            raise field.error(f"${{{name}}}: {why}")


def _unknown(pipeline: Pipeline, stage: Stage, name: str) -> str:
    """Why a name can't be used in a stage; empty if it can."""
    head, dot, _ = name.partition(".")
    needs = [need.name for need in stage.needs]
    if dot:
        return "" if head in needs else f"no need '{head}'; {did_you_mean(head, needs)}"
    if name in pipeline.parameters or name in stage.each:
        return ""
    if name in pipeline.axes:
        return f"the stage does not run for each {name}; add it to each"
    if name in needs:
        return f"a need has results; write ${{{name}.result}} with the name of one"
    return f"nothing has this name; {did_you_mean(name, [*pipeline.parameters, *stage.each])}"


def _check_values(
    pipeline: Pipeline, stage: Stage, parameter: Parameter, field: Field, settings: Settings | None
) -> None:
    template = field.plain
    names = set(templates.names(template))
    if any("." in name for name in names):
        return  # known when the needed run has ended
    for at in places(pipeline, [name for name in stage.each if name in names]):
        try:
            filled = templates.fill(template, lambda name, at=at: at.get(name, pipeline.parameters.get(name)))
            found = value(parameter, fitted(parameter, filled, pipeline.path.parent))
            if settings is not None:
                references.resolve([parameter], {parameter.name: found}, settings)
        except (GeolabError, ValueError) as error:
            where = ", ".join(f"{name} {one_line(one, 60)}" for name, one in at.items())
            raise field.error(f"{error}{f' (at {where})' if where else ''}") from error


def places(pipeline: Pipeline, names: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Places at which every value of each axis occurs, the other axes being at their first."""
    chosen = [pipeline.axes[name] for name in names]
    first = {axis.name: axis.values[0] for axis in chosen}
    yield first
    for axis in chosen:
        yield from (first | {axis.name: one} for one in axis.values[1:])


def anchor_given(stages: Mapping[str, Stage], values: dict[str, Any], names: Iterable[str]) -> None:
    """Make paths absolute in those parameters of the pipeline, from the working folder on.

    Only parameters that stages take where a notebook wants a file, an item or a model hold paths.
    """
    for name in names:
        for parameter in _takers(stages, name):
            values[name] = _anchored(parameter, values[name], Path.cwd())


def _takers(stages: Mapping[str, Stage], name: str) -> Iterator[Parameter]:
    """The parameters of notebooks that are given nothing but this parameter of the pipeline."""
    for stage in stages.values():
        with suppress(GeolabError, ValueError):  # said by `check`
            for parameter in contract(stage.notebook).parameters:
                if templates.alone(stage.parameters.get(parameter.name)) == name:
                    yield parameter


def fitted(parameter: Parameter, given: Any, folder: Path) -> Any:
    """The value as the notebook's contract wants it: numbers as texts, paths from the file's folder on."""
    if parameter.base == "str" and isinstance(given, bool | int):
        return str(given).lower()
    return _anchored(parameter, given, folder)


def _anchored(parameter: Parameter, given: Any, folder: Path) -> Any:
    """The value with relative paths made absolute: of files, and of what else may be one and is there."""
    if isinstance(given, list):
        return [_anchored(parameter, one, folder) for one in given]
    is_text = isinstance(given, str) and given and given.isprintable() and "://" not in given
    if not parameter.references or not is_text or given in parameter.choices:
        return given
    path = folder / Path(given).expanduser()
    return str(path) if parameter.references == ("source",) or _exists(path) else given


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # too long for a path: no path
        return False


def _check_default(parameter: Parameter, field: Field, settings: Settings) -> None:
    try:
        references.resolve([parameter], {parameter.name: parameter.default}, settings)
    except GeolabError as error:
        raise field.error(f"{parameter.name} has its default: {error}") from error
