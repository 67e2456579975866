"""nerfstudio's transforms.json: axes, intrinsics, points, absences, bad numbers."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from plyfile import PlyData, PlyElement

from geolab.errors import BadInput, FileRejected
from geolab.splats import scene
from geolab.splats.loaders import lenses


@pytest.fixture
def folder(small, tmp_path: Path) -> Path:
    small.photos(tmp_path / "images")
    small.transforms(tmp_path / "transforms.json")
    return tmp_path


def change(folder: Path, **changes: object) -> None:
    path = folder / "transforms.json"
    told = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in told.items() if v is not None}))


def change_frame(folder: Path, index: int, **changes: object) -> None:
    frames = json.loads((folder / "transforms.json").read_text())["frames"]
    frames[index] = {k: v for k, v in (frames[index] | changes).items() if v is not None}
    change(folder, frames=frames)


def ply(path: Path, xyz: np.ndarray, rgb: np.ndarray) -> None:
    kinds = [*((n, "f8") for n in "xyz"), *((n, "u1") for n in ("red", "green", "blue"))]
    rows = np.array([(*a, *b) for a, b in zip(xyz, rgb, strict=True)], dtype=kinds)
    PlyData([PlyElement.describe(rows, "vertex")]).write(str(path))


def test_the_same_scene_comes_from_colmap_and_transforms(small, folder: Path) -> None:
    ours = scene.open_scene(folder)
    small.colmap(folder / "sparse" / "0")
    theirs = scene.open_scene(folder)
    assert [v.name for v in ours.views] == [v.name for v in theirs.views]
    rays = np.random.default_rng(0).normal(size=(20, 3)) * 0.2 + [0, 0, 1]
    for a, b in zip(ours.views, theirs.views, strict=True):
        assert np.allclose(a.camera.world_to_camera, b.camera.world_to_camera, atol=1e-12)
        assert np.allclose(lenses.project(a.camera, rays), lenses.project(b.camera, rays), atol=1e-12)
    assert ours.held_out == theirs.held_out


def test_caliterra_is_the_same_from_both_its_files(real_data: Path) -> None:
    colmap = scene.open_scene(real_data / "posed_caliterra")
    transforms = scene.open_scene(real_data / "posed_caliterra" / "transforms.json")
    assert [v.name for v in colmap.views] == [v.name for v in transforms.views]
    assert np.allclose(colmap.positions, transforms.positions, atol=1e-12)
    rays = np.random.default_rng(0).normal(size=(50, 3)) * 0.2 + [0, 0, 1]
    for a, b in zip(colmap.views, transforms.views, strict=True):
        assert np.allclose(a.camera.world_to_camera, b.camera.world_to_camera, rtol=0, atol=1e-9)
        assert np.allclose(lenses.project(a.camera, rays), lenses.project(b.camera, rays), rtol=0, atol=1e-6)
    assert (colmap.held_out, colmap.warnings) == (transforms.held_out, transforms.warnings)
    assert transforms.points is None  # the file names no PLY
    rays = np.random.default_rng(0).normal(size=(50, 3)) * 0.3 + [0, 0, 1]
    for a, b in zip(colmap.views, transforms.views, strict=True):
        assert np.allclose(lenses.project(a.camera, rays), lenses.project(b.camera, rays), atol=1e-9)
        assert np.allclose(a.camera.world_to_camera, b.camera.world_to_camera, atol=1e-9)


def test_a_frames_own_numbers_come_before_those_of_all(folder: Path) -> None:
    change_frame(folder, 2, fl_x=99.0, cx=20.0, k1=None)
    view = scene.open_scene(folder).views[2]
    assert view.camera.K[0].tolist() == [99.0, 0, 20.0]
    assert view.camera.K[1, 1] == 52.0


def test_angles_of_view_make_focal_lengths_and_sizes_come_from_the_photos(small, folder: Path) -> None:
    none = dict.fromkeys(("fl_x", "fl_y", "cx", "cy", "w", "h", "k1", "k2", "p1", "p2", "camera_model"))
    change(folder, **none, camera_angle_x=2 * math.atan(48 / 2 / 60))
    camera = scene.open_scene(folder).views[0].camera
    assert np.allclose(camera.K, [[60, 0, 24], [0, 60, 18], [0, 0, 1]])
    assert camera.model == "PINHOLE"
    change(folder, camera_angle_y=2 * math.atan(36 / 2 / 55))
    assert np.allclose(scene.open_scene(folder).views[0].camera.K[1, 1], 55)


@pytest.mark.parametrize(
    ("changes", "model", "more"),
    [
        ({"camera_model": "OPENCV_FISHEYE", "k3": 0.1, "k4": 0.2}, "OPENCV_FISHEYE", (0.02, -0.01, 0.1, 0.2)),
        ({"is_fisheye": True}, "OPENCV_FISHEYE", (0.02, -0.01, 0, 0)),
        ({"k3": 0.5}, "FULL_OPENCV", (0.02, -0.01, 0.001, -0.002, 0.5, 0, 0, 0)),
        ({"k1": 0, "k2": 0, "p1": 0, "p2": 0}, "PINHOLE", ()),
        ({"camera_model": None}, "OPENCV", (0.02, -0.01, 0.001, -0.002)),
    ],
)
def test_lenses(folder: Path, changes: dict, model: str, more: tuple[float, ...]) -> None:
    change(folder, **changes)
    camera = scene.open_scene(folder).views[0].camera
    assert (camera.model, camera.distortion) == (model, more)


def test_points_come_from_the_ply(small, folder: Path) -> None:
    ply(folder / "sparse_pc.ply", small.xyz, small.rgb)
    change(folder, ply_file_path="sparse_pc.ply")
    points = scene.open_scene(folder).points
    assert points is not None
    assert np.array_equal(points.xyz, small.xyz)
    assert np.array_equal(points.rgb, small.rgb)
    change(folder, ply_file_path="../points.ply")
    assert scene.open_scene(folder).warnings == ("the points ../points.ply are not there and are not used",)


def test_what_nerfstudio_applied_is_undone_for_cameras_and_points(small, folder: Path) -> None:
    applied = np.array([[1.0, 0, 0, 0.5], [0, 0, 1, -1], [0, -1, 0, 2]])  # swaps axes as nerfstudio does
    told = json.loads((folder / "transforms.json").read_text())
    for frame in told["frames"]:
        matrix = np.vstack([applied, [0, 0, 0, 1]]) @ frame["transform_matrix"]
        matrix[:3, 3] *= 0.25
        frame["transform_matrix"] = matrix.tolist()
    ply(folder / "pc.ply", (small.xyz @ applied[:, :3].T + applied[:, 3]) * 0.25, small.rgb)
    change(folder, **told, applied_transform=applied.tolist(), applied_scale=0.25, ply_file_path="pc.ply")
    found = scene.open_scene(folder)
    assert np.allclose(found.positions, small.positions, atol=1e-12)
    assert np.allclose(found.views[4].camera.world_to_camera, small.poses[4], atol=1e-12)
    assert found.points is not None
    assert np.allclose(found.points.xyz, small.xyz, atol=1e-12)


def test_masks_are_taken_and_their_absence_leaves_the_frame_out(folder: Path) -> None:
    Image.new("L", (48, 36), 255).save(folder / "m.png")
    change_frame(folder, 1, mask_path="m.png")
    assert scene.open_scene(folder).views[1].mask == folder / "m.png"
    change_frame(folder, 1, mask_path="n.png")
    found = scene.open_scene(folder)
    assert len(found.views) == 8
    assert "p1.jpg (its mask 'n.png' is not there)" in found.warnings[0]


def test_absent_frames_are_named_and_refused_under_strict(folder: Path) -> None:
    (folder / "images" / "p7.jpg").unlink()
    assert scene.open_scene(folder).warnings == ("1 of 9 photos are not there and were left out: p7.jpg",)
    with pytest.raises(BadInput, match=r"1 of 9 photos are not there and were left out: p7.jpg"):
        scene.open_scene(folder, strict=True)


def test_names_without_suffix_and_from_another_machine_are_found(folder: Path) -> None:
    change_frame(folder, 0, file_path="./images/p0")
    change_frame(folder, 1, file_path="/home/someone/work/images/p1.jpg")
    change_frame(folder, 2, file_path="..\\other\\p2.jpg")
    found = scene.open_scene(folder)
    assert len(found.views) == 9
    assert found.warnings == ()
    assert {v.image.parent for v in found.views} == {folder / "images"}


def test_names_that_lead_out_are_never_opened(small, tmp_path: Path) -> None:
    small.photos(tmp_path)
    small.transforms(tmp_path / "scene" / "transforms.json")
    small.photos(tmp_path / "scene" / "images")
    change_frame(tmp_path / "scene", 3, file_path="../p3.jpg")
    (tmp_path / "scene" / "images" / "p3.jpg").unlink()
    found = scene.open_scene(tmp_path / "scene")
    assert len(found.views) == 8
    assert "lead out of the scene's folder and were left out: ../p3.jpg" in found.warnings[0]


def _with(matrix: list, row: int, column: int, value: float) -> list:
    changed = [list(r) for r in matrix]
    changed[row][column] = value
    return changed


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fl_x": 0}, "focal lengths 0, 52"),
        ({"fl_x": "wide"}, "fl_x of images/p0.jpg is 'wide', expected a number"),
        ({"fl_x": None}, "neither fl_x nor camera_angle_x of images/p0.jpg is given"),
        ({"w": -4}, "a camera is -4 x 36 pixels"),
        ({"frames": []}, "its list of frames is empty"),
        ({"frames": [{}]}, "frame 0 has no file_path"),
        ({"frames": None}, "neither|no list of 'frames'"),
        ({"camera_model": "EQUIRECTANGULAR"}, "camera_model is 'EQUIRECTANGULAR'; known: PINHOLE"),
        ({"k4": 0.1}, "k4 is 0.1 for a lens that is no fisheye"),
        ({"applied_scale": 0}, "applied_scale is 0"),
        ({"applied_transform": [[1, 0], [0, 1]]}, r"applied_transform is .*, expected 3 x 4 numbers"),
    ],
)
def test_bad_numbers_are_one_line(folder: Path, changes: dict, message: str) -> None:
    change(folder, **changes)
    with pytest.raises(FileRejected, match=message) as caught:
        scene.open_scene(folder)
    assert "\n" not in str(caught.value)
    assert "transforms.json" in str(caught.value)


@pytest.mark.parametrize(
    ("row", "column", "value", "message"),
    [
        (0, 3, float("nan"), "transform_matrix of images/p0.jpg holds NaN or infinity"),
        (0, 3, 1e308, r"transform_matrix of images/p0.jpg holds 1e\+308, expected at most 1e\+09"),
        (1, 1, 9.0, "holds no rotation"),
    ],
)
def test_bad_matrices_are_one_line(folder: Path, row: int, column: int, value: float, message: str) -> None:
    matrix = json.loads((folder / "transforms.json").read_text())["frames"][0]["transform_matrix"]
    change_frame(folder, 0, transform_matrix=_with(matrix, row, column, value))
    with pytest.raises(FileRejected, match=message):
        scene.open_scene(folder)


def test_a_mirrored_camera_is_refused(folder: Path) -> None:
    matrix = np.array(json.loads((folder / "transforms.json").read_text())["frames"][0]["transform_matrix"])
    change_frame(folder, 0, transform_matrix=(matrix @ np.diag([-1, 1, 1, 1])).tolist())
    with pytest.raises(FileRejected, match=r"holds a mirror image, expected a rotation"):
        scene.open_scene(folder)


def test_a_frame_named_twice_is_refused(folder: Path) -> None:
    change_frame(folder, 1, file_path="images/p0.jpg")
    with pytest.raises(BadInput, match=r"photos: found 'p0.jpg' twice, expected a pose for each photo once"):
        scene.open_scene(folder)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"frames": ' + "9" * 5000 + "}"])
def test_what_is_no_json_is_one_line(folder: Path, text: str) -> None:
    (folder / "transforms.json").write_text(text)
    with pytest.raises(FileRejected, match=r"transforms.json: it is no") as caught:
        scene.open_scene(folder)
    assert len(str(caught.value)) < 400
    ply(folder / "x.ply", np.zeros((1, 3)), np.zeros((1, 3), np.uint8))


@pytest.mark.parametrize("size", [0, 20, 150, 250])
def test_a_truncated_ply_is_one_line(small, folder: Path, size: int) -> None:
    ply(folder / "pc.ply", small.xyz, small.rgb)
    whole = (folder / "pc.ply").read_bytes()
    assert len(whole) > 250
    (folder / "pc.ply").write_bytes(whole[:size])
    change(folder, ply_file_path="pc.ply")
    with pytest.raises(FileRejected, match=r"it is no PLY file with points, or it is damaged"):
        scene.open_scene(folder)


def test_pictures_beside_the_posed_ones_are_told_unless_they_belong_to_them(small, folder: Path) -> None:
    images = folder / "images"
    for name in ("p3_mask.jpg", "p3_depth_0001.jpg", ".p0.jpg", "overview.png"):
        (images / name).write_bytes((images / "p0.jpg").read_bytes())
    assert scene.open_scene(folder, strict=True).warnings == ()
    (images / "p\n<b>9.jpg").write_bytes((images / "p0.jpg").read_bytes())
    (told,) = scene.open_scene(folder).warnings
    assert told == "1 of 10 photos in images/ have no pose and are not used: p <b>9.jpg"


@pytest.mark.parametrize("name", ["transforms.json", "cameras.json", "reconstruction.json"])
def test_a_huge_json_is_refused_before_it_is_read(tmp_path: Path, name: str) -> None:
    with (tmp_path / name).open("wb") as file:
        file.truncate(3 << 30)  # sparse
    began = time.monotonic()
    with pytest.raises(
        FileRejected, match=r"it has 3,221 MB, expected at most 512; split the scene"
    ) as caught:
        scene.open_scene(tmp_path)
    assert time.monotonic() - began < 5
    assert name in str(caught.value)
