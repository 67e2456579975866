"""COLMAP's files against pycolmap, which writes them; damaged and hostile ones."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pycolmap
import pytest

from geolab.errors import BadInput, FileRejected
from geolab.splats import scene
from geolab.splats.loaders import lenses

LENSES = {
    "SIMPLE_PINHOLE": (), "PINHOLE": (), "SIMPLE_RADIAL": (0.03,), "RADIAL": (0.03, -0.02),
    "OPENCV": (0.03, -0.02, 0.001, 0.002), "OPENCV_FISHEYE": (0.02, 0.01, -0.01, 0.003),
    "FULL_OPENCV": (0.03, -0.02, 0.001, 0.002, 0.01, 0.02, -0.01, 0.003), "FOV": (0.4,),
    "SIMPLE_RADIAL_FISHEYE": (0.02,), "RADIAL_FISHEYE": (0.02, -0.01),
    "THIN_PRISM_FISHEYE": (0.02, 0.01, 0.001, 0.002, -0.01, 0.003, 0.001, 0.002),
    "RAD_TAN_THIN_PRISM_FISHEYE": (
        0.02, 0.01, -0.01, 0.003, 0.001, 0.0, 0.001, 0.002, 0.001, 0.0, 0.002, 0.0
    ),
    "SIMPLE_DIVISION": (-0.05,), "DIVISION": (-0.05,), "SIMPLE_FISHEYE": (), "FISHEYE": (),
    "EUCM": (0.5, 1.1),
}  # fmt: skip


def native(model: str, width: int = 48, height: int = 36) -> pycolmap.Camera:
    focals, _ = lenses.BY_NAME[model]
    params = [*[50.0, 52.0][:focals], 23.0, 19.0, *LENSES[model]]
    return pycolmap.Camera(model=model, width=width, height=height, params=params)


@pytest.mark.parametrize("text", [False, True])
def test_what_pycolmap_writes_is_read_exactly(small, tmp_path: Path, text: bool) -> None:
    small.photos(tmp_path / "images")
    small.colmap(tmp_path / "sparse", text=text)
    found, twin = scene.open_scene(tmp_path), pycolmap.Reconstruction(tmp_path / "sparse")
    assert [v.name for v in found.views] == sorted(small.names)
    poses = {i.name: np.vstack([i.cam_from_world().matrix(), [0, 0, 0, 1]]) for i in twin.images.values()}
    for view in found.views:
        assert np.allclose(view.camera.world_to_camera, poses[view.name], atol=1e-14)
        assert view.camera.model == "OPENCV"
        assert view.camera.distortion == small.more
        assert np.array_equal(view.camera.K, small.K)
    assert found.points is not None
    by_place = {tuple(np.round(p.xyz, 9)): tuple(p.color) for p in twin.points3D.values()}
    ours = zip(np.round(found.points.xyz, 9), found.points.rgb, strict=True)
    assert {tuple(xyz): tuple(rgb) for xyz, rgb in ours} == by_place
    assert found.frame is None


def test_our_table_of_lenses_is_that_of_pycolmap() -> None:
    theirs = {n: int(m) for n, m in pycolmap.CameraModelId.__members__.items()}
    for number, (name, focals, more) in lenses.MODELS.items():
        made = pycolmap.Camera.create_from_model_name(0, name, 1.0, 4, 3)
        assert theirs[name] == number
        assert (len(made.focal_length_idxs()), len(made.extra_params_idxs())) == (focals, more)
        assert list(made.extra_params_idxs()) == list(range(focals + 2, focals + 2 + more))


@pytest.mark.parametrize("model", LENSES)
def test_every_lens_projects_as_pycolmap_does(model: str) -> None:
    there = native(model)
    camera = lenses.camera(model, 48, 36, list(there.params), np.eye(4), href="x")
    rays = np.random.default_rng(0).normal(size=(50, 3)) * 0.4 + [0, 0, 1.5]
    expected = np.array([there.img_from_cam(r) for r in rays])
    assert np.allclose(lenses.project(camera, rays), expected, atol=1e-10)


def test_the_largest_of_several_models_is_used_and_named(small, project: Path) -> None:
    from dataclasses import replace

    few = replace(small, names=small.names[:3], poses=small.poses[:3])
    (project / "sparse" / "0").rename(project / "sparse" / "1")
    few.colmap(project / "sparse" / "0")
    found = scene.open_scene(project)
    assert len(found.views) == 9
    assert found.warnings == (
        "2 models (0: 3, 1: 9 photos): the largest, 1, is used; the others lie in frames of their own",
    )


def test_photos_without_a_pose_are_named(small, project: Path) -> None:
    (project / "images" / "p3.jpg").rename(project / "images" / "q1.jpg")
    found = scene.open_scene(project)
    assert "1 of 9 photos in images/ have no pose and are not used: q1.jpg" in found.warnings
    assert any(w.startswith("1 of 9 photos are not there and were left out: p3.jpg") for w in found.warnings)


def test_photos_may_lie_beside_the_model(small, tmp_path: Path) -> None:
    small.photos(tmp_path)
    small.colmap(tmp_path / "sparse" / "0")
    assert len(scene.open_scene(tmp_path).views) == 9


def test_masks_are_found_by_colmaps_names(small, project: Path) -> None:
    (project / "masks").mkdir()
    (project / "masks" / "p1.jpg.png").write_bytes(b"x")
    (project / "masks" / "p2.png").write_bytes(b"x")
    found = {v.name: v.mask for v in scene.open_scene(project).views}
    assert found["p0.jpg"] is None
    assert found["p1.jpg"] == project / "masks" / "p1.jpg.png"
    assert found["p2.jpg"] == project / "masks" / "p2.png"


def test_names_that_lead_out_of_the_folder_are_never_opened(small, project: Path, tmp_path: Path) -> None:
    secret = tmp_path.parent / "secret.jpg"
    small.photos(tmp_path.parent / "elsewhere")
    (tmp_path.parent / "elsewhere" / "p0.jpg").rename(secret)
    path = project / "sparse" / "0" / "images.bin"
    data = path.read_bytes().replace(b"p4.jpg\0", b"../../secret.jpg\0")
    path.write_bytes(data.replace(b"p5.jpg\0", str(secret).encode() + b"\0"))
    found = scene.open_scene(project)
    assert len(found.views) == 7
    assert any("2 of 9 photos have names that lead out of the scene's folder" in w for w in found.warnings)
    assert not any(v.image == secret for v in found.views)


def test_every_truncation_is_one_line_or_a_smaller_scene(project: Path) -> None:
    for name in ("cameras", "images", "points3D"):
        path = project / "sparse" / "0" / f"{name}.bin"
        whole = path.read_bytes()
        for size in range(0, len(whole), 7):
            path.write_bytes(whole[:size])
            with pytest.raises(FileRejected, match=r"ends too early") as caught:
                scene.open_scene(project)
            assert "\n" not in str(caught.value)
        path.write_bytes(whole)


def test_flipped_bytes_never_crash_or_hang(project: Path) -> None:
    rng, refused = np.random.default_rng(11), 0
    for trial in range(150):
        path = project / "sparse" / "0" / f"{('cameras', 'images', 'points3D')[trial % 3]}.bin"
        whole = path.read_bytes()
        broken = bytearray(whole)
        for at in rng.integers(0, len(whole), 3):
            broken[at] = rng.integers(256)
        path.write_bytes(broken)
        try:
            scene.open_scene(project)
        except (FileRejected, scene.BadInput):
            refused += 1
        path.write_bytes(whole)
    assert refused > 20


def test_a_count_beyond_the_file_is_refused_before_memory_is_taken(project: Path) -> None:
    path = project / "sparse" / "0" / "points3D.bin"
    path.write_bytes(struct.pack("<Q", 2**62) + path.read_bytes()[8:])
    with pytest.raises(FileRejected, match=r"points3D.bin: it ends too early"):
        scene.open_scene(project)


@pytest.mark.parametrize(
    ("file", "line", "message"),
    [
        ("cameras", "7 PINHOLE 48 36 0 52 23 19", "focal lengths 0, 52"),
        ("cameras", "7 PINHOLE 48 36 nan 52 23 19", "focal lengths nan, 52"),
        ("cameras", "7 PINHOLE 48 36 50", "has 1 parameters, expected 4"),
        ("cameras", "7 EQUIRECTANGULAR 48 36 48 36", "model EQUIRECTANGULAR; known: SIMPLE_PINHOLE"),
        ("cameras", "7 PINHOLE 48 0 50 52 23 19", "48 x 0 pixels"),
        ("cameras", "hello", "'hello' is no camera of COLMAP"),
        ("images", "1 0 0 0 0 1 2 3 7 p0.jpg", "impossible pose"),
        ("images", "1 1 0 0 0 nan 2 3 7 p0.jpg", "impossible pose"),
        ("images", "1 nan 0 0 0 1 2 3 7 p0.jpg", "impossible pose"),
        ("images", "1 1 0 0 0 1e30 2 3 7 p0.jpg", "impossible pose"),
        ("images", "1 1 0 0 0 1 2 3 9 p0.jpg", "photo 'p0.jpg' has the unknown camera 9"),
        ("images", "1 2 3", "'1 2 3' is no photo of COLMAP"),
        ("points3D", "1 2 3", "'1 2 3' is no point of COLMAP"),
    ],
)
def test_damaged_text_is_one_line(small, tmp_path: Path, file: str, line: str, message: str) -> None:
    small.photos(tmp_path / "images")
    small.colmap(tmp_path / "sparse", text=True)
    (tmp_path / "sparse" / f"{file}.txt").write_text(f"# comment\n{line}\n\n")
    with pytest.raises(FileRejected, match=message):
        scene.open_scene(tmp_path)


# ---------------------------------------------------------------- real data


def test_caliterra_opens_whole(real_data: Path) -> None:
    found = scene.open_scene(real_data / "posed_caliterra")
    assert len(found.views) == 45
    assert len(found.held_out) == 6
    assert found.warnings == ()
    assert found.points is not None
    assert len(found.points) == 9612
    assert all(v.measured is not None and v.taken.startswith("2014-10-19") for v in found.views)
    assert scene.check(found) == ()


@pytest.mark.parametrize("file", ["", "transforms.json"])
def test_the_unregistered_half_of_banana_is_named_and_refused_under_strict(
    real_data: Path, file: str
) -> None:
    source = real_data / "posed_banana" / file
    told = "8 of 16 photos in images/ have no pose and are not used: " + ", ".join(
        f"DSC_04{k}.JPG" for k in range(29, 37)
    )
    found = scene.open_scene(source)
    assert len(found.views) == 8
    assert found.warnings == (told,)
    assert scene.check(found) == ()
    with pytest.raises(BadInput, match=f"scene: found {told}, expected all its photos in .*, each with"):
        scene.open_scene(source, strict=True)
