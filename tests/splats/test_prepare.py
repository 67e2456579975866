"""From whatever a user names to a scene, a model and its products."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from geolab import raster, town
from geolab.errors import BadInput, FileRejected, NotFound
from geolab.settings import Settings
from geolab.splats import io, orthophoto, prepare, record, results
from geolab.splats.prepare import Ready, Request
from geolab.splats.scene import open_scene
from geolab.splats.train import TrainConfig, train


def ready(request: Request, work: Path, settings: Settings) -> Ready:
    last = None
    before = -1.0
    for last in prepare.steps(request, work=work, settings=settings):
        assert before <= last.done <= 1
        before = last.done
    assert last is not None
    assert last.done == 1
    assert last.ready is not None
    return last.ready


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten photos of a small town and their exact cameras."""
    return town.write(tmp_path_factory.mktemp("town"), seed=3, size_px=256, photos=10).folder


@pytest.fixture(scope="module")
def known(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Ready:
    work = tmp_path_factory.mktemp("known")
    return ready(Request(str(folder), image_px=400), work, Settings(home=work))


@pytest.fixture(scope="module")
def solved(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Ready:
    work = tmp_path_factory.mktemp("solved")
    return ready(Request(str(folder / "photos"), image_px=640), work, Settings(home=work))


def test_a_posed_scene_keeps_its_cameras_and_gets_points(known: Ready, folder: Path):
    assert known.cameras_from == prepare.KNOWN
    assert known.solution is None
    assert len(known.scene.views) == 10
    assert known.scene.points is not None
    assert len(known.scene.points) > 100
    assert known.scene.frame is not None
    exact = open_scene(folder)
    assert known.scene.frame == exact.frame
    assert [v.camera.position.tolist() for v in known.scene.views] == [
        v.camera.position.tolist() for v in exact.views
    ]


def test_photos_alone_come_to_the_same_place(known: Ready, solved: Ready):
    assert solved.cameras_from == prepare.SOLVED
    assert solved.scene.frame is not None
    assert known.scene.frame is not None
    exact = {v.name: known.scene.frame.lonlat(v.camera.position)[0] for v in known.scene.views}
    found = {v.name: solved.scene.frame.lonlat(v.camera.position)[0] for v in solved.scene.views}
    assert len(found) >= 9
    off = [known.scene.frame.enu(found[n]) - known.scene.frame.enu(exact[n]) for n in found]
    assert np.abs(off).max() < 0.5


def test_facts_and_summary_tell_how_it_came_about(known: Ready, solved: Ready):
    assert solved.facts["sfm"]["registered"] == len(solved.scene.views)
    assert "sfm" not in known.facts
    json.dumps(solved.facts, allow_nan=False)
    assert solved.summary()["cameras from"] == "structure from motion"
    assert solved.summary()["pixel on the ground"].endswith(" m")


def test_photos_cannot_be_trained_without_structure_from_motion(folder: Path, tmp_path: Path):
    request = Request(str(folder / "photos"), sfm="no")
    with pytest.raises(BadInput, match=r"without cameras, expected COLMAP.*sfm=auto"):
        ready(request, tmp_path, Settings(home=tmp_path))


def test_control_points_must_be_a_local_file(folder: Path, tmp_path: Path):
    request = Request(str(folder), gcp="s3://bucket/gcp.txt", image_px=320)
    with pytest.raises(BadInput, match=r"gcp: found s3://bucket/gcp\.txt, expected a file on this machine"):
        ready(request, tmp_path, Settings(home=tmp_path))


def test_a_wrong_word_for_sfm_is_refused():
    with pytest.raises(BadInput, match="sfm: found 'maybe', expected auto, yes or no"):
        Request("photos", sfm="maybe")  # pyright: ignore[reportArgumentType]


# ---------------------------------------------------------------- the model and its products


@pytest.fixture(scope="module")
def saved(known: Ready, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """The file of a model that was trained for a moment, and what its run reports."""
    place = tmp_path_factory.mktemp("saved")
    step = None
    for step in train(known.scene, config=TrainConfig(steps=12, image_px=128, cap=4000)):
        assert results.metrics(step)["train_loss"] == step.loss
    assert step is not None
    assert step.model is not None
    assert {"val_psnr", "val_ssim", "memory_mb"} <= set(results.metrics(step))
    ply, spz = results.save(place, step.model, known, image_px=128)
    return ply, dict(results.report(ply, spz, step.model, known))


def test_the_file_of_a_model_tells_its_cameras_and_its_scores(saved: tuple[Path, dict], known: Ready):
    ply, report = saved
    meta = io.read(ply).meta
    assert len(record.cameras(meta)) == 10
    assert meta["psnr"] == report["psnr"] > 5
    assert meta["georeference"] == known.report.as_json() == report["georeference"]
    assert report["item"].startswith("splats-")
    assert report["gaussians"] == len(io.read(report["spz"]).gaussians)


def test_the_orthophoto_of_a_file_needs_nothing_but_the_file(saved: tuple[Path, dict], tmp_path: Path):
    *_, tile = orthophoto.steps(io.read(saved[0]), out=tmp_path)
    assert tile.products is not None
    info = raster.read_info(str(tile.products.orthophoto))
    assert info.transform.a == pytest.approx(record.product_gsd(io.read(saved[0]).meta))
    assert tile.products.covered > 0.3


def test_a_footprint_is_read_from_a_file(saved: tuple[Path, dict], tmp_path: Path):
    splats = io.read(saved[0])
    assert splats.frame is not None
    corners = splats.frame.lonlat([[-8, -8, 0], [8, -8, 0], [8, 8, 0], [-8, 8, 0], [-8, -8, 0]])[:, :2]
    area = tmp_path / "area.geojson"
    area.write_text(json.dumps({"type": "Polygon", "coordinates": [corners.tolist()]}))
    *_, tile = orthophoto.steps(splats, out=tmp_path, gsd_m=0.5, footprint=str(area))
    assert tile.products is not None
    assert abs(tile.products.grid.width * 0.5 - 16) <= 1


def test_a_model_without_a_place_has_no_orthophoto(saved: tuple[Path, dict], tmp_path: Path):
    read = io.read(saved[0])
    assert list(orthophoto.steps(io.Splats(read.gaussians, None, read.meta), out=tmp_path)) == []


def test_footprints_that_are_none_are_refused_in_a_line(tmp_path: Path):
    with pytest.raises(NotFound, match="no-such"):
        orthophoto.read_area(str(tmp_path / "no-such.geojson"))
    bad = tmp_path / "bad.geojson"
    for text, why in (("{", "not GeoJSON"), ("[1]", "a list, not an object"), ("[" * 99_999, "not GeoJSON")):
        bad.write_text(text)
        with pytest.raises(FileRejected, match=why):
            orthophoto.read_area(bad)


def test_a_folder_that_is_nothing_says_so(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="photos: found none"):
        ready(Request(str(tmp_path / "empty")), tmp_path / "work", Settings(home=tmp_path))
    shutil.rmtree(tmp_path / "empty")
    with pytest.raises(NotFound):
        ready(Request(str(tmp_path / "empty")), tmp_path / "work", Settings(home=tmp_path))
