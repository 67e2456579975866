"""Orbits, splines and camera-path files."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from geolab.errors import BadInput, FileRejected, NotFound
from geolab.splats import pathfile, paths
from geolab.splats.frame import Frame
from geolab.splats.gaussians import Gaussians
from geolab.splats.pathfile import CameraPath, read_path, write_path
from geolab.splats.views import Camera, Points, Scene, View

K = paths.pinhole(640, 360, 48)
CENTRE = np.array([30.0, -12.0, 4.0])


def ring(n: int = 9, radius: float = 40.0, rise: float = 25.0, spread: float = 0.0) -> list[Camera]:
    rng = np.random.default_rng(2)
    turn = 2 * np.pi * np.arange(n) / n + 0.1
    around = np.stack([radius * np.cos(turn), radius * np.sin(turn), np.full(n, rise)], axis=1)
    aims = CENTRE + spread * rng.normal(size=(n, 3))
    return [
        paths.look_at(CENTRE + p, a, K=K, width=640, height=360) for p, a in zip(around, aims, strict=True)
    ]


def block() -> list[Camera]:
    """Cameras that look straight down from 50 m, flown to and fro."""
    axes = {0: np.diag([1.0, -1, -1]), 1: np.diag([-1.0, 1, -1])}
    spots = [(12.0 * x, 9.0 * y, 50.0) for x in range(4) for y in range(5)]
    return [paths.camera_at(axes[k % 2], CENTRE + p, K=K, width=640, height=360) for k, p in enumerate(spots)]


def scene(cameras: list[Camera], *, points: np.ndarray | None = None, frame: Frame | None = None) -> Scene:
    cloud = None if points is None else Points(points, np.zeros((len(points), 3), np.uint8))
    return Scene(tuple(View(f"{k}.jpg", Path("x"), c) for k, c in enumerate(cameras)), cloud, frame)


def turned(cameras: list[Camera], turn: np.ndarray) -> list[Camera]:
    """The cameras in a world that was rotated by turn [3, 3]."""
    back = np.eye(4)
    back[:3, :3] = turn.T
    return [dataclasses.replace(c, world_to_camera=c.world_to_camera @ back) for c in cameras]


def ahead(camera: Camera) -> np.ndarray:
    return camera.world_to_camera[2, :3]


def is_rigid(camera: Camera) -> bool:
    turn = camera.world_to_camera[:3, :3]
    return np.allclose(turn @ turn.T, np.eye(3), atol=1e-9) and np.linalg.det(turn) > 0


# ---------------------------------------------------------------- looking


def test_a_camera_looks_at_its_target_with_the_sky_at_the_top() -> None:
    camera = paths.look_at((10, 0, 5), (0, 0, 0), K=K, width=640, height=360)
    np.testing.assert_allclose(camera.position, [10, 0, 5], atol=1e-12)
    np.testing.assert_allclose(ahead(camera), np.array([-10, 0, -5]) / math.sqrt(125), atol=1e-12)
    assert camera.world_to_camera[1, 2] < 0  # the picture's down has a part of the world's down
    assert abs(camera.world_to_camera[0, 2]) < 1e-12  # level
    assert is_rigid(camera)
    down = paths.look_at((0, 0, 9), (0, 0, 0), K=K, width=640, height=360)
    assert is_rigid(down)
    np.testing.assert_allclose(-down.world_to_camera[1, :3], [0, 1, 0], atol=1e-12)  # north is up


def test_the_place_that_cameras_look_at_is_where_their_axes_meet() -> None:
    np.testing.assert_allclose(paths.looked_at(ring()), CENTRE, atol=1e-9)
    near = paths.looked_at(ring(40, spread=1.0))
    assert np.linalg.norm(near - CENTRE) < 1.0


def test_parallel_axes_meet_on_the_ground_below_them() -> None:
    rng = np.random.default_rng(0)
    ground = rng.uniform([0, -20, 1.9], [70, 30, 2.1], (500, 3))
    found = paths.looked_at(scene(block(), points=ground))
    np.testing.assert_allclose(found, [CENTRE[0] + 18, CENTRE[1] + 18, 2.0], atol=0.1)
    n = len(ground)
    model = Gaussians(
        torch.tensor(ground, dtype=torch.float32), torch.ones(n, 4), torch.zeros(n, 3), torch.full((n,), 4.0),
        torch.zeros(n, 1, 3),
    )  # fmt: skip
    np.testing.assert_allclose(paths.looked_at(block(), gaussians=model), found, atol=0.1)
    with pytest.raises(BadInput, match="give centre= or gaussians="):
        paths.looked_at(block())


def test_up_is_found_from_how_cameras_stand() -> None:
    turn = np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    for cameras in (ring(), block(), [c for c in block() if c.world_to_camera[0, 0] > 0]):
        found = paths.upright(turned(cameras, turn))
        assert found @ turn[:, 2] > 0.99
    assert paths.upright(scene(turned(ring(), turn), frame=Frame(1, 2))).tolist() == [0, 0, 1]


# ---------------------------------------------------------------- orbits


def test_an_orbit_flies_as_far_and_as_high_as_the_photos() -> None:
    found = paths.orbit(ring(), frames=36, width=320, height=180)
    away = np.stack([c.position for c in found]) - CENTRE
    np.testing.assert_allclose(np.linalg.norm(away[:, :2], axis=1), 40, atol=1e-6)
    np.testing.assert_allclose(away[:, 2], 25, atol=1e-6)
    for camera, place in zip(found, away, strict=True):
        np.testing.assert_allclose(ahead(camera), -place / np.linalg.norm(place), atol=1e-9)
        assert (camera.width, camera.height) == (320, 180)
        assert is_rigid(camera)
    steps = np.linalg.norm(np.diff(np.concatenate([away, away[:1]]), axis=0), axis=1)
    np.testing.assert_allclose(steps, steps[0], rtol=1e-9)  # even, also over the seam
    turn = math.atan2(away[1, 1], away[1, 0]) - math.atan2(away[0, 1], away[0, 0])
    assert 0 < turn % (2 * math.pi) < math.pi  # counter-clockwise
    assert abs(2 * math.degrees(math.atan(90 / found[0].K[1, 1])) - 48) < 1e-6


def test_an_orbit_over_a_block_of_photos_looks_from_the_side() -> None:
    ground = np.random.default_rng(0).uniform([0, -20, 2], [70, 30, 2.01], (500, 3))
    found = paths.orbit(scene(block(), points=ground), frames=4, width=64, height=48)
    rise = found[0].position[2] - 2.0
    radius = np.linalg.norm(found[0].position[:2] - CENTRE[:2] - 18)
    assert math.degrees(math.atan2(rise, radius)) == pytest.approx(60, abs=0.5)


def test_an_orbit_can_be_set_by_hand() -> None:
    found = paths.orbit(
        ring(),
        frames=8,
        width=64,
        height=48,
        centre=(1, 2, 3),
        up=(0, 1, 0),
        radius=5,
        rise=2,
        fov_deg=70,
        turns=-0.5,
    )
    away = np.stack([c.position for c in found]) - [1, 2, 3]
    np.testing.assert_allclose(away[:, 1], 2, atol=1e-9)
    np.testing.assert_allclose(np.hypot(away[:, 0], away[:, 2]), 5, atol=1e-9)
    first, last = away[0, [2, 0]], away[-1, [2, 0]]
    assert np.degrees(np.arccos(first @ last / 25)) == pytest.approx(180 * 7 / 8)
    assert (
        np.cross(np.append(away[0, [2, 0]], 0), np.append(away[1, [2, 0]], 0))[2] < 0
    )  # clockwise from above
    assert found[0].K[1, 1] == pytest.approx(24 / math.tan(math.radians(35)))


# ---------------------------------------------------------------- splines


def keys() -> list[Camera]:
    """Seven cameras at uneven distances, of changing focal length."""
    rng = np.random.default_rng(7)
    spots = np.cumsum(rng.uniform([1, -4, -1], [12, 4, 1], (7, 3)), axis=0)
    made = [paths.look_at(p, p + np.array([3, rng.normal(), -1]), K=K, width=640, height=360) for p in spots]
    scaled = [c.K * [[1 + 0.1 * k], [1 + 0.1 * k], [1]] for k, c in enumerate(made)]
    for k, matrix in zip(scaled, made, strict=True):
        k[:2, 2] = matrix.K[:2, 2]
    return [dataclasses.replace(c, K=k) for c, k in zip(made, scaled, strict=True)]


def test_a_spline_passes_through_its_cameras() -> None:
    along = paths.spline(keys(), 2001)
    assert len(along) == 2001
    places = np.stack([c.position for c in along])
    for key in keys():
        near = int(np.argmin(np.linalg.norm(places - key.position, axis=1)))
        assert np.linalg.norm(places[near] - key.position) < 0.05
        np.testing.assert_allclose(
            along[near].world_to_camera[:3, :3], key.world_to_camera[:3, :3], atol=0.03
        )
        np.testing.assert_allclose(along[near].K, key.K, rtol=0.01)
    np.testing.assert_allclose(along[0].world_to_camera, keys()[0].world_to_camera, atol=1e-9)
    np.testing.assert_allclose(along[-1].world_to_camera, keys()[-1].world_to_camera, atol=1e-9)
    assert all(is_rigid(c) for c in along)


def barry_goldman(points: np.ndarray, knots: np.ndarray, t: float) -> np.ndarray:
    """Catmull-Rom between the two middle ones of four points, by its pyramid of linear blends."""
    level = list(points)
    for width in (1, 2, 1):
        if width == 2:
            spans = [(k, k + 2) for k in range(2)]
        else:
            spans = [(k, k + 1) for k in range(3)] if len(level) == 4 else [(1, 2)]
        level = [
            ((knots[b] - t) * level[k] + (t - knots[a]) * level[k + 1]) / (knots[b] - knots[a])
            for k, (a, b) in enumerate(spans)
        ]
    return level[0]


def test_positions_are_those_of_a_centripetal_catmull_rom_spline() -> None:
    places = np.stack([c.position for c in keys()])
    knots = np.concatenate([[0], np.cumsum(np.sqrt(np.linalg.norm(np.diff(places, axis=0), axis=1)))])
    along = paths.spline(keys(), 61)
    compared = 0
    for camera, t in zip(along, np.linspace(0, knots[-1], 61), strict=True):
        k = int(np.searchsorted(knots, t, side="right")) - 1
        if 1 <= k < len(knots) - 2:
            expected = barry_goldman(places[k - 1 : k + 3], knots[k - 1 : k + 3], t)
            np.testing.assert_allclose(camera.position, expected, atol=1e-9)
            compared += 1
    assert compared > 20


@pytest.mark.parametrize("closed", [False, True])
def test_a_spline_has_no_corners(closed: bool) -> None:
    along = paths.spline(keys(), 3000, closed=closed)
    places = np.stack([c.position for c in along] + ([along[0].position] if closed else []))
    steps = np.diff(places, axis=0)
    assert np.linalg.norm(np.diff(steps, axis=0), axis=1).max() < 0.02 * np.linalg.norm(steps, axis=1).max()
    axes = np.stack([c.world_to_camera[:3, :3] for c in along])
    assert np.abs(np.diff(axes, axis=0)).max() < 0.02


def test_a_spline_through_evenly_spaced_cameras_on_a_line_is_the_line() -> None:
    line = [paths.look_at((3.0 * k, 0, 5), (3.0 * k, 9, 0), K=K, width=640, height=360) for k in range(5)]
    places = np.stack([c.position for c in paths.spline(line, 41)])
    np.testing.assert_allclose(
        places, np.stack([np.linspace(0, 12, 41), 0 * places[:, 0], 5 + 0 * places[:, 0]], axis=1), atol=1e-9
    )


def test_few_cameras_and_cameras_in_one_place_make_paths_too() -> None:
    one = paths.spline(keys()[:1], 5)
    assert len(one) == 5
    two = paths.spline(keys()[:2], 3)
    np.testing.assert_allclose(two[1].position, (keys()[0].position + keys()[1].position) / 2, atol=1e-9)
    standing = paths.spline([keys()[0], keys()[0], keys()[1]], 9)
    assert all(is_rigid(c) for c in standing)
    assert np.isfinite(np.stack([c.world_to_camera for c in standing])).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: paths.orbit([], frames=3), "path: found no cameras"),
        (lambda: paths.orbit(ring(), frames=0), "frames: found 0"),
        (lambda: paths.orbit(ring(), frames=10**9), "frames: found 1000000000, expected 1 to 100000"),
        (lambda: paths.orbit(ring(), width=100000), "size: found 100000 x 540"),
        (lambda: paths.orbit(ring(), radius=-1), "radius: found -1"),
        (lambda: paths.orbit(ring(), up=(0, 0, 0)), "expected 3 numbers, not all 0"),
        (lambda: paths.orbit(ring(), fov_deg=180), "field of view: found 180"),
        (lambda: paths.spline([], 5), "path: found no cameras"),
        (lambda: paths.spline([ring()[0], dataclasses.replace(ring()[1], width=8)], 5), "image sizes"),
        (lambda: paths.look_at((1, 1, 1), (1, 1, 1), K=K, width=64, height=48), "one place to stand"),
    ],
)  # fmt: skip
def test_impossible_paths_are_refused(make, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        make()


# ---------------------------------------------------------------- files


def test_a_path_survives_its_file(tmp_path: Path) -> None:
    cameras = tuple(
        dataclasses.replace(c, K=K * [[1.1], [1.1], [1]] - [[0, 0, 32], [0, 0, 18], [0, 0, 0]])
        for c in ring()
    )
    assert cameras[0].K[0, 2] == pytest.approx(320)
    back = read_path(write_path(tmp_path / "path.json", cameras, fps=30))
    assert back.fps == 30
    assert back.seconds == pytest.approx(0.3)
    for one, other in zip(cameras, back.cameras, strict=True):
        np.testing.assert_allclose(one.world_to_camera, other.world_to_camera, atol=1e-9)
        np.testing.assert_allclose(one.K, other.K, rtol=1e-9, atol=1e-9)


def nerfstudio() -> dict:
    """As its viewer writes it: x right, y up, z back; a camera at (1, 2, 3) that looks along -z."""
    matrix = [1.0, 0, 0, 1, 0, 1, 0, 2, 0, 0, 1, 3, 0, 0, 0, 1]
    frame = {"camera_to_world": matrix, "fov": 50.0, "aspect": 1.5}
    return {
        "keyframes": [], "camera_type": "perspective", "render_height": 400, "render_width": 600,
        "fps": 24, "seconds": 2, "smoothness_value": 0.5, "is_cycle": False, "camera_path": [frame, frame],
    }  # fmt: skip


def write(told: object, path: Path) -> Path:
    path.write_text(told if isinstance(told, str) else json.dumps(told))
    return path


def test_nerfstudio_s_axes_and_field_of_view_are_understood(tmp_path: Path) -> None:
    found = read_path(write(nerfstudio(), tmp_path / "p.json"))
    camera = found.cameras[0]
    np.testing.assert_allclose(camera.position, [1, 2, 3])
    np.testing.assert_allclose(ahead(camera), [0, 0, -1])
    np.testing.assert_allclose(camera.world_to_camera[1, :3], [0, -1, 0])  # down
    assert camera.K[0, 0] == camera.K[1, 1] == pytest.approx(200 / math.tan(math.radians(25)))
    assert camera.K[:2, 2].tolist() == [300, 200]
    del (told := nerfstudio())["fps"]
    assert read_path(write(told, tmp_path / "q.json")).fps == 1.0  # of its seconds


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"camera_path": []}, "camera_path: found 0 frames"),
        ({"camera_path": None}, "camera_path: found none"),
        ({"camera_path": ["x"]}, "frame 0: found str, expected an object"),
        ({"render_width": 10**9}, "render_width: found 1000000000"),
        ({"render_height": 0.5}, "render_height: found 0.5"),
        ({"render_height": "400"}, "render_height: found '400'"),
        ({"render_height": True}, "render_height: found True"),
        ({"render_width": 600.5}, "render_width: found 600.5, expected a whole number"),
        ({"fps": 1e9}, "fps: found 1000000000.0, expected a number, 1 to 240"),
        ({"camera_type": "equirectangular"}, "camera_type: found 'equirectangular', expected perspective"),
        ({"camera_type": ["\x1b[31m" * 99]}, "camera_type"),
    ],
)  # fmt: skip
def test_hostile_numbers_are_refused_in_one_line(change: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(FileRejected) as caught:
        read_path(write(nerfstudio() | change, tmp_path / "p.json"))
    assert str(caught.value).startswith("p.json: ")
    assert message in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ({"fov": 0}, "fov of frame 0: found 0, expected a number, 1 to 179"),
        ({"fov": None}, "fov of frame 0: found None"),
        ({"fov": math.nan}, "fov of frame 0: found nan"),
        ({"camera_to_world": [1] * 15}, "found 15 numbers, expected 16 numbers"),
        ({"camera_to_world": "eval"}, "found str, expected 16 numbers"),
        ({"camera_to_world": [2.0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1]}, "found no rotation"),
        ({"camera_to_world": [-1.0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]}, "found no rotation"),
        ({"camera_to_world": [1.0, 0, 0, math.inf, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]}, "found inf"),
        ({"camera_to_world": [1.0, 0, 0, 10**400, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]}, "expected a number"),
    ],
)  # fmt: skip
def test_hostile_frames_are_refused_in_one_line(frame: dict, message: str, tmp_path: Path) -> None:
    told = nerfstudio()
    told["camera_path"][0] = told["camera_path"][0] | frame
    with pytest.raises(FileRejected) as caught:
        read_path(write(told, tmp_path / "p.json"))
    assert message in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("text", ["", "{", "[" * 200_000, '"x"', "1e999", "[1" + "0" * 5000 + "]"])
def test_what_is_no_path_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(FileRejected, match=r"p\.json: "):
        read_path(write(text, tmp_path / "p.json"))


def test_absent_and_huge_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFound, match="no camera path"):
        read_path(tmp_path / "none.json")
    monkeypatch.setattr(pathfile, "MOST_BYTES", 100)
    with pytest.raises(FileRejected, match="larger than"):
        read_path(write(nerfstudio(), tmp_path / "p.json"))


def test_cameras_of_several_sizes_make_no_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="2 image sizes"):
        write_path(tmp_path / "p.json", [ring()[0], dataclasses.replace(ring()[1], width=8)])
    with pytest.raises(BadInput, match="0 image sizes"):
        write_path(tmp_path / "p.json", CameraPath(()))
    assert not list(tmp_path.iterdir())
