"""The first Gaussians: where they lie, how large they are, and what is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch

from geolab.errors import BadInput
from geolab.splats.gaussians import SH_C0
from geolab.splats.train import start
from geolab.splats.views import Camera, Points, Scene

GREY = np.full((1000, 3), 128, np.uint8)


def test_a_gaussian_is_as_large_as_the_distance_to_its_three_nearest() -> None:
    xyz = np.array([[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3], [9, 9, 9.0]])
    made = start.from_points(Points(xyz, GREY[:5]), opacity=0.3, scale=0.5)
    assert made.scales[0].tolist() == pytest.approx([0.5 * np.sqrt((1 + 4 + 9) / 3)] * 3)
    assert made.opacities.tolist() == pytest.approx([0.3] * 5)
    assert (SH_C0 * made.sh[:, 0] + 0.5).flatten().tolist() == pytest.approx([128 / 255] * 15)
    assert made.sh_degree == 0


def test_a_point_that_stands_alone_becomes_no_cloud_and_twins_keep_a_size() -> None:
    xyz = np.random.default_rng(0).random((100, 3))
    xyz[0], xyz[1:5] = 1e6, 0.5
    size = start.from_points(Points(xyz, GREY[:100])).scales[:, 0].numpy()
    assert size.max() <= 1.05 * start.LARGEST * np.median(size)
    assert size.min() > 0


def test_a_cap_takes_some_of_the_points_and_the_same_for_one_seed() -> None:
    points = Points(np.random.default_rng(0).random((1000, 3)), GREY)
    one, two, other = (start.from_points(points, cap=300, seed=seed).means for seed in (1, 1, 2))
    assert len(one) == 300
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_points_that_are_no_numbers_are_left_out_and_too_few_refused() -> None:
    xyz = np.random.default_rng(0).random((10, 3))
    xyz[3, 1] = np.nan
    assert len(start.from_points(Points(xyz, GREY[:10]))) == 9
    with pytest.raises(BadInput, match="points: found 3, expected more than 3"):
        start.from_points(Points(xyz[4:7], GREY[:3]))


def test_gaussians_from_depth_lie_where_the_depth_says(write_scene: Callable[..., Scene]) -> None:
    cameras = [v.camera for v in write_scene().views[:3]]
    depths, photos = [], []
    for camera in cameras:
        v, u = np.mgrid[0 : camera.height, 0 : camera.width] + 0.5
        rays = (
            np.stack([u, v, np.ones_like(u)], -1) @ np.linalg.inv(camera.K).T @ camera.world_to_camera[:3, :3]
        )
        depths.append(-camera.position[2] / rays[..., 2])
        photos.append(np.full((camera.height, camera.width, 3), (255, 0, 0), np.uint8))
    depths[0][:, :40] = np.nan
    made = start.from_depth(photos, cameras, depths, count=300)
    assert 290 <= len(made) <= 300
    assert made.means[:, 2].abs().max() < 1e-4
    assert (start.seen_by(cameras, made.means.numpy() * 0.999) >= 1).all()
    assert (SH_C0 * made.sh[:, 0] + 0.5).mean(0).tolist() == pytest.approx([1, 0, 0], abs=1e-6)
    nothing = [np.full_like(d, np.nan) for d in depths]
    with pytest.raises(BadInput, match="points: found 0"):
        start.from_depth(photos, cameras, nothing, count=300)


def test_random_gaussians_lie_where_two_cameras_look(write_scene: Callable[..., Scene]) -> None:
    cameras = [v.camera for v in write_scene().views]
    made = start.at_random(cameras, count=500)
    places = made.means.numpy().astype(np.float64)
    assert len(made) == 500
    assert (start.seen_by(cameras, places) >= 2).all()
    assert places[:, 2].min() < 0 < places[:, 2].max(), "around the plane they look at"
    assert torch.equal(made.means, start.at_random(cameras, count=500).means)


def test_cameras_that_look_the_same_way_get_a_depth_from_their_overlap() -> None:
    down = np.diag([1.0, -1, -1, 1])
    K = np.array([[100.0, 0, 50], [0, 100, 40], [0, 0, 1]])
    cameras = []
    for x in range(5):
        placed = down.copy()
        placed[:3, 3] = -down[:3, :3] @ [10.0 * x, 0, 100]
        cameras.append(Camera(100, 80, K, placed))
    assert start.looked_at(cameras) == pytest.approx([10 / 0.3] * 5)
    assert len(start.at_random(cameras, count=200)) == 200


def test_cameras_that_look_at_one_place_get_their_distance_to_it() -> None:
    K = np.array([[100.0, 0, 50], [0, 100, 40], [0, 0, 1]])
    cameras = []
    for turn in np.radians([0, 100, 220]):
        ahead = np.array([-np.cos(turn), -np.sin(turn), 0.0])
        axes = np.stack([np.cross(ahead, [0, 0, 1.0]), [0, 0, -1.0], ahead])
        placed = np.eye(4)
        placed[:3, :3], placed[:3, 3] = axes, -axes @ (np.array([5.0, 6, 7]) - 20 * ahead)
        cameras.append(Camera(100, 80, K, placed))
    assert start.looked_at(cameras) == pytest.approx([20.0] * 3)


def test_cameras_that_share_no_view_are_refused(write_scene: Callable[..., Scene]) -> None:
    one, other = (v.camera for v in write_scene().views[:2])
    turned = np.diag([1.0, -1, -1, 1]) @ other.world_to_camera
    back = dataclasses.replace(other, world_to_camera=turned)
    with pytest.raises(BadInput, match="no place that two of them see"):
        start.at_random([one, back], count=100)
    with pytest.raises(BadInput, match="all at one place"):
        start.at_random([one, one], count=100)
