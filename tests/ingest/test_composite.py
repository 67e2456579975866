"""The median of what was seen clear, against slow twins."""

from __future__ import annotations

import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from geolab.errors import BadInput
from geolab.ingest import composite

values = st.one_of(st.just(np.nan), st.floats(-1, 2, width=32))


def slow_median(stack: np.ndarray) -> np.ndarray:
    found = np.full(stack.shape[1:], np.nan, np.float32)
    for place in np.ndindex(found.shape):
        seen = [float(v) for v in stack[(slice(None), *place)] if not np.isnan(v)]
        if seen:
            found[place] = np.float32(statistics.median(seen))
    return found


def slow_compose(
    scenes: np.ndarray, clear: np.ndarray, first: np.ndarray, min_looks: int
) -> tuple[np.ndarray, np.ndarray]:
    _, bands, height, width = scenes.shape
    pixels = np.full((bands, height, width), np.nan, np.float32)
    looks = np.zeros((height, width), np.uint16)
    for y, x in np.ndindex(height, width):
        seen = [
            scene[:, y, x]
            for scene, shows, one in zip(scenes, clear, first, strict=True)
            if shows[y, x] and one[y, x] and not np.isnan(scene[:, y, x]).any()
        ]
        looks[y, x] = len(seen)
        if len(seen) >= max(1, min_looks):
            for band in range(bands):
                pixels[band, y, x] = statistics.median(float(one[band]) for one in seen)
    return pixels, looks


def slow_first(classes: np.ndarray, days: list) -> np.ndarray:
    first = np.zeros(classes.shape, bool)
    for y, x in np.ndindex(classes.shape[1:]):
        known = set()
        for time, day in enumerate(days):
            if classes[time, y, x] and day not in known:
                known.add(day)
                first[time, y, x] = True
    return first


@given(
    hnp.arrays(
        np.float32, st.tuples(st.integers(1, 9), st.integers(1, 3), st.integers(1, 4)), elements=values
    )
)
@settings(max_examples=150, deadline=None)
def test_the_median_is_that_of_its_slow_twin(stack: np.ndarray):
    assert np.array_equal(composite.median(stack), slow_median(stack), equal_nan=True)


@given(
    scenes=hnp.arrays(np.float32, (7, 2, 3, 4), elements=values),
    classes=hnp.arrays(np.uint8, (7, 3, 4), elements=st.sampled_from([0, 0, 3, 4, 5, 9])),
    days=st.lists(st.integers(1, 4), min_size=7, max_size=7),
    min_looks=st.integers(0, 5),
)
@settings(max_examples=80, deadline=None)
def test_the_composite_is_that_of_its_slow_twin(scenes, classes, days, min_looks):
    clear, first = composite.clear(classes), composite.one_look_a_day(classes, days)
    assert np.array_equal(first, slow_first(classes, days))
    made = composite.compose(scenes, clear & first, min_looks=min_looks)
    pixels, looks = slow_compose(scenes, clear, first, min_looks)
    assert np.array_equal(made.looks, looks)
    assert np.allclose(made.pixels, pixels, rtol=1e-6, atol=1e-30, equal_nan=True)


def test_a_pixel_seen_too_seldom_is_nodata_and_its_looks_are_told():
    scenes = np.ones((3, 2, 1, 2), np.float32)
    clear = np.array([[[True, True]], [[True, False]], [[True, False]]])
    made = composite.compose(scenes, clear, min_looks=3)
    assert made.looks.tolist() == [[3, 1]]
    assert np.isnan(made.pixels[:, 0, 1]).all()
    assert (made.pixels[:, 0, 0] == 1).all()


def test_neighbouring_granules_of_one_day_are_one_look_and_the_first_says_whether_it_is_clear():
    classes = np.array([[0, 9, 4], [4, 4, 4], [5, 5, 5]], np.uint8)[:, None]
    first = composite.one_look_a_day(classes, ["a", "a", "b"])
    seen = composite.clear(classes) & first
    assert seen[:, 0].tolist() == [[False, False, True], [True, False, False], [True, True, True]]


def test_clear_is_what_shows_the_ground():
    classes = np.arange(14, dtype=np.uint8)[None]
    assert np.flatnonzero(composite.clear(classes)[0]).tolist() == [2, 4, 5, 6, 7, 11]
    assert np.flatnonzero(composite.clear(classes, keep=[4, 10])[0]).tolist() == [4, 10]
    with pytest.raises(BadInput, match="class 12"):
        composite.clear(classes, keep=[12])


@given(hnp.arrays(np.uint8, (2, 7, 9), elements=st.sampled_from([0, 3, 4, 5, 9])), st.integers(0, 4))
@settings(max_examples=60, deadline=None)
def test_the_buffer_is_a_disc_around_cloud_and_shadow(classes: np.ndarray, buffer_px: int):
    found = composite.clear(classes, buffer_px=buffer_px)
    for t, y, x in np.ndindex(classes.shape):
        near = [
            (y - v) ** 2 + (x - u) ** 2 <= buffer_px**2
            for v, u in np.ndindex(7, 9)
            if classes[t, v, u] in composite.CLOUDED
        ]
        assert found[t, y, x] == (classes[t, y, x] in composite.CLEAR and not any(near))


def test_unlike_shapes_are_refused():
    with pytest.raises(BadInput, match="scenes"):
        composite.compose(np.zeros((2, 1, 3, 4), np.float32), np.ones((2, 4, 3), bool))
