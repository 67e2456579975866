"""The nodes of a pipeline: each stage at each place of its axes, generated in topological order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from geolab.pipeline import matrix
from geolab.pipeline.model import Index, Pipeline, Stage, Value


@dataclass(frozen=True)
class Node:
    """One piece of work: a stage at one place of the matrix."""

    stage: Stage
    index: Index
    pipeline: Pipeline = field(repr=False, compare=False)

    @property
    def at(self) -> dict[str, Value]:
        """The value of each axis."""
        axes = self.pipeline.axes_of(self.stage)
        return {axis.name: axis.values[place] for axis, place in zip(axes, self.index, strict=True)}

    @property
    def cell(self) -> str:
        """The place in words, such as c01/2021; empty for a stage without axes."""
        return cell(self.pipeline, self.stage, self.index)

    @property
    def slot(self) -> str:
        """What names the node in the ledger: acquire/c01/2021."""
        place = self.cell
        return f"{self.stage.name}/{place}" if place else self.stage.name

    def needs(self) -> dict[str, list[Node]]:
        """The nodes it takes from, by the name of the need."""
        return {
            need.name: [
                Node(self.pipeline.stages[need.stage], index, self.pipeline)
                for index in matrix.needed(self.pipeline, self.stage, self.index, need)
            ]
            for need in self.stage.needs
        }


def cell(pipeline: Pipeline, stage: Stage, index: Index) -> str:
    """The labels of a place, separated by '/'."""
    return "/".join(axis.labels[place] for axis, place in zip(pipeline.axes_of(stage), index, strict=True))


def nodes(pipeline: Pipeline) -> Iterator[Node]:
    """Every node, after those that it needs."""
    for stage in pipeline.stages.values():
        for index in indices(pipeline.present[stage.name]):
            yield Node(stage, index, pipeline)


def indices(mask: Any) -> Iterator[Index]:
    """Where a mask is true, in its order. The positions of one chunk at a time are held."""
    flat, chunk = mask.reshape(-1), 65_536
    for start in range(0, flat.size, chunk):
        found = np.flatnonzero(flat[start : start + chunk]) + start
        yield from (
            zip(*(axis.tolist() for axis in np.unravel_index(found, mask.shape)), strict=True)
            if (mask.ndim)
            else ((),) * len(found)
        )


def locate(pipeline: Pipeline, slot: str) -> tuple[Stage, Index] | None:
    """The stage and place that a slot names; None if the pipeline has (now) no such node."""
    name, *labels = slot.split("/")
    stage = pipeline.stages.get(name)
    if stage is None or len(labels) != len(stage.each):
        return None
    found = [axis.positions.get(one) for axis, one in zip(pipeline.axes_of(stage), labels, strict=True)]
    index = tuple(place for place in found if place is not None)
    there = len(index) == len(labels) and bool(pipeline.present[name][index])
    return (stage, index) if there else None


def find(pipeline: Pipeline, slot: str) -> Node | None:
    """The node that a slot names, or None."""
    found = locate(pipeline, slot)
    return Node(*found, pipeline) if found else None
