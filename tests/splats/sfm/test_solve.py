"""Photos to cameras, against the town's exact ones; what was left behind by a kill; what can't be done."""

from __future__ import annotations

import dataclasses
import json
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pycolmap
import pytest
from PIL import Image

from geolab.errors import BadInput
from geolab.splats import georef, images, sfm
from geolab.splats.photo import read
from geolab.splats.sfm import mapping
from geolab.splats.sfm.photoset import gather, lenses, located
from geolab.splats.similarity import exact

PX = 560


def last(photos, work, **settings) -> sfm.Step:
    """The last step of a small solution."""
    return list(sfm.solve(photos, work=work, image_px=PX, held_out=0, **settings))[-1]


@pytest.fixture(scope="session")
def solved(flown, tmp_path_factory) -> sfm.Step:
    return last(flown.photos, tmp_path_factory.mktemp("solved"))


def test_cameras_are_those_of_the_town(flown, solved):
    scene, truth = solved.scene, flown.scene.positions
    assert [v.name for v in scene.views] == [v.name for v in flown.scene.views]
    found = exact(scene.positions, truth)
    assert np.sqrt(((found.apply(scene.positions) - truth) ** 2).mean()) < 0.25
    assert scene.frame is None
    assert len(scene.points) > 300
    assert (scene.views[0].camera.width, scene.views[0].camera.height) == (960, 720)
    assert scene.views[0].measured is not None
    assert scene.views[0].taken == "2024-09-19T13:05:04Z"


def test_block_that_looks_straight_down_keeps_the_focal_length_it_states(solved):
    (lens,) = solved.facts.lenses
    assert lens.held
    assert lens.drift_pct == pytest.approx(0, abs=1e-6)
    assert lens.focal_px == pytest.approx(748.85, abs=0.01)
    assert "cannot determine it" in lens.why
    assert json.dumps(solved.facts.as_json())


def test_georeferenced_photos_lie_where_they_were_to_half_a_metre(flown, solved):
    scene, report = georef.locate(solved.scene)
    assert 0.1 < report.rmse_east_m < 1.0
    assert report.outliers == ()
    assert report.height_ratio == pytest.approx(1.0, abs=0.05)
    heights = scene.positions[:, 2] - flown.scene.positions[:, 2]
    assert heights.std() < 1.0


def test_steps_tell_how_far_the_work_is(flown, tmp_path):
    steps = list(sfm.solve(flown.photos[:4], work=tmp_path, image_px=400, held_out=2))
    done = [step.done for step in steps]
    assert done == sorted(done)
    assert done[-1] == 1.0
    assert list(dict.fromkeys(step.what for step in steps)) == [
        "copies", "features", "matches", "cameras", "points",
    ]  # fmt: skip
    assert all(step.scene is None for step in steps[:-1])
    assert len(steps[-1].scene.held_out) == 2


def test_one_thread_gives_the_same_twice(flown, tmp_path):
    one, two = (last(flown.photos[:4], tmp_path / name, threads=1, seed=5).scene for name in "ab")
    np.testing.assert_array_equal(one.positions, two.positions)
    np.testing.assert_array_equal(one.points.xyz, two.points.xyz)


def test_work_of_a_killed_run_is_taken_up_again(flown, tmp_path):
    """Killed while it matched: its features are kept, and the result is that of a run that was not."""
    code = (
        "import sys\nfrom geolab.splats import sfm\n"
        "for step in sfm.solve(sys.argv[2:], work=sys.argv[1], image_px=400, threads=1):\n"
        "    print(step.what, flush=True)\n"
    )
    work = tmp_path / "work"
    command = [sys.executable, "-c", code, str(work), *(str(p) for p in flown.photos[:5])]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("matches"):
            process.send_signal(signal.SIGKILL)
            break
    process.wait()
    process.stdout.close()
    before = {p.name: p.stat().st_mtime_ns for p in (work / "copies").iterdir()}
    with pycolmap.Database.open(work / "features.db") as database:
        assert database.num_descriptors() > 0
    again = list(sfm.solve(flown.photos[:5], work=work, image_px=400, threads=1))[-1]
    assert {p.name: p.stat().st_mtime_ns for p in (work / "copies").iterdir()} == before
    fresh = list(sfm.solve(flown.photos[:5], work=tmp_path / "fresh", image_px=400, threads=1))[-1]
    np.testing.assert_allclose(again.scene.positions, fresh.scene.positions, atol=1e-9)


def test_work_of_another_task_is_not_mistaken_for_this_one(flown, tmp_path):
    work = tmp_path / "work"
    last(flown.photos[:4], work)
    (work / "note.txt").write_text("mine")
    scene = last(flown.photos[4:8], work).scene
    assert [v.name for v in scene.views] == [p.name for p in flown.photos[4:8]]
    assert (work / "note.txt").read_text() == "mine"


def test_closing_the_steps_ends_the_work(flown, tmp_path):
    steps = sfm.solve(flown.photos[:5], work=tmp_path, image_px=400)
    for step in steps:
        if step.what == "cameras":
            break
    began = time.monotonic()
    steps.close()
    assert time.monotonic() - began < 20
    assert not (tmp_path / "model-new").exists()


def test_nothing_is_said_on_stdout_and_stderr(flown, tmp_path, capfd):
    last(flown.photos[:4], tmp_path)
    assert capfd.readouterr() == ("", "")


# ---------------------------------------------------------------- what photos say


