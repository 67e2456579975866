"""Facts of all nodes at once: one array per stage, with one dimension per axis of that stage."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geolab.pipeline.model import Index, Need, Pick, Pipeline, Stage

Mask = NDArray[np.bool_]


def shape(pipeline: Pipeline, stage: Stage) -> tuple[int, ...]:
    """How many values each axis of the stage has."""
    return tuple(len(axis.values) for axis in pipeline.axes_of(stage))


def present(pipeline: Pipeline) -> dict[str, Mask]:
    """For each stage: where a node is. There is none where a need has no neighbour to take from."""
    found: dict[str, Mask] = {}
    for stage in pipeline.stages.values():
        there = np.ones(shape(pipeline, stage), bool)
        for need in stage.needs:
            there &= aligned(pipeline, stage, need, found[need.stage], np.any)
        found[stage.name] = there
    return found


def aligned(pipeline: Pipeline, stage: Stage, need: Need, facts: Mask, fold: Any) -> Mask:
    """What a stage's nodes see of a fact of the nodes they need: an array of the stage's own shape.

    facts: of the needed stage. fold: np.any or np.all, over the axes that are taken whole. False
    where the neighbour would lie outside.
    """
    seen: list[str] = []
    for pick in need.picks:  # each step takes the first dimension that is left, or moves it to the end
        if pick.position is not None:
            facts = facts[pick.position]
        elif pick.everywhere:
            facts = fold(facts, axis=0)
        else:
            facts = np.moveaxis(_shifted(facts, pick.offset), 0, -1)
            seen.append(pick.axis)
    order = [seen.index(name) for name in stage.each if name in seen]
    facts = np.transpose(facts, order)
    absent = tuple(place for place, name in enumerate(stage.each) if name not in seen)
    return np.broadcast_to(np.expand_dims(facts, absent), shape(pipeline, stage))


def _shifted(facts: Mask, offset: int) -> Mask:
    """result[i] = facts[i + offset]; False outside."""
    moved = np.zeros_like(facts)
    size = len(facts)
    if abs(offset) < size:
        moved[max(0, -offset) : size - max(0, offset)] = facts[max(0, offset) : size + min(0, offset)]
    return moved


def needed(pipeline: Pipeline, stage: Stage, index: Index, need: Need) -> Iterator[Index]:
    """The nodes of the needed stage that one node takes from, in the matrix' order."""
    own = dict(zip(stage.each, index, strict=True))
    there, sizes = pipeline.present[need.stage], shape(pipeline, pipeline.stages[need.stage])
    places = [_places(pick, own, size) for pick, size in zip(need.picks, sizes, strict=True)]
    return (found for found in product(*places) if there[found])


def _places(pick: Pick, own: dict[str, int], size: int) -> range:
    if pick.everywhere:
        return range(size)
    place = own[pick.axis] + pick.offset if pick.position is None else pick.position
    return range(max(place, 0), min(place + 1, size))
