"""Nodes against their slow twin, on random pipelines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from geolab.pipeline import matrix
from geolab.pipeline.model import Axis, Need, Pick, Pipeline, Stage
from geolab.pipeline.nodes import find, indices, nodes


@st.composite
def pipelines(draw: st.DrawFn) -> Pipeline:
    """Up to three axes of different lengths, up to four stages that need earlier ones in every way."""
    names = ["x", "y", "z"][: draw(st.integers(1, 3))]
    axes = {name: Axis(name, tuple(range(draw(st.integers(1, 4))))) for name in names}
    stages: dict[str, Stage] = {}
    for number in range(draw(st.integers(1, 4))):
        each = tuple(draw(st.permutations(names))[: draw(st.integers(0, len(names)))])
        needs = tuple(
            Need(f"n{i}", target, tuple(draw(_pick(axes[axis], each)) for axis in stages[target].each))
            for i, target in enumerate(draw(st.lists(st.sampled_from(sorted(stages) or [""]), max_size=2)))
            if target
        )
        stages[f"s{number}"] = Stage(f"s{number}", Path("n.ipynb"), each, needs)
    return Pipeline("p", Path("p.yaml"), {}, axes, stages)


def _pick(axis: Axis, own: tuple[str, ...]) -> st.SearchStrategy[Pick]:
    ways = [st.just(Pick()), st.integers(0, len(axis.values) - 1).map(lambda at: Pick(position=at))]
    if axis.name in own:
        ways.append(st.integers(-2, 2).map(lambda by: Pick(axis.name, by)))
    return st.one_of(ways)


def slow_places(pipeline: Pipeline, stage: Stage) -> list[tuple[int, ...]]:
    """Every place of a stage at which all needs are met, one by one."""
    sizes = [len(axis.values) for axis in pipeline.axes_of(stage)]
    return [at for at in np.ndindex(*sizes) if all(slow_needed(pipeline, stage, at, n) for n in stage.needs)]


def slow_needed(pipeline: Pipeline, stage: Stage, at: tuple[int, ...], need: Need) -> list[tuple[int, ...]]:
    own = dict(zip(stage.each, at, strict=True))

    def fits(place: int, pick: Pick) -> bool:
        wanted = own[pick.axis] + pick.offset if pick.axis else pick.position
        return pick.everywhere or place == wanted

    target = pipeline.stages[need.stage]
    return [
        place
        for place in slow_places(pipeline, target)
        if all(fits(one, pick) for one, pick in zip(place, need.picks, strict=True))
    ]


@settings(max_examples=150, deadline=None)
@given(pipelines())
def test_nodes_and_their_needs_are_those_of_the_slow_twin(pipeline):
    found = list(nodes(pipeline))
    assert [(node.stage.name, node.index) for node in found] == [
        (stage.name, at) for stage in pipeline.stages.values() for at in slow_places(pipeline, stage)
    ]
    assert pipeline.count == len(found) == len({node.slot for node in found})
    for node in found:
        assert find(pipeline, node.slot) == node
        for need in node.stage.needs:
            expected = slow_needed(pipeline, node.stage, node.index, need)
            assert [one.index for one in node.needs()[need.name]] == expected
            assert expected


@settings(max_examples=150, deadline=None)
@given(pipelines(), st.randoms(use_true_random=False))
def test_facts_of_needs_are_seen_where_the_slow_twin_sees_them(pipeline, random):
    facts = {
        name: np.array([random.random() < 0.7 for _ in range(there.size)], bool).reshape(there.shape) & there
        for name, there in pipeline.present.items()
    }
    for stage in pipeline.stages.values():
        for need in stage.needs:
            theirs, there = facts[need.stage], pipeline.present[need.stage]
            every = matrix.aligned(pipeline, stage, need, theirs | ~there, np.all)
            some = matrix.aligned(pipeline, stage, need, theirs, np.any)
            for at in indices(pipeline.present[stage.name]):
                seen = [bool(theirs[place]) for place in slow_needed(pipeline, stage, at, need)]
                assert (bool(every[at]), bool(some[at])) == (all(seen), any(seen))


def test_indices_are_those_of_numpy_over_the_edge_of_a_chunk():
    mask = np.random.default_rng(1).random((300, 7, 64)) < 0.3
    assert list(indices(mask)) == [tuple(at) for at in np.argwhere(mask).tolist()]
    assert list(indices(np.ones((), bool))) == [()]
    assert list(indices(np.zeros((), bool))) == []
