"""Points for cameras that are known: the town's, against its exact depth."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PIL import Image

from geolab.errors import BadInput
from geolab.splats import images, sfm
from geolab.splats.sfm.pairing import by_pose
from geolab.splats.sfm.points import widest_angle_deg
from geolab.splats.views import Camera, Scene, View


def depth_error_px(scene: Scene, depths: np.ndarray) -> np.ndarray:
    """By how many of its photos' pixels each point is off the exact depth, in the photo that fits best."""
    best = np.full(len(scene.points), np.inf)
    for view, depth in zip(scene.views, depths, strict=True):
        camera = view.camera
        seen = scene.points.xyz @ camera.world_to_camera[:3, :3].T + camera.world_to_camera[:3, 3]
        uv = seen @ camera.K.T
        column, row = np.floor(uv[:, :2] / uv[:, 2:]).astype(int).T
        inside = (column >= 0) & (column < camera.width) & (row >= 0) & (row < camera.height)
        inside &= seen[:, 2] > 0
        exact = depth[row[inside], column[inside]]
        error = np.abs(exact - seen[inside, 2]) / (seen[inside, 2] / camera.K[0, 0])
        best[inside] = np.minimum(best[inside], error)
    return best


def test_points_of_known_cameras_lie_on_the_ground(flown, tmp_path):
    found = sfm.triangulate(flown.scene, work=tmp_path / "work", image_px=640)
    assert len(found.points) > 1000
    assert found.views == flown.scene.views
    assert np.median(depth_error_px(found, flown.depths)) < 0.8
    again = sfm.triangulate(flown.scene, work=tmp_path / "work", image_px=640)
    np.testing.assert_array_equal(again.points.xyz, found.points.xyz)


def test_points_have_the_colours_of_the_photos(flown, tmp_path):
    scene = dataclasses.replace(flown.scene, views=flown.scene.views[:3])
    found = sfm.triangulate(scene, work=tmp_path, image_px=640)
    view = scene.views[1]
    seen = found.points.xyz @ view.camera.world_to_camera[:3, :3].T + view.camera.world_to_camera[:3, 3]
    column, row = (np.floor((seen @ view.camera.K.T)[:, :2] / seen[:, 2:])).astype(int).T
    inside = (column >= 0) & (column < 960) & (row >= 0) & (row < 720)
    photo = images.load(view).rgb[row[inside], column[inside]].astype(float)
    assert np.median(np.abs(photo - found.points.rgb[inside])) < 12


def test_distorted_photos_give_points_in_the_same_place(flown, tmp_path):
    """The same photos through another lens: the picture drawn in by k1, and a camera that says so."""
    views = []
    for view in flown.scene.views[:4]:
        straight = np.asarray(Image.open(view.image))
        rows, columns = np.mgrid[0:720, 0:960] + 0.5
        x, y = (columns - 480) / view.camera.K[0, 0], (rows - 360) / view.camera.K[1, 1]
        u, v = x.copy(), y.copy()
        for _ in range(20):  # which straight pixel shines on this one
            factor = 1 - 0.1 * (u * u + v * v)
            u, v = x / factor, y / factor
        column = np.clip(u * view.camera.K[0, 0] + 480, 0, 959).astype(int)
        row = np.clip(v * view.camera.K[1, 1] + 360, 0, 719).astype(int)
        path = tmp_path / view.name
        Image.fromarray(straight[row, column]).save(path, quality=95)
        camera = dataclasses.replace(view.camera, model="SIMPLE_RADIAL", distortion=(-0.1,))
        views.append(View(view.name, path, camera))
    found = sfm.triangulate(Scene(tuple(views)), work=tmp_path / "work", image_px=640)
    assert np.median(depth_error_px(found, flown.depths[:4])) < 1.5


def test_photo_that_cannot_be_read_is_named_and_left_out(flown, tmp_path):
    bad = tmp_path / "torn.jpg"
    bad.write_bytes(flown.photos[0].read_bytes()[:20_000])
    views = (*flown.scene.views[:3], View("torn.jpg", bad, flown.scene.views[3].camera))
    found = sfm.triangulate(dataclasses.replace(flown.scene, views=views), work=tmp_path / "w", image_px=480)
    assert len(found.warnings) == 1
    assert found.warnings[0].startswith("photo torn.jpg is left out: its pixels can't be read")


def test_one_view_has_no_points(flown, tmp_path):
    with pytest.raises(BadInput, match="found 1 view, expected at least 2"):
        sfm.triangulate(dataclasses.replace(flown.scene, views=flown.scene.views[:1]), work=tmp_path)


def test_cameras_of_other_photos_are_refused_in_words(flown, tmp_path):
    """The poses shuffled: rays of the same corner do not meet."""
    cameras = [view.camera for view in flown.scene.views]
    views = tuple(
        dataclasses.replace(v, camera=c)
        for v, c in zip(flown.scene.views[:4], [cameras[7], cameras[2], cameras[5], cameras[0]], strict=True)
    )
    with pytest.raises(BadInput, match=r"points in common.*are these the cameras of these photos"):
        sfm.triangulate(dataclasses.replace(flown.scene, views=views), work=tmp_path, image_px=480)


def test_far_or_averted_cameras_are_not_paired():
    def view(x: float, turn: np.ndarray) -> View:
        pose = np.eye(4)
        pose[:3, :3] = turn
        pose[:3, 3] = -turn @ [x, 0, 0]
        return View("", None, Camera(10, 10, np.eye(3), pose))  # type: ignore[arg-type]

    down, up = np.diag([1.0, -1, -1]), np.eye(3)
    views = {k: view(float(k), down) for k in range(1, 61)} | {61: view(30.5, up)}
    pairs = by_pose(views)
    assert not any(61 in pair for pair in pairs)
    assert max(b - a for a, b in pairs) <= 20
    assert all((k, k + 1) in pairs for k in range(1, 60))


def test_widest_angle_is_the_one_of_a_loop():
    centres = [np.array(c, float) for c in ((0, 0, 10), (3, 0, 10), (-2, 1, 9))]
    rays = [c - [0, 0, 1] for c in centres]
    slow = max(
        np.degrees(np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))) for a in rays for b in rays
    )
    assert widest_angle_deg(np.array([0, 0, 1.0]), centres) == pytest.approx(slow)
