"""Ground control points: read from either form, seen by the cameras, and deciding where there are three."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from pyproj import Transformer

from geolab.errors import BadInput, FileRejected, NotFound
from geolab.splats import gcp, georef
from geolab.splats.views import Camera

from .conftest import FRAME, GROUND

PLACES = np.array([[-20, -15, GROUND], [22, -12, GROUND], [18, 20, GROUND + 3], [-15, 17, GROUND]], float)
HEADER = "EPSG:32614"


def seen(flown, place) -> list[tuple[str, float, float]]:
    """Photo and pixel of each photo that shows a place [3], which is in the flight's frame."""
    from .conftest import TURN

    spot = TURN.apply(np.asarray(place)[None])[0]
    found = []
    for view in flown.scene.views:
        x, y, z = view.camera.world_to_camera[:3, :3] @ spot + view.camera.world_to_camera[:3, 3]
        u, v = view.camera.K[0, 0] * x / z + 16, view.camera.K[1, 1] * y / z + 12
        if z > 0 and 0 < u < 32 and 0 < v < 24:
            found.append((view.name, float(u), float(v)))
    return found


def odm(flown, places, shift=(0.0, 0.0, 0.0)) -> str:
    """A gcp_list.txt of places, which were surveyed with an error."""
    project = Transformer.from_crs("EPSG:4326", HEADER, always_xy=True)
    lines = [HEADER]
    for number, place in enumerate(places):
        lon, lat, height = FRAME.lonlat(np.asarray(place) + shift)[0]
        x, y = project.transform(lon, lat)
        lines += [
            f"{x:.4f} {y:.4f} {height:.4f} {u:.4f} {v:.4f} {name} gcp{number}"
            for name, u, v in seen(flown, place)
        ]
    return "\n".join(lines) + "\n"


def test_both_forms_give_the_same_points(tmp_path):
    (tmp_path / "gcp_list.txt").write_text(
        "WGS84 UTM 14N\n587000 3338000 250 100.5 200 a.jpg one\n587000 3338000 250 30 40 b.jpg one\n"
        "587010 3338000 251 1 2 a.jpg two\n"
    )
    (tmp_path / "points.csv").write_text(
        "name,x,y,z,px,py,photo,crs\none,587000,3338000,250,100.5,200,a.jpg,EPSG:32614\n"
        "one,587000,3338000,250,30,40,b.jpg,EPSG:32614\ntwo,587010,3338000,251,1,2,a.jpg,EPSG:32614\n"
    )
    listed, table = gcp.read(tmp_path / "gcp_list.txt"), gcp.read(tmp_path / "points.csv")
    assert listed.points == table.points
    assert [p.name for p in listed.points] == ["one", "two"]
    assert listed.points[0].marks == (gcp.Mark("a.jpg", (100.5, 200)), gcp.Mark("b.jpg", (30, 40)))
    lon, lat, height = listed.points[0].place
    assert (lon, lat, height) == pytest.approx((-98.0964, 30.1703, 250), abs=1e-3)


def test_csv_without_crs_is_longitude_and_latitude_and_names_may_be_absent(tmp_path):
    path = tmp_path / "points.csv"
    path.write_text(
        "x,y,z,px,py,photo\n-98.09,30.17,250,1,2,a.jpg\n-98.09,30.17,250,3,4,b.jpg\n-98,30,1,3,4,b.jpg\n"
    )
    points = gcp.read(path).points
    assert [len(p.marks) for p in points] == [2, 1]
    assert points[0].place == (-98.09, 30.17, 250)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it is empty"),
        ("EPSG:32614\n", "it holds no point"),
        ("EPSG:99999\n1 2 3 4 5 a.jpg\n", "'EPSG:99999' is no coordinate reference system"),
        ("/etc/passwd\n1 2 3 4 5 a.jpg\n", "'/etc/passwd' is no coordinate reference system"),
        ("+proj=utm +zone=14 +nadgrids=/etc/passwd\n1 2 3 4 5 a.jpg\n", "is no coordinate reference system"),
        ("EPSG:32614\n1 2 3 a.jpg\n", "line 2 has 4 words, expected x y z px py photo"),
        ("EPSG:32614\n1 2 drei 4 5 a.jpg\n", "line 2 holds no five numbers"),
        ("EPSG:32614\n1 2 nan 4 5 a.jpg\n", "line 2 holds a number that is not finite"),
        ("EPSG:4326\n1 200 3 4 5 a.jpg\n", "lies outside EPSG:4326"),
        ("EPSG:32614\n587000 9 2 4 5 a.jpg A\n587001 9 2 4 5 b.jpg A\n", "A has two different places"),
        ("x,y,px,py,photo\n1,2,3,4,a.jpg\n", "it has no column z"),
    ],
)  # fmt: skip
def test_damaged_file_is_refused_in_words(tmp_path, text, said):
    path = tmp_path / "gcp_list.txt"
    path.write_text(text)
    with pytest.raises(FileRejected, match="gcp_list") as refused:
        gcp.read(path)
    assert said in str(refused.value)


