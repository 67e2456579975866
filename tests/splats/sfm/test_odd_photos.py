"""One flight with all that goes wrong in real folders: it is placed, and each oddity is one line."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geolab.errors import BadInput
from geolab.splats import georef, sfm
from geolab.splats.photo import read
from geolab.splats.scene import open_scene
from geolab.splats.sfm import pairing
from geolab.splats.similarity import exact
from geolab.splats.train import TrainConfig, train
from geolab.town import exif

FAR = "town-019.jpg"
HOSTILE = "a\n<img src=x onerror=alert(1)>..\\..jpg"


@pytest.fixture(scope="module")
def solved(flown, tmp_path_factory) -> sfm.Step:
    folder = tmp_path_factory.mktemp("odd")

    def put(k: int, name: str, *, rgb: np.ndarray | None = None, **changes: float) -> None:
        tags = dataclasses.replace(flown.tags[k], **changes)
        (folder / name).write_bytes(exif.jpeg(flown.rgb[k] if rgb is None else rgb, tags))

    put(0, "town-017.jpg", lon=0.0, lat=0.0)  # GPS without a fix
    put(1, "town-018.jpg")
    put(2, FAR, lon=flown.tags[2].lon + 0.1)  # 8 km off
    put(3, HOSTILE)
    small = np.asarray(Image.fromarray(flown.rgb[4]).resize((720, 540), Image.Resampling.BOX))
    put(4, "town-021.jpg", rgb=small)
    other = folder / "town-021.jpg"
    other.write_bytes(other.read_bytes().replace(b"Town Cam", b"Tiny Cam"))
    put(5, "town-022.jpg", rgb=np.ascontiguousarray(np.rot90(flown.rgb[5])))  # held upright
    put(6, "town-023.jpg")
    put(7, "town-024.jpg")
    with Image.open(folder / "town-024.jpg") as photo:
        tags = photo.getexif()
        tags[0x0112] = 6
        photo.save(folder / "town-024.jpg", exif=tags.tobytes(), quality=95)
    shutil.copy(folder / "town-018.jpg", folder / "town-018 (1).jpg")
    put(6, "town-023 retagged.jpg", lat=flown.tags[0].lat)
    (folder / "empty.jpg").write_bytes(b"")
    return list(sfm.solve(folder.iterdir(), work=folder / "work", image_px=560, held_out=0))[-1]


def test_all_photos_are_placed(flown, solved):
    assert solved.facts.registered == 8
    assert {lens.camera for lens in solved.facts.lenses} == {"geolab Town Cam", "geolab Tiny Cam"}
    sizes = sorted((v.camera.width, v.camera.height) for v in solved.scene.views)
    assert sizes == [(720, 540), (720, 960), *[(960, 720)] * 6]


def test_what_is_left_out_is_told_in_a_line_each(solved):
    assert solved.scene.warnings == (
        "photo empty.jpg is left out: its header is damaged; copy or download it again",
        "photo town-018 (1).jpg is left out: it is the same picture as town-018.jpg",
        "photo town-023 retagged.jpg is left out: it is the same picture as town-023.jpg",
    )


def test_wrong_positions_are_named_and_do_not_count(flown, solved):
    scene, report = georef.locate(solved.scene)
    assert (report.positions, report.used, report.outliers) == (7, 6, (FAR,))
    assert any(f"photo {FAR} states a position that the others contradict" in w for w in scene.warnings)
    assert all("\n" not in w for w in scene.warnings)
    by_name = dict(zip([v.name for v in scene.views], scene.positions, strict=True))
    names = ["town-017.jpg", "town-018.jpg", FAR, HOSTILE] + [f"town-0{k}.jpg" for k in (21, 22, 23, 24)]
    off = np.stack([by_name[n] for n in names]) - flown.scene.positions
    off -= off.mean(axis=0)  # the town's frame has another origin
    assert np.abs(off[:, :2]).max() < 1.5


def test_photo_far_from_all_others_is_matched_with_all(flown, tmp_path):
    one = read(flown.photos[0])
    lon, lat, height = one.measured
    photos = {
        k: dataclasses.replace(one, measured=(lon + 1e-4 * (k % 8), lat + 1e-4 * (k // 8), height))
        for k in range(1, 41)
    }
    usual = pairing.by_position(photos)
    assert len(usual) < 40 * 39 / 2
    photos[7] = dataclasses.replace(one, measured=(lon + 0.1, lat, height))
    assert sum(7 in pair for pair in pairing.by_position(photos)) == 39


def test_photos_without_gps_train_in_units_of_their_own_and_say_so(flown, tmp_path):
    for k in range(4):
        Image.fromarray(flown.rgb[k]).save(tmp_path / f"{k}.jpg", quality=92)
    solved = list(sfm.solve(tmp_path.glob("*.jpg"), work=tmp_path / "work", image_px=480, held_out=2))[-1]
    scene, report = georef.locate(solved.scene)
    assert scene.frame is None
    assert report.summary() == {
        "place": "the model is not placed on the Earth and has no scale: "
        "0 of 4 photos state where they were taken"
    }
    assert scene.warnings == (report.summary()["place"],)
    (lens,) = solved.facts.lenses
    assert (lens.prior_px, lens.held, lens.drift_pct) == (None, False, None)
    assert lens.why.startswith("no photo states it")
    step = list(train(scene, config=TrainConfig(steps=20, cap=2000, image_px=96, sh_degree=0)))[-1]
    assert step.model is not None
    assert step.model.frame is None
    assert step.validation.psnr > 5


# ---------------------------------------------------------------- real photos


def solve(photos: list[Path], work: Path) -> sfm.Step:
    return list(sfm.solve(photos, work=work, image_px=480, held_out=0))[-1]


def test_of_photos_of_two_places_the_larger_group_is_used(real_data, tmp_path):
    field = sorted((real_data / "drone_caliterra" / "images").iterdir())[20:24]
    fruit = sorted((real_data / "posed_banana" / "images").iterdir())[:3]
    step = solve([*field, *fruit], tmp_path)
    assert [v.name for v in step.scene.views] == [p.name for p in field]
    assert step.facts.models == 2
    (told,) = step.scene.warnings
    assert told == (
        "3 of 7 photos are left out, a group that does not connect to the rest: "
        "DSC_0423.JPG, DSC_0424.JPG, DSC_0425.JPG"
    )


def test_photos_of_different_places_are_refused_in_one_line(real_data, tmp_path):
    photos = [
        real_data / "drone_caliterra" / "images" / "IMG_9354.jpg",
        real_data / "posed_banana" / "images" / "DSC_0423.JPG",
        real_data / "exif" / "orientation" / "landscape_1.jpg",
    ]
    with pytest.raises(
        BadInput, match=r"photos: found 0 of 3 that could be placed together, expected"
    ) as caught:
        solve(photos, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("folder", ["orientation", "variants_caliterra"])
def test_one_picture_many_times_over_is_refused_in_one_line(real_data, tmp_path, folder):
    photos = sorted((real_data / "exif" / folder).glob("*.jpg"))
    with pytest.raises(
        BadInput, match=r"^photos: found .*expected at least \d+.*; take more photos"
    ) as caught:
        solve(photos, tmp_path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.slow
def test_caliterra_agrees_with_cameras_found_elsewhere(real_data, tmp_path):
    """Against COLMAP's own, of more photos and a focal length that was free: what is level and how big is not
    known there, so the shapes are compared."""
    known = {v.name: v.camera.position for v in open_scene(real_data / "posed_caliterra").views}
    names = sorted(known)[10:34]
    photos = [real_data / "drone_caliterra" / "images" / n for n in names]
    step = list(sfm.solve(photos, work=tmp_path, image_px=800))[-1]
    assert [v.name for v in step.scene.views] == names
    assert step.facts.reprojection_px < 1
    (lens,) = step.facts.lenses
    assert (lens.held, round(lens.focal_px)) == (True, 929)  # of 1280 pixels; the EXIF tells of 4000
    scene, report = georef.locate(step.scene)
    theirs = np.stack([known[n] for n in names])
    off = exact(theirs, scene.positions).apply(theirs) - scene.positions
    assert np.sqrt((off**2).mean()) < 0.3
    assert report.rotation_from.endswith("cameras that look straight down on average, flown at one height")
    assert report.tilt_deg < 4
    assert 40 < report.height_above_ground_m < 65
