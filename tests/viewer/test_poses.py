"""Cameras on their way to the page and back, and the orbit that the kernel draws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geolab.errors import BadInput
from geolab.splats.views import Camera, View
from geolab.viewer import poses


def test_a_camera_comes_back_as_it_went(world):
    seen = world.camera((30, -60, 50), (1, 2, 3))
    back = poses.camera_of(poses.camera_json(seen))
    assert (back.width, back.height) == (400, 300)
    np.testing.assert_allclose(back.K, seen.K)
    np.testing.assert_allclose(back.world_to_camera, seen.world_to_camera)


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"width": 4, "height": 3, "K": [1, 2], "world_to_camera": [0] * 16},
        {"width": 4, "height": 3, "K": [1, 1, 2, 2], "world_to_camera": [float("nan")] * 16},
        {"width": "wide", "height": 3, "K": [1, 1, 2, 2], "world_to_camera": [0] * 16},
    ],
)
def test_what_is_no_camera_is_refused(told):
    with pytest.raises(BadInput, match="camera"):
        poses.camera_of(told)


def test_cameras_keep_their_names_and_are_thinned_evenly(world, tmp_path):
    seen = world.camera((0, -60, 50), (0, 0, 0))
    views = [View(f"v{n}.jpg", tmp_path / "v.jpg", seen) for n in range(3)]
    assert [c["name"] for c in poses.cameras_json([*views, seen])] == [
        "v0.jpg",
        "v1.jpg",
        "v2.jpg",
        "Photo 4",
    ]
    assert len(poses.cameras_json([seen] * 4500)) == 1500


@given(st.floats(-math.pi, math.pi), st.floats(-1.5, 1.5), st.floats(0.1, 1e4), st.floats(-1e3, 1e3))
def test_an_orbit_looks_at_its_target_from_its_distance_with_up_up(azimuth, elevation, distance, x):
    target = np.array([x, 2.0, 3.0])
    orbit = {"target": target, "distance": distance, "azimuth": azimuth, "elevation": elevation}
    seen = poses.orbit_camera(orbit, 300, 200)
    places = seen.world_to_camera[:3, :3] @ np.stack([target, target + np.array([0, 0, 1])], 1)
    there, above = (places + seen.world_to_camera[:3, 3:]).T
    np.testing.assert_allclose(there, [0, 0, distance], atol=1e-6 * max(abs(x), distance, 1))
    assert above[1] < there[1]  # rows grow downwards
    np.testing.assert_allclose(np.linalg.det(seen.world_to_camera[:3, :3]), 1)
    height = seen.position[2] - target[2]
    np.testing.assert_allclose(height, distance * math.sin(elevation), atol=1e-6 * max(distance, abs(x)))


def test_azimuth_is_clockwise_from_north():
    orbit = {"target": [0, 0, 0], "distance": 10, "azimuth": math.pi / 2, "elevation": 0.0}
    np.testing.assert_allclose(poses.orbit_camera(orbit, 9, 9).position, [-10, 0, 0], atol=1e-9)


@pytest.mark.parametrize(
    "change", [{"distance": 0}, {"azimuth": float("inf")}, {"target": [1, 2]}, {"elevation": "up"}]
)
def test_what_is_no_orbit_is_refused(change):
    with pytest.raises(BadInput, match="view"):
        poses.orbit_camera({"target": [0, 0, 0], "distance": 1, "azimuth": 0, "elevation": 0} | change, 9, 9)


def test_distortion_is_refused_where_the_view_must_be_exact(world):
    from geolab import viewer

    shown = viewer.show(world.terrain(50))
    seen = world.camera((0, -60, 50), (0, 0, 0))
    bent = Camera(seen.width, seen.height, seen.K, seen.world_to_camera, "RADIAL", (0.1, 0.0))
    with pytest.raises(BadInput, match="distortion"):
        shown.camera = bent