def test_absent_or_binary_file_is_refused(tmp_path):
    with pytest.raises(NotFound, match="no file of ground control points"):
        gcp.read(tmp_path / "absent.txt")
    (tmp_path / "gcp.txt").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(FileRejected, match="it is no text"):
        gcp.read(tmp_path / "gcp.txt")


def test_ray_of_a_distorted_pixel_is_the_one_that_made_it(fly):
    camera = dataclasses.replace(fly().scene.views[2].camera, model="SIMPLE_RADIAL", distortion=(-0.1,))
    x, y = 0.3, -0.2  # COLMAP's model: scaled by 1 + k r^2
    scaled = 1 - 0.1 * (x * x + y * y)
    direction = gcp.ray(camera, (30 * x * scaled + 16, 30 * y * scaled + 12))
    seen_by = camera.world_to_camera[:3, :3] @ direction
    assert seen_by[:2] / seen_by[2] == pytest.approx([x, y], abs=1e-9)
    assert isinstance(camera, Camera)


def test_three_points_decide_over_the_positions(fly, tmp_path):
    """The photos' positions are 4 m off, the survey is right."""
    flown = fly(stated=fly().places + np.array([4.0, 0, 0]), rtk=False)
    path = tmp_path / "gcp_list.txt"
    path.write_text(odm(flown, PLACES))
    scene, report = georef.locate(flown.scene, gcp=path)
    assert np.abs(scene.positions - scene.frame.enu(FRAME.lonlat(flown.places))).max() < 0.05
    assert report.method == "ground control points"
    assert [row["name"] for row in report.control] == ["gcp0", "gcp1", "gcp2", "gcp3"]
    assert max(report.control_rmse_m) < 0.02
    assert max(row["reprojection_px"] for row in report.control) < 0.01
    assert report.rmse_east_m == pytest.approx(4, abs=0.1)
    assert scene.frame.vertical_datum == "as of the control points (EPSG:32614)"
    assert "control points east, north, up" in report.summary()


def test_two_points_are_compared_only(fly, tmp_path):
    flown = fly()
    path = tmp_path / "gcp_list.txt"
    path.write_text(odm(flown, PLACES[:2], shift=(0.0, 0.0, -0.5)))
    scene, report = georef.locate(flown.scene, gcp=path)
    assert report.method.startswith("positions of the photos")
    assert [row["up_m"] for row in report.control] == pytest.approx([0.5, 0.5], abs=0.05)
    assert scene.frame.vertical_datum == "ellipsoid"


def test_point_marked_in_one_photo_is_named_and_left_out(fly, tmp_path):
    flown = fly()
    path = tmp_path / "gcp_list.txt"
    lines = odm(flown, PLACES).splitlines()
    first = [line for line in lines if line.endswith("gcp0")]
    path.write_text("\n".join([*(line for line in lines if line not in first[1:])]))
    scene, report = georef.locate(flown.scene, gcp=path)
    assert [row["name"] for row in report.control] == ["gcp1", "gcp2", "gcp3"]
    assert any("control point gcp0 is not used: 1 of the scene's photos mark it" in w for w in scene.warnings)


def test_points_on_one_line_are_refused(fly, tmp_path):
    flown = fly()
    path = tmp_path / "gcp_list.txt"
    path.write_text(odm(flown, [[x, 0, GROUND] for x in (-20, 0, 20)]))
    with pytest.raises(BadInput, match="ground control points: found 3 on one line, expected 3 or more"):
        georef.locate(flown.scene, gcp=path)


def test_control_points_place_a_scene_without_gps(fly, tmp_path):
    flown = fly(gps=False)
    path = tmp_path / "gcp_list.txt"
    path.write_text(odm(flown, PLACES))
    scene, report = georef.locate(flown.scene, gcp=path)
    assert np.abs(scene.positions - scene.frame.enu(FRAME.lonlat(flown.places))).max() < 0.05
    assert report.rmse_east_m is None
