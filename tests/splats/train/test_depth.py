"""Depth measured in photos: right on a plane, nowhere where photos disagree, the same as slow twins."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from geolab.splats import images
from geolab.splats.train import TrainConfig, begin, depth, sweep, train
from geolab.splats.train import start as starts
from geolab.splats.views import Points, Scene

WriteScene = Callable[..., Scene]


def shots_of(scene: Scene) -> list[depth.Shot]:
    """The views of the plane, painted anew with something as fine as a few pixels."""
    made = []
    for one in (images.load(v) for v in scene.views):
        shot = depth.Shot(one.rgb, one.camera, one.mask)
        height, width = one.rgb.shape[:2]
        v, u = np.mgrid[0:height, 0:width] + 0.5
        x, y, _ = starts.lifted(one.camera, u.ravel(), v.ravel(), exact(shot).ravel()).T.reshape(
            3, height, width
        )
        grey = 0.5 + 0.2 * np.sin(7 * x + 2 * y) * np.cos(6 * y - 3 * x) + 0.2 * np.sin(3.1 * x * y + 4 * x)
        made.append(
            dataclasses.replace(shot, rgb=np.round(255 * grey).astype(np.uint8)[..., None].repeat(3, 2))
        )
    return made


def exact(shot: depth.Shot) -> np.ndarray:
    """The depth [H, W] of the plane z = 0."""
    height, width = shot.rgb.shape[:2]
    v, u = np.mgrid[0:height, 0:width] + 0.5
    rays = np.stack([u, v, np.ones_like(u)], -1) @ np.linalg.inv(shot.camera.K).T
    return -shot.camera.position[2] / (rays @ shot.camera.world_to_camera[:3, :3])[..., 2]


def test_the_depth_of_a_plane_is_found_and_where_it_is_not_nothing_is_claimed(
    write_scene: WriteScene,
) -> None:
    scene = write_scene()
    shots = shots_of(scene)
    made = depth.depth_maps(shots, scene.points)
    assert [d.shape for d in made] == [s.rgb.shape[:2] for s in shots]
    errors = np.concatenate([(d / exact(s) - 1)[np.isfinite(d)] for d, s in zip(made, shots, strict=True)])
    assert len(errors) > 0.7 * sum(d.size for d in made)
    assert np.median(np.abs(errors)) < 0.005
    assert np.quantile(np.abs(errors), 0.95) < 0.02


def test_depth_is_the_same_for_any_number_of_threads(write_scene: WriteScene) -> None:
    scene = write_scene()
    one, two = (depth.depth_maps(shots_of(scene), scene.points, threads=n) for n in (1, 3))
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(one, two, strict=True))


def test_a_photo_of_something_else_gets_no_depth(write_scene: WriteScene) -> None:
    scene = write_scene()
    shots = shots_of(scene)
    good = np.isfinite(depth.depth_maps(shots, scene.points)[4]).mean()
    noise = np.random.default_rng(0).integers(0, 256, shots[4].rgb.shape).astype(np.uint8)
    shots[4] = dataclasses.replace(shots[4], rgb=noise)
    assert np.isfinite(depth.depth_maps(shots, scene.points)[4]).mean() < 0.25 * good


def test_masked_pixels_get_no_depth(write_scene: WriteScene) -> None:
    mask = np.ones((48, 64), bool)
    mask[10:30, 20:50] = False
    scene = write_scene(masks={0: mask})
    shots = shots_of(scene)
    assert shots[0].keep is not None
    made = depth.depth_maps(shots, scene.points)[0]
    assert not np.isfinite(made[~mask]).any()
    assert np.isfinite(made[mask]).any()


def test_a_lone_photo_gets_no_depth(write_scene: WriteScene) -> None:
    scene = write_scene()
    shots = shots_of(scene)
    assert not np.isfinite(depth.depth_maps(shots[:1], scene.points)[0]).any()


def test_the_range_is_that_of_the_points_in_view_and_else_a_guess(write_scene: WriteScene) -> None:
    scene = write_scene()
    cameras = [v.camera for v in scene.views]
    for (near, far), shot in zip(depth.depth_ranges(cameras, scene.points), shots_of(scene), strict=True):
        assert near < exact(shot).min()
        assert far > np.quantile(exact(shot), 0.9)
    behind = Points(np.array([[0, 0, 99.0]]), np.zeros((1, 3), np.uint8))
    for points in (None, behind):
        guessed = depth.depth_ranges(cameras, points)
        assert all(0 < near < 4.0 < 1.5 * far for near, far in guessed)


def test_neighbours_see_the_same_at_an_angle(write_scene: WriteScene) -> None:
    cameras = [v.camera for v in write_scene().views]
    away = dataclasses.replace(
        cameras[0], world_to_camera=np.diag([1.0, -1, -1, 1]) @ cameras[0].world_to_camera
    )
    twin = dataclasses.replace(cameras[0])
    many = [*cameras, away, twin]
    beside = depth.neighbours(many, depth.depth_ranges(many, None))
    assert all(len(b) <= depth.NEIGHBOURS and k not in b for k, b in enumerate(beside))
    assert 9 not in beside[0], "it looks away"
    assert 10 not in beside[0], "from the same place nothing tells depth"
    assert beside[9] == []


def slow_cost(
    grey: np.ndarray, other: np.ndarray, maps: tuple[np.ndarray, np.ndarray], inverse: float
) -> np.ndarray:
    """1 - correlation of one photo, NaN where it does not show the pixel; by loops in float64."""
    (height, width), (A, b) = grey.shape, maps
    warped, shown = np.zeros(grey.shape), np.zeros(grey.shape, bool)
    for y in range(height):
        for x in range(width):
            p = A @ [x + 0.5, y + 0.5, 1] + inverse * b
            u, v = p[0] / p[2] - 0.5, p[1] / p[2] - 0.5
            if p[2] > 0 and 0 <= u < width - 1 and 0 <= v < height - 1:
                i, j = int(v), int(u)
                s, t = u - j, v - i
                warped[y, x] = (1 - t) * ((1 - s) * other[i, j] + s * other[i, j + 1]) + t * (
                    (1 - s) * other[i + 1, j] + s * other[i + 1, j + 1]
                )
                shown[y, x] = True
    out = np.full(grey.shape, np.nan)
    r = sweep.RADIUS_PX
    for y in range(r, height - r):
        for x in range(r, width - r):
            one, two = (
                grey[y - r : y + r + 1, x - r : x + r + 1],
                warped[y - r : y + r + 1, x - r : x + r + 1],
            )
            both = ((one - one.mean()) * (two - two.mean())).mean()
            quality = both / np.sqrt((one.var() + sweep.NOISE) * (two.var() + sweep.NOISE))
            out[y, x] = max(0.0, 1 - quality) if shown[y, x] else np.nan
    return out


def test_costs_equal_a_slow_twin() -> None:
    rng = np.random.default_rng(1)
    grey, *others = rng.random((4, 14, 19)).astype(np.float32)
    maps = []
    for _ in others:
        A = np.eye(3) + 0.02 * rng.standard_normal((3, 3)) * [[1, 1, 9], [1, 1, 9], [0.02, 0.02, 1]]
        maps.append((A, rng.standard_normal(3) * [3, 3, 0.1]))
    planes = np.array([0.2, 0.9, 1.4], np.float32)
    fast = sweep.costs(grey, others, [(a.astype(np.float32), b.astype(np.float32)) for a, b in maps], planes)
    inner = slice(sweep.RADIUS_PX, -sweep.RADIUS_PX)
    for d, inverse in enumerate(planes):
        each = np.stack([slow_cost(grey, o, m, float(inverse)) for o, m in zip(others, maps, strict=True)])
        wanted = np.full(grey.shape, sweep.BLANK)
        for y, x in np.argwhere(np.isfinite(each).any(axis=0)):
            known = np.sort(each[:, y, x][np.isfinite(each[:, y, x])])
            wanted[y, x] = known[: (len(known) + 1) // 2].mean()
        assert np.abs(fast[inner, inner, d] - wanted[inner, inner]).max() < 2e-3
        assert (wanted[inner, inner] < 0.9 * sweep.BLANK).any()


def slow_path(costs: np.ndarray, greys: np.ndarray) -> np.ndarray:
    """The costs [L, D] along one path of pixels with these grey values [L], as its definition says."""
    out = [costs[0]]
    for here, step in zip(costs[1:], np.abs(np.diff(greys)), strict=True):
        last = out[-1]
        large = sweep.SMALL_STEP + (sweep.LARGE_STEP - sweep.SMALL_STEP) / (1 + step / sweep.EDGE)
        d = np.arange(len(here))
        apart = np.abs(d[:, None] - d[None])
        change = np.where(apart == 0, 0.0, np.where(apart == 1, sweep.SMALL_STEP, large))
        out.append(here + (last[None] + np.minimum(change, large)).min(axis=1) - last.min())
    return np.array(out)


def test_smoothing_equals_a_slow_twin() -> None:
    rng = np.random.default_rng(2)
    volume, grey = rng.random((5, 7, 6)).astype(np.float32), rng.random((5, 7)).astype(np.float32)
    wanted = np.zeros(volume.shape)
    for x in range(7):
        wanted[:, x] += slow_path(volume[:, x], grey[:, x])
        wanted[::-1, x] += slow_path(volume[::-1, x], grey[::-1, x])
    for y in range(5):
        wanted[y] += slow_path(volume[y], grey[y])
        wanted[y, ::-1] += slow_path(volume[y, ::-1], grey[y, ::-1])
    assert np.abs(sweep.smoothed(volume, grey) - wanted).max() < 1e-5


def test_the_best_plane_lies_between_planes_where_a_parabola_says() -> None:
    d = np.arange(8.0)
    volume = np.stack([(d - 3.3) ** 2, (d + 1) ** 2, (d - 9) ** 2]).reshape(1, 3, 8).astype(np.float32)
    plane, cost = sweep.best(volume, volume + 1)
    assert plane[0].tolist() == pytest.approx([3.3, 0, 7], abs=1e-5)
    assert cost[0].tolist() == pytest.approx([1.09, 2, 5], abs=1e-5)


def test_a_start_from_depth_is_better_than_one_from_few_points(write_scene: WriteScene) -> None:
    scene = write_scene(points=40)
    config = TrainConfig(steps=30, cap=2000, image_px=64, coarse_levels=0, validations=1, start_points=1500)
    scores = {}
    for kind in ("depth", "points"):
        model = list(train(scene, config=dataclasses.replace(config, start=kind)))[-1].model
        assert model is not None
        scores[kind] = model.metrics["psnr"]
        assert model.facts["start"]["from"] == kind
    assert scores["depth"] > scores["points"] + 2


def test_photos_without_texture_begin_from_points_or_at_random_and_say_so(write_scene: WriteScene) -> None:
    scene = write_scene(gains=dict.fromkeys(range(9), 0.0))
    config = TrainConfig(steps=1, cap=500, image_px=64)
    begun = begin.start(scene, config, None)
    assert begun.facts["from"] == "points"
    assert "of the photos only: the model began from points" in begun.warnings[0]
    begun = begin.start(dataclasses.replace(scene, points=None), config, None)
    assert begun.facts["from"] == "random"
    assert "the model began from random places" in begun.warnings[0]
