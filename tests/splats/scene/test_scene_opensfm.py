"""OpenSfM's reconstructions: points must fall on the pixels that the same cameras give elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from geolab import town
from geolab.errors import FileRejected
from geolab.splats import scene
from geolab.splats.loaders import lenses


def projected(kind: str, told: dict, seen: np.ndarray) -> np.ndarray:
    """Pixels [P, 2] of points [P, 3] in a camera's axes, by OpenSfM's own formulas, spelled out."""
    width, height = told["width"], told["height"]
    k1, k2, k3, k4 = (told.get(f"k{i}", 0.0) for i in (1, 2, 3, 4))
    out = []
    for x, y, z in seen:
        if kind.startswith("fisheye"):
            r = np.hypot(x, y)
            u, v = x * np.arctan2(r, z) / r, y * np.arctan2(r, z) / r
        else:
            u, v = x / z, y / z
        r2 = u * u + v * v
        if kind == "fisheye":
            k3 = k4 = 0.0
        grown = 1 + r2 * (k1 + r2 * (k2 + r2 * (k3 + r2 * k4)))
        a, b = u * grown, v * grown
        if kind == "brown":
            p1, p2 = told["p1"], told["p2"]
            a += 2 * p1 * u * v + p2 * (r2 + 2 * u * u)
            b += 2 * p2 * u * v + p1 * (r2 + 2 * v * v)
        fx = told.get("focal_x", told.get("focal"))
        fy = told.get("focal_y", told.get("focal"))
        side = max(width, height)
        out.append((
            (fx * a + told.get("c_x", 0.0)) * side + width / 2,
            (fy * b + told.get("c_y", 0.0)) * side + height / 2,
        ))  # fmt: skip
    return np.array(out)


CAMERAS = {
    "perspective": {"focal": 0.9, "k1": -0.05, "k2": 0.02},
    "simple_radial": {"focal_x": 0.9, "focal_y": 0.95, "c_x": 0.01, "c_y": -0.02, "k1": -0.05},
    "radial": {"focal_x": 0.9, "focal_y": 0.95, "c_x": 0.01, "c_y": -0.02, "k1": -0.05, "k2": 0.02},
    "brown": {
        "focal_x": 0.9, "focal_y": 0.95, "c_x": 0.01, "c_y": -0.02, "k1": -0.05, "k2": 0.02, "k3": 0.01,
        "p1": 0.002, "p2": -0.003,
    },
    "fisheye": {"focal": 0.9, "k1": -0.05, "k2": 0.02},
    "fisheye_opencv": {
        "focal_x": 0.9, "focal_y": 0.95, "c_x": 0.01, "c_y": -0.02, "k1": -0.05, "k2": 0.02, "k3": 0.01,
        "k4": 0.003,
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", CAMERAS)
def test_points_fall_where_opensfms_formulas_put_them(
    small, reconstruction, tmp_path: Path, kind: str
) -> None:
    camera = {"projection_type": kind, "width": 48, "height": 36, **CAMERAS[kind]}
    small.photos(tmp_path / "images")
    (tmp_path / "reconstruction.json").write_text(json.dumps([reconstruction(small, camera)]))
    found = scene.open_scene(tmp_path)
    for view, pose in zip(found.views, small.poses, strict=True):
        assert np.allclose(view.camera.world_to_camera, pose, atol=1e-12)
        seen = small.xyz @ pose[:3, :3].T + pose[:3, 3]
        expected = projected(kind, camera, seen)
        assert np.allclose(lenses.project(view.camera, seen), expected, atol=1e-9)
    assert found.points is not None
    assert np.allclose(found.points.xyz, small.xyz)
    assert np.array_equal(found.points.rgb, small.rgb)


def test_a_project_of_opendronemap_lies_on_the_earth(small, reconstruction, tmp_path: Path) -> None:
    camera = {"projection_type": "perspective", "width": 48, "height": 36, **CAMERAS["perspective"]}
    small.photos(tmp_path / "images")
    (tmp_path / "opensfm").mkdir()
    (tmp_path / "opensfm" / "reconstruction.json").write_text(json.dumps([reconstruction(small, camera)]))
    for source in (tmp_path, tmp_path / "opensfm", tmp_path / "opensfm" / "reconstruction.json"):
        found = scene.open_scene(source)
        assert scene.kind(source) == "opensfm"
        assert len(found.views) == 9
    frame = found.frame
    assert frame is not None
    assert (frame.lon, frame.lat, frame.height_m) == (11.5, 48.4, 560.0)
    assert frame.vertical_datum == "unknown"
    there = frame.enu([v.measured for v in found.views if v.measured])
    assert np.allclose(there, small.positions, atol=1e-6)


def test_the_town_survives_the_way_through_opensfm(reconstruction, tmp_path: Path) -> None:
    folder = tmp_path / "town"
    town.write(folder, seed=3, size_px=128, photos=3)
    exact = scene.open_scene(folder)
    assert exact.frame is not None
    told = {
        "cameras": {"c": {"projection_type": "perspective", "width": 960, "height": 720,
                          "focal": town.drone.FOCAL_PX / 960, "k1": 0.0, "k2": 0.0}},
        "shots": {}, "points": {},
        "reference_lla": {"latitude": exact.frame.lat, "longitude": exact.frame.lon,
                          "altitude": exact.frame.height_m},
    }  # fmt: skip
    from scipy.spatial.transform import Rotation

    for view in exact.views:
        pose = view.camera.world_to_camera
        turn = Rotation.from_matrix(pose[:3, :3]).as_rotvec()
        told["shots"][view.name] = {
            "camera": "c", "rotation": turn.tolist(), "translation": pose[:3, 3].tolist()
        }  # fmt: skip
    (folder / "photos").rename(tmp_path / "images")
    (tmp_path / "reconstruction.json").write_text(json.dumps([told]))
    found = scene.open_scene(tmp_path)
    ground = np.random.default_rng(2).uniform([-30, -30, 0], [30, 30, 9], (40, 3))
    for a, b in zip(found.views, exact.views, strict=True):
        for camera in (a.camera, b.camera):
            assert (camera.width, camera.height) == (960, 720)
        seen = [ground @ c.world_to_camera[:3, :3].T + c.world_to_camera[:3, 3] for c in (a.camera, b.camera)]
        assert np.allclose(lenses.project(a.camera, seen[0]), lenses.project(b.camera, seen[1]), atol=1e-8)
    assert found.frame is not None
    assert np.allclose(found.frame.lonlat(ground), exact.frame.lonlat(ground), atol=1e-12)
    assert found.frame.epoch == exact.frame.epoch


def test_the_largest_of_several_reconstructions_is_used(small, reconstruction, tmp_path: Path) -> None:
    camera = {"projection_type": "perspective", "width": 48, "height": 36, **CAMERAS["perspective"]}
    whole = reconstruction(small, camera)
    part = whole | {"shots": dict(list(whole["shots"].items())[:2])}
    small.photos(tmp_path)
    (tmp_path / "reconstruction.json").write_text(json.dumps([part, whole]))
    found = scene.open_scene(tmp_path)
    assert len(found.views) == 9
    assert found.warnings == ("2 reconstructions (2, 9 photos): the largest is used",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"projection_type": "spherical"},
            "projection_type of camera cam is 'spherical'; known: perspective",
        ),
        ({"focal": 0}, "focal lengths 0"),
        ({"focal": None}, "focal_x of camera cam is None, expected a number"),
        ({"width": 0}, "a camera is 0 x 36 pixels"),
        ({"k1": "x"}, "k1 of camera cam is 'x'"),
    ],
)
def test_bad_cameras_are_one_line(small, reconstruction, tmp_path: Path, change: dict, message: str) -> None:
    camera = {"projection_type": "perspective", "width": 48, "height": 36, **CAMERAS["perspective"]}
    small.photos(tmp_path / "images")
    (tmp_path / "reconstruction.json").write_text(json.dumps([reconstruction(small, camera | change)]))
    with pytest.raises(FileRejected, match=message):
        scene.open_scene(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shots": {}}, "it holds no posed photo"),
        ({"shots": {"a.jpg": {}}}, "the shot a.jpg has no known camera"),
        ({"shots": {"a.jpg": {"camera": "cam"}}}, "rotation of a.jpg is None, expected 3 numbers"),
        ({"shots": []}, "it is no reconstruction of OpenSfM"),
        ({"points": {"1": {"color": [1, 2, 3]}}}, "its points are damaged"),
        ({"points": {"1": {"coordinates": [1, 2]}}}, "its points are damaged"),
        ({"reference_lla": {"latitude": "x"}}, "reference_lla.latitude is 'x'"),
    ],
)
def test_bad_reconstructions_are_one_line(
    small, reconstruction, tmp_path: Path, change: dict, message: str
) -> None:
    camera = {"projection_type": "perspective", "width": 48, "height": 36, **CAMERAS["perspective"]}
    small.photos(tmp_path / "images")
    (tmp_path / "reconstruction.json").write_text(json.dumps([reconstruction(small, camera, **change)]))
    with pytest.raises(FileRejected, match=message) as caught:
        scene.open_scene(tmp_path)
    assert "\n" not in str(caught.value)