def test_turned_photo_is_worked_on_as_it_is_stored(flown, tmp_path):
    """EXIF says: show it turned by 90 degrees. Its camera stays the one of the stored pixels."""
    path = tmp_path / "turned.jpg"
    with Image.open(flown.photos[0]) as photo:
        exif = photo.getexif()
        exif[0x0112] = 6
        photo.save(path, exif=exif.tobytes(), quality=95)
    shutil.copy(flown.photos[1], tmp_path / "b.jpg")
    shutil.copy(flown.photos[2], tmp_path / "c.jpg")
    scene = last(sorted(tmp_path.glob("*.jpg")), tmp_path / "work").scene
    turned = scene.views[2].camera
    assert (turned.width, turned.height) == (960, 720)
    assert images.load(scene.views[2]).rgb.shape == (720, 960, 3)


def test_focal_length_is_that_of_the_pixels_there_are(flown, tmp_path):
    """The EXIF of a photo that was made smaller still describes the large one."""
    path = tmp_path / "small.jpg"
    with Image.open(flown.photos[0]) as photo:
        photo.resize((480, 360)).save(path, exif=photo.info["exif"])
    assert read(path).focal_px == pytest.approx(read(flown.photos[0]).focal_px / 2)


def test_photos_of_one_lens_share_a_camera(flown, tmp_path):
    small = tmp_path / "small.jpg"
    with Image.open(flown.photos[0]) as photo:
        photo.resize((480, 360)).save(small, exif=photo.info["exif"])
    shots, warnings = gather([*flown.photos[:3], small])
    groups = lenses(dict(enumerate(shots)))
    assert sorted(len(g.members) for g in groups) == [1, 3]
    assert warnings == []


def test_photos_of_one_name_keep_apart(flown, tmp_path):
    for folder in "ab":
        (tmp_path / folder / "card").mkdir(parents=True)
    for folder, photo in zip("ab", flown.photos, strict=False):
        shutil.copy(photo, tmp_path / folder / "card" / "DJI_0001.JPG")
    photos, _ = gather(tmp_path.rglob("*.JPG"))
    assert [p.name for p in photos] == ["a/card/DJI_0001.JPG", "b/card/DJI_0001.JPG"]


def test_positions_that_do_not_differ_do_not_locate(flown):
    shots = [read(p) for p in flown.photos]
    assert located(shots)
    assert not located([dataclasses.replace(s, measured=shots[0].measured) for s in shots])
    assert not located(shots[:2])


@pytest.mark.parametrize(("axes_deg", "relief", "told"), [(8, 0.1, False), (30, 0.05, True), (5, 0.5, True)])
def test_flat_ground_seen_straight_down_determines_no_focal_length(axes_deg, relief, told):
    assert mapping.Shape(axes_deg, relief).determines_focal is told


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_photos_are_refused_in_one_line(flown, tmp_path, count):
    with pytest.raises(
        BadInput, match=rf"photos: found {count} of {count} that can be used, expected at least 3; take"
    ):
        last(flown.photos[:count], tmp_path)


def test_photos_of_different_places_are_refused_in_one_line(tmp_path):
    rng = np.random.default_rng(0)
    paths = []
    for k in range(4):
        coarse = Image.fromarray(rng.integers(0, 255, (60, 80, 3), dtype=np.uint8))
        paths.append(tmp_path / f"{k}.jpg")
        coarse.resize((400, 300), Image.Resampling.BICUBIC).save(paths[-1])
    with pytest.raises(
        BadInput, match=r"photos: found 0 of 4 that could be placed together.*take more photos"
    ):
        last(paths, tmp_path / "work")


def test_photos_without_any_detail_are_refused_in_one_line(tmp_path):
    paths = []
    for k in range(3):
        paths.append(tmp_path / f"{k}.jpg")
        Image.new("RGB", (400, 300), (60 + 60 * k, 90, 90)).save(paths[-1])
    with pytest.raises(BadInput, match="found 0 of 3 that could be placed together"):
        last(paths, tmp_path / "work")


def test_corrupt_and_unrelated_photos_among_good_ones_are_named(flown, tmp_path):
    torn = tmp_path / "torn.jpg"
    data = bytearray(flown.photos[5].read_bytes())
    torn.write_bytes(data[: len(data) // 2])
    other = tmp_path / "other.jpg"
    noise = np.random.default_rng(1).integers(0, 255, (72, 96, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((960, 720), Image.Resampling.BICUBIC).save(other)
    (tmp_path / "text.jpg").write_text("no photo")
    paths = [*flown.photos[:4], torn, other, tmp_path / "text.jpg", tmp_path / "absent.jpg"]
    step = last(paths, tmp_path / "work")
    assert [v.name for v in step.scene.views] == [p.name for p in flown.photos[:4]]
    told = sorted(step.scene.warnings)
    assert len(told) == 4
    assert told[1].startswith("photo absent.jpg is left out: ")
    assert told[0] == (
        "1 of 5 photos is left out, with too little in common with the others to be placed: other.jpg"
    )
    assert told[2].startswith("photo text.jpg is left out: its header is damaged")
    assert told[3].startswith("photo torn.jpg is left out: its pixels can't be read")
    assert (step.facts.photos, step.facts.registered) == (8, 4)


@pytest.mark.parametrize(
    ("name", "value"), [("image_px", 50), ("focal", "maybe"), ("threads", 0), ("seed", -1)]
)
def test_impossible_setting_is_refused(flown, tmp_path, name, value):
    with pytest.raises(BadInput, match=name):
        list(sfm.solve(flown.photos, work=tmp_path, **{name: value}))


def test_file_in_the_way_of_the_work_is_refused(flown, tmp_path):
    (tmp_path / "work").write_text("")
    with pytest.raises(BadInput, match="work: found the file"):
        last(flown.photos, tmp_path / "work")
