"""Clusters: nobody is lost, nobody is counted twice, dots keep apart, a map that moves keeps its dots."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geolab.maps.clusters import APART_PX, CELL_PX, View, clusters, degrees, pixels


def view_of(lon: float, lat: float, zoom: float, size: tuple[int, int] = (900, 600)) -> View:
    middle = pixels(np.array([[lon, lat]]), zoom)[0]
    half = np.array(size) / 2
    (west, north), (east, south) = degrees(np.array([middle - half, middle + half]), zoom)
    return View(west, south, east, north, zoom, *size)


@pytest.fixture(scope="module")
def flight() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(10_000, 2)) * [0.03, 0.02] + [11.5, 48.3]


@pytest.mark.parametrize("zoom", [3, 11, 13, 16, 19])
def test_each_point_in_view_belongs_to_exactly_one_dot(flight, zoom):
    view = view_of(11.5, 48.3, zoom)
    found = clusters(flight, view)
    w, s, e, n = view.box
    inside = {
        int(row) for row in np.flatnonzero((flight >= [w, s]).all(axis=1) & (flight <= [e, n]).all(axis=1))
    }
    gathered = [int(row) for dot in range(len(found.counts)) for row in found.of(dot)]
    assert len(gathered) == len(set(gathered)) == found.counts.sum()
    assert inside <= set(gathered)
    assert all(first in found.of(dot) for dot, first in enumerate(found.firsts))


@pytest.mark.parametrize("zoom", [11, 13, 15, 18])
def test_a_view_has_few_dots_and_none_covers_another(flight, zoom):
    view = view_of(11.5, 48.3, zoom)
    found = clusters(flight, view)
    xy = pixels(found.places, zoom)
    assert len(found.counts) <= (900 * 1.8 / CELL_PX + 2) * (600 * 1.8 / CELL_PX + 2)
    distance = np.hypot(*(xy[:, None] - xy[None]).transpose(2, 0, 1)) + np.eye(len(xy)) * 1e9
    assert np.median(distance.min(axis=1)) > APART_PX
    assert distance.min() > APART_PX / 4


def slow(points: np.ndarray, view: View) -> dict[tuple[int, int], set[int]]:
    """The points of each cell of the grid, one by one."""
    found: dict[tuple[int, int], set[int]] = {}
    side = 256 * 2**view.zoom
    for row, (lon, lat) in enumerate(points):
        x = (lon + 180) / 360 * side
        y = (1 - math.log(math.tan(math.radians(lat)) + 1 / math.cos(math.radians(lat))) / math.pi) / 2 * side
        found.setdefault((int(x // CELL_PX), int(y // CELL_PX)), set()).add(row)
    return found


@given(st.integers(0, 10_000), st.integers(2, 18), st.integers(1, 200))
@settings(max_examples=30, deadline=None)
def test_dots_are_whole_cells_of_a_grid_of_the_world(seed, zoom, count):
    points = np.random.default_rng(seed).uniform([11.2, 48.1], [11.8, 48.5], (count, 2))
    view = View(11, 48, 12, 48.6, zoom)
    found = clusters(points, view)
    cells = slow(points, view)
    assert found.counts.sum() == count
    for members in cells.values():
        of = {next(d for d in range(len(found.counts)) if row in found.of(d)) for row in members}
        assert len(of) == 1, "a cell was torn apart"


def test_the_dots_in_the_middle_stay_when_the_map_is_dragged(flight):
    first = clusters(flight, view_of(11.5, 48.3, 15))
    second = clusters(flight, view_of(11.504, 48.301, 15))
    middle = np.array([11.502, 48.3005])
    near = [
        {tuple(np.round(place, 9)) for place in c.places if (np.abs(place - middle) < [0.006, 0.003]).all()}
        for c in (first, second)
    ]
    assert len(near[0]) > 10
    assert near[0] == near[1]


def test_points_beyond_the_date_line_are_found_from_both_sides():
    points = np.array([[179.99, 10.0], [-179.99, 10.0]])
    for lon in (180.0, -180.0, 540.0):
        found = clusters(points, View(lon - 1, 9, lon + 1, 11, 9))
        assert found.counts.sum() == 2
        assert np.abs(found.places[:, 0] - lon).max() < 1


def test_no_points_are_no_dots():
    assert len(clusters(np.empty((0, 2)), View(0, 0, 1, 1, 5)).counts) == 0
    assert len(clusters(np.array([[50.0, 50.0]]), View(0, 0, 1, 1, 5)).counts) == 0


def test_a_million_points_at_one_place_are_one_dot():
    points = np.full((1_000_000, 2), [7.0, 47.0])
    found = clusters(points, view_of(7, 47, 22))
    assert found.counts.tolist() == [1_000_000]
    np.testing.assert_allclose(found.places, [[7, 47]], atol=1e-7)
