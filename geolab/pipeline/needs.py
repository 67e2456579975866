"""What a stage needs of others: `stage[cell, year-1]`, read, checked, and put in order."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from geolab.errors import did_you_mean, one_line
from geolab.pipeline.model import Axis, Need, Pick, Pipeline, Stage, label
from geolab.pipeline.yamlfile import Field

MOST_LINKS = 20_000_000

_NEED = re.compile(r"([^\[\]]+?)\s*(?:\[([^\[\]]*)\])?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,59}")
_PICK = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\s*(?:([+-])\s*(\d{1,6}))?")


def read(
    stage: str, field: Field | None, axes: Mapping[str, Axis], each: Mapping[str, tuple[str, ...]]
) -> tuple[Need, ...]:
    """The needs of a stage. each: the axes of every stage. Raises PipelineError."""
    if field is None or field.value is None:
        return ()
    if not isinstance(field.value, dict):
        raise field.error('expected a mapping such as {before: "acquire[cell, year-1]"}')
    return tuple(_need(stage, name, one, axes, each) for name, one in field.value.items())


def _need(
    stage: str, name: str, field: Field, axes: Mapping[str, Axis], each: Mapping[str, tuple[str, ...]]
) -> Need:
    if not _NAME.fullmatch(name):
        raise field.error("a need's name is letters, digits and '_', such as before")
    found = _NEED.fullmatch(field.value.strip()) if isinstance(field.value, str) else None
    if found is None:
        shown = one_line(repr(field.plain), 60)
        raise field.error(
            f'is {shown}; expected a stage and its axes in quotes, such as "acquire[cell, year-1]"'
        )
    target = found.group(1)
    if target not in each:
        raise field.error(f"no stage '{one_line(target, 60)}'; {did_you_mean(target, each)}")
    if target == stage:
        raise field.error("a stage can't need itself; make two stages of it")
    if found.group(2) is None:
        return Need(name, target, _same(field, target, each[target], each[stage]))
    texts = [one.strip() for one in found.group(2).split(",")] if found.group(2).strip() else []
    if len(texts) != len(each[target]):
        wanted = f"{target}[{', '.join(each[target])}]"
        raise field.error(f"has {len(texts)} places; {target} has {len(each[target])}: {wanted}")
    picks = [
        _pick(field, text, axes[axis], each[stage]) for text, axis in zip(texts, each[target], strict=True)
    ]
    return Need(name, target, tuple(picks))


def _same(field: Field, target: str, theirs: tuple[str, ...], own: tuple[str, ...]) -> tuple[Pick, ...]:
    """The place of the same values; for a need without brackets."""
    for axis in theirs:
        if axis not in own:
            places = ", ".join(one if one in own else "*" for one in theirs)
            raise field.error(f"has no axis {axis} of its own to take {target} at; write {target}[{places}]")
    return tuple(Pick(axis) for axis in theirs)


def _pick(field: Field, text: str, axis: Axis, own: tuple[str, ...]) -> Pick:
    if text == "*":
        return Pick()
    found = _PICK.fullmatch(text)
    if found and found.group(1) == axis.name:
        if axis.name not in own:
            raise field.error(f"has no axis {axis.name} of its own; write * for all of them, or one value")
        offset = int(found.group(3) or 0)
        return Pick(axis.name, -offset if found.group(2) == "-" else offset)
    if text and label(text) in axis.positions:
        return Pick(position=axis.positions[label(text)])
    shown = one_line(repr(text), 60)
    raise field.error(
        f"{shown} is no place on the axis {axis.name}; write {axis.name}, {axis.name}-1, * or a value"
    )


def ordered(fields: Mapping[str, Field], stages: Mapping[str, Stage]) -> dict[str, Stage]:
    """The stages, each after those that it needs, else as in the file. Raises PipelineError for a circle."""
    found: dict[str, Stage] = {}
    left = dict(stages)
    while left:
        ready = next((s for s in left.values() if all(need.stage in found for need in s.needs)), None)
        if ready is None:
            circle = _circle(left)
            raise fields[circle[0]].error(f"needs itself in a circle: {' -> '.join([*circle, circle[0]])}")
        found[ready.name] = left.pop(ready.name)
    return found


def _circle(left: Mapping[str, Stage]) -> list[str]:
    """Stages of which each needs the next, the last the first. Each stage left has a need that is left."""
    path = [next(iter(left))]
    while True:
        following = next(need.stage for need in left[path[-1]].needs if need.stage in left)
        if following in path:
            return path[path.index(following) :]
        path.append(following)


def check_size(pipeline: Pipeline, stage: Stage, size: int, field: Field) -> None:
    """Raise where the runs of a stage take together more than can be planned."""
    for need in stage.needs:
        sizes = [len(axis.values) for axis in pipeline.axes_of(pipeline.stages[need.stage])]
        each = math.prod(n for n, pick in zip(sizes, need.picks, strict=True) if pick.everywhere)
        if size * each > MOST_LINKS:
            what = f"{size:,} runs that take {each:,} each; at most {MOST_LINKS:,} together"
            raise field.value["needs"].value[need.name].error(what)
