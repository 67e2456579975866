"""The door of scenes: kinds, held-out views, absences, checks."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from geolab import town
from geolab.errors import BadInput, FileRejected, NotFound
from geolab.settings import Settings
from geolab.splats import scene
from geolab.splats.views import Points


@pytest.fixture(scope="session")
def town_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("town")
    town.write(folder, seed=3, size_px=128, photos=3, gps_noise_m=0.5)
    return folder


def test_the_town_opens_with_its_exact_cameras_and_frame(town_folder: Path) -> None:
    found = scene.open_scene(town_folder)
    flight = town.drone.plan(town.world(3, 128), 3)
    assert [v.name for v in found.views] == [c.name for c in flight.cameras]
    assert np.allclose(found.positions, [c.position for c in flight.cameras], atol=1e-12)
    assert np.array_equal(found.views[1].camera.K, flight.cameras[1].K)
    frame = found.frame
    assert frame is not None
    assert (frame.lon, frame.lat) == (flight.frame.lon, flight.frame.lat)
    assert frame.vertical_datum == "ellipsoid"
    assert frame.epoch == f"{flight.cameras[0].taken:%Y-%m-%d}"
    assert found.warnings == ()
    assert found.points is None


def test_the_town_tells_where_gps_saw_its_photos(town_folder: Path) -> None:
    found = scene.open_scene(town_folder)
    assert found.frame is not None
    off = found.frame.enu([v.measured for v in found.views if v.measured]) - found.positions
    assert 0.05 < np.abs(off).max() < 3  # half a metre of noise


@pytest.mark.parametrize(
    ("every", "expected"),
    [(8, {"p0.jpg", "p8.jpg"}), (4, {"p0.jpg", "p4.jpg", "p8.jpg"}), (0, set())],
)
def test_every_so_many_th_view_is_held_out_by_name(project: Path, every: int, expected: set[str]) -> None:
    found = scene.open_scene(project, held_out=every)
    assert found.held_out == expected
    assert [v.name for v in found.training] == sorted({f"p{k}.jpg" for k in range(9)} - expected)


def test_named_views_are_held_out(project: Path) -> None:
    assert scene.open_scene(project, held_out=["p3.jpg", "p5.jpg"]).held_out == {"p3.jpg", "p5.jpg"}


def test_an_unknown_held_out_view_is_refused_with_a_suggestion(project: Path) -> None:
    with pytest.raises(NotFound, match=r"no view 'p3.jpeg'; did you mean 'p3.jpg'\?"):
        scene.open_scene(project, held_out=["p3.jpeg"])


def test_holding_out_all_views_is_refused(project: Path) -> None:
    with pytest.raises(BadInput, match=r"held_out: found all 9 views, expected at least one to train on"):
        scene.open_scene(project, held_out=[f"p{k}.jpg" for k in range(9)])
    with pytest.raises(BadInput, match=r"held_out: found 1, expected 0 for none, or 2 or more"):
        scene.open_scene(project, held_out=1)


def test_absent_photos_are_named_and_left_out_and_refused_under_strict(project: Path) -> None:
    for k in (1, 2, 4, 6):
        (project / "images" / f"p{k}.jpg").unlink()
    found = scene.open_scene(project)
    assert len(found.views) == 5
    line = "4 of 9 photos are not there and were left out: p1.jpg, p2.jpg, p4.jpg, …"
    assert found.warnings == (line,)
    with pytest.raises(BadInput, match=r"4 of 9 photos are not there.*p1.jpg.*or open it without strict"):
        scene.open_scene(project, strict=True)


def test_a_photo_that_cannot_be_read_is_left_out_by_name(project: Path) -> None:
    (project / "images" / "p4.jpg").write_bytes(b"no photo")
    found = scene.open_scene(project)
    assert len(found.views) == 8
    assert found.warnings[0].startswith("1 of 9 photos can't be read and were left out: p4.jpg (its header")


def test_a_scene_without_any_photo_is_refused_in_one_line(project: Path) -> None:
    shutil.rmtree(project / "images")
    with pytest.raises(BadInput, match=r"9 of 9 photos are not there.*copy or pose what is missing$"):
        scene.open_scene(project)


def test_photos_of_another_size_scale_their_cameras_and_say_so(small, project: Path) -> None:
    small.photos(project / "images", (96, 72))
    found = scene.open_scene(project)
    assert np.allclose(found.views[0].camera.K[:2], small.K[:2] * 2)
    assert (found.views[0].camera.width, found.views[0].camera.height) == (96, 72)
    assert found.warnings == (
        "9 of 9 photos have another size than their cameras were made for (p0.jpg is 96 x 72, its camera "
        "48 x 36): the cameras were scaled",
    )


def test_photos_of_another_shape_are_refused(small, project: Path) -> None:
    small.photos(project / "images", (48, 48))
    with pytest.raises(FileRejected, match=r"it is 48 x 48 pixels, its camera 48 x 36, of another shape"):
        scene.open_scene(project)


def test_kinds_are_told_apart(small, project: Path, town_folder: Path, tmp_path: Path) -> None:
    assert scene.kind(project) == "colmap"
    assert scene.kind(project / "sparse" / "0") == "colmap"
    assert scene.kind(project / "images") == "photos"
    assert scene.kind(town_folder) == scene.kind(town_folder / "cameras.json") == "town"
    named = small.transforms(tmp_path / "other" / "poses_v2.json")
    assert scene.kind(named) == "transforms"
    (tmp_path / "empty").mkdir()
    assert scene.kind(tmp_path / "empty") is None


def test_folders_without_poses_are_refused_in_one_line(project: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"photos but no poses, expected sparse/ of COLMAP.*run structure"):
        scene.open_scene(project / "images")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match=r"neither photos nor poses"):
        scene.open_scene(tmp_path / "empty")
    with pytest.raises(NotFound, match=r"no folder of photos"):
        scene.open_scene(tmp_path / "nowhere")


# ---------------------------------------------------------------- checks


def test_a_good_scene_passes_its_check(project: Path) -> None:
    assert scene.check(scene.open_scene(project)) == ()


def test_cameras_that_look_away_are_one_clear_line(project: Path) -> None:
    found = scene.open_scene(project)
    turned = np.diag([-1.0, 1, -1, 1])  # about the vertical: they look out

    def away(view):
        pose = turned @ view.camera.world_to_camera
        return dataclasses.replace(view, camera=dataclasses.replace(view.camera, world_to_camera=pose))

    behind = dataclasses.replace(found, views=tuple(away(v) for v in found.views))
    with pytest.raises(BadInput, match=r"cameras: found none of 7 with one of the scene's 12 points in view"):
        scene.check(behind)
    some = dataclasses.replace(found, views=(*found.views[:1], away(found.views[1]), *found.views[2:]))
    assert scene.check(some) == ("1 of 7 views have none of the scene's points in view: p1.jpg",)


def test_views_from_one_place_are_refused(project: Path) -> None:
    found = scene.open_scene(project, held_out=0)
    turned = []
    for k, view in enumerate(found.views[:3]):  # about the same centre, but for rounding
        pose, turn = view.camera.world_to_camera.copy(), Rotation.from_euler("z", k).as_matrix()
        pose[:3, :3] = turn @ pose[:3, :3]
        pose[:3, 3] = -pose[:3, :3] @ np.array([1.3, 4.7, 2.9])
        turned.append(
            dataclasses.replace(view, camera=dataclasses.replace(view.camera, world_to_camera=pose))
        )
    with pytest.raises(BadInput, match=r"3 views from one place"):
        scene.check(dataclasses.replace(found, views=tuple(turned), points=None))
    with pytest.raises(BadInput, match=r"1 view to train on"):
        scene.check(dataclasses.replace(found, views=found.views[:1]))


def test_seeing_agrees_with_a_loop(project: Path) -> None:
    found, rng = scene.open_scene(project), np.random.default_rng(1)
    for view in found.views:
        for xyz in rng.normal(size=(40, 3)) * 3:
            x, y, z, _ = view.camera.world_to_camera @ [*xyz, 1]
            u, v, w = view.camera.K @ [x, y, z]
            slow = z > 0 and 0 <= u / w <= 48 and 0 <= v / w <= 36
            assert scene.sees(view.camera, Points(xyz[None], np.zeros((1, 3), np.uint8)).xyz) == slow


# ---------------------------------------------------------------- sources


def test_a_scene_is_fetched_from_a_uri(project: Path, workspace: Settings) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.put(f"{project}/", "/bucket/scene/", recursive=True)
    try:
        found = scene.open_scene("memory://bucket/scene", settings=workspace)
        assert len(found.views) == 9
        assert found.source == "memory://bucket/scene"
        assert all(v.image.is_relative_to(workspace.home) for v in found.views)
        with pytest.raises(NotFound):
            scene.open_scene("memory://bucket/nothing", settings=workspace)
    finally:
        memory.rm("/bucket", recursive=True)


def test_photos_of_a_folder_tell_where_and_when(town_folder: Path) -> None:
    found = scene.photos(town_folder / "photos")
    assert [p.name for p in found] == ["town-001.jpg", "town-002.jpg", "town-003.jpg"]
    assert found[0].measured is not None
    assert found[0].taken.endswith("Z")
    assert found[0].datum == "ellipsoid"
    assert found[0].focal_px == pytest.approx(town.drone.FOCAL_PX, rel=1e-3)
    assert found[0].above_takeoff_m == pytest.approx(66, abs=2)


def test_photos_come_from_a_collection_under_their_own_names(town_folder: Path, workspace: Settings) -> None:
    from geolab import ingest

    list(ingest.ingest([town_folder / "photos"], collection="flight", settings=workspace))
    found = scene.photos("flight", settings=workspace)
    assert [p.name for p in found] == ["town-001.jpg", "town-002.jpg", "town-003.jpg"]
    assert all(len(p.item) > 6 for p in found)
    assert found[0].path.read_bytes() == (town_folder / "photos" / "town-001.jpg").read_bytes()
    assert scene.kind("flight", settings=workspace) == "photos"
    with pytest.raises(NotFound, match=r"did you mean 'flight'"):
        scene.photos("fligth", settings=workspace)


def test_a_photo_that_cannot_be_read_stays_in_the_list_with_its_problem(project: Path) -> None:
    (project / "images" / "p2.jpg").write_bytes(b"")
    found = scene.photos(project)
    assert [p.name for p in found if p.problem] == ["p2.jpg"]
    assert len(found) == 9


def test_hostile_names_become_safe_ones() -> None:
    from geolab.splats.loaders.sources import safe_name

    assert safe_name("../../etc/passwd") == "passwd"
    assert safe_name("a b;$(rm -rf ~).jpg") == "a_b_rm_-rf"
    assert safe_name("...") == "photo"
    assert safe_name("C:\\x\\é.jpg") == "photo"
