"""Scenes put on the Earth: cameras come back to where they were, and doubts are told."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from geolab.errors import BadInput
from geolab.splats import georef
from geolab.splats.views import Scene

from .conftest import FRAME, GROUND, TURN, K, axes, block, line


def off(scene: Scene, places: np.ndarray) -> np.ndarray:
    """How far cameras [V, 3] are from where they really were, metres."""
    assert scene.frame is not None
    return scene.positions - scene.frame.enu(FRAME.lonlat(places))


def test_exact_positions_put_every_camera_and_point_back(fly):
    flown = fly()
    scene, report = georef.locate(flown.scene)
    assert np.abs(off(scene, flown.places)).max() < 0.01
    np.testing.assert_allclose(scene.points.xyz, scene.frame.enu(FRAME.lonlat(flown.ground)), atol=0.01)
    assert scene.views[3].camera.world_to_camera[:3, :3] == pytest.approx(axes(180, -91), abs=1e-4)
    assert (report.used, report.outliers, report.rotation_from) == (16, (), "positions")
    assert report.scale == pytest.approx(1 / 0.07, rel=1e-4)
    assert report.height_ratio == pytest.approx(1, abs=0.02)
    assert report.focal_drift_pct == pytest.approx(0, abs=0.01)


def test_origin_lies_on_the_ground_below_the_cameras(fly):
    scene, _ = georef.locate(fly().scene)
    assert scene.frame.height_m == pytest.approx(FRAME.height_m + GROUND, abs=0.2)
    assert np.abs(scene.positions[:, :2].mean(axis=0)).max() < 0.1
    assert scene.frame.vertical_datum == "ellipsoid"
    assert scene.frame.epoch == "2024-09-18"


def test_noise_is_reported_as_it_is(fly):
    places, *_ = block()
    noise = np.random.default_rng(0).normal(size=places.shape) * [1.0, 1.0, 3.0]
    scene, report = georef.locate(fly(stated=places + noise, rtk=False).scene)
    assert 0.5 < report.rmse_east_m < 1.5
    assert 0.5 < report.rmse_north_m < 1.5
    assert 1.5 < report.rmse_up_m < 4.5
    assert np.abs(off(scene, places)).max() < 3
    assert scene.frame.uncertainty_m == (5.0, 5.0, 10.0)


def test_scale_is_told_as_well_as_the_positions_know_it(fly):
    places, *_ = block()
    rng = np.random.default_rng(0)
    told, off = [], []
    for _ in range(8):
        noise = rng.normal(size=places.shape) * [5.0, 5.0, 1.0]
        scene, report = georef.locate(fly(stated=places + noise, rtk=False).scene)
        told.append(report.scale_sigma_pct)
        off.append(100 * (report.scale * TURN.scale - 1))
    assert 0.5 < np.sqrt(np.mean(np.square(told))) / np.sqrt(np.mean(np.square(off))) < 2
    assert georef.locate(fly().scene)[1].scale_sigma_pct < 0.1
    noise = rng.normal(size=places.shape) * [15.0, 15.0, 1.0]
    scene, report = georef.locate(fly(stated=places + noise, rtk=False).scene)
    assert report.scale_sigma_pct > 5
    assert any("tell the scale to ±" in w for w in scene.warnings)


def test_photo_with_a_wrong_position_is_named_and_does_not_count(fly):
    places, *_ = block()
    stated = places.copy()
    stated[5] += [250.0, -90.0, 20.0]
    flown = fly(stated=stated)
    scene, report = georef.locate(flown.scene)
    assert report.outliers == ("photo-05.jpg",)
    assert np.abs(off(scene, places)).max() < 0.05
    assert any("photo-05.jpg states a position that the others contradict" in w for w in scene.warnings)


def test_heights_that_drift_do_not_tilt_the_ground(fly):
    places, *_ = block()
    stated = places + np.column_stack([np.zeros((16, 2)), places[:, 0]])  # 80 m of drift over 80 m
    scene, report = georef.locate(fly(stated=stated, gimbal=False, rtk=False).scene)
    assert report.tilt_deg < 0.5
    assert "look straight down on average, flown at one height" in report.rotation_from
    assert any("heights that the photos state scatter by" in w for w in scene.warnings)
    assert report.sigma_m[2] > 20


@pytest.mark.parametrize("gimbal", [True, False])
def test_flight_along_one_line_is_not_rolled_about_it(fly, gimbal):
    places, *_ = line()
    noise = np.random.default_rng(0).normal(size=places.shape)
    scene, report = georef.locate(fly(line(), stated=places + noise, gimbal=gimbal, rtk=False).scene)
    assert report.tilt_deg < 1.5
    assert ("gimbal" if gimbal else "straight down") in report.rotation_from
    assert np.abs(off(scene, places)).max() < 4


def test_line_of_oblique_photos_without_gimbal_angles_is_not_placed(fly):
    places, yaws, _ = line()
    flown = fly((places, yaws, [-45.0] * len(places)), gimbal=False, rtk=False)
    scene, _ = georef.locate(flown.scene)
    assert scene.frame is None
    assert "photos near one line, the turn about which is known to" in scene.warnings[0]
    with pytest.raises(
        BadInput, match=r"photos near one line.*expected 3 .* on two flight lines or with gimbal"
    ):
        georef.locate(flown.scene, required=True)


def test_positions_that_have_nothing_to_do_with_the_cameras_do_not_place_them(fly):
    places, *_ = block()
    stated = places * [1, 1, 0] + [0, 0, 60]
    stated[:, :2] = np.random.default_rng(1).permutation(stated[:, :2] * 1.5)
    scene, _ = georef.locate(fly(stated=stated, rtk=False).scene)
    assert scene.frame is None
    assert "photos state positions that have nothing to do with their cameras" in scene.warnings[0]


def test_photos_from_one_place_are_not_placed(fly):
    flown = fly()
    still = flown.scene.views[0].camera
    views = tuple(dataclasses.replace(v, camera=still) for v in flown.scene.views)
    scene, _ = georef.locate(dataclasses.replace(flown.scene, views=views))
    assert scene.frame is None
    assert scene.warnings[0].endswith("16 photos were all taken from one place")


def test_level_oblique_cameras_all_round_tell_up(fly):
    places, *_ = line()
    yaws = np.linspace(0, 300, len(places)).tolist()
    scene, report = georef.locate(fly((places, yaws, [-40.0] * len(places)), gimbal=False, rtk=False).scene)
    assert "level cameras" in report.rotation_from
    assert report.tilt_deg < 1.5
    assert np.abs(off(scene, places)).max() < 1


def test_photos_without_gps_leave_the_scene_where_it_is(fly):
    flown = fly(gps=False)
    scene, report = georef.locate(flown.scene)
    assert scene.frame is None
    assert scene.views == flown.scene.views
    assert scene.warnings == (
        "the model is not placed on the Earth and has no scale: 0 of 16 photos state where they were taken",
    )
    assert report.method == "none"
    assert report.summary() == {"place": scene.warnings[0]}
    with pytest.raises(
        BadInput, match=r"positions: found 0 of 16 photos state .*expected 3 or more photos with GPS"
    ):
        georef.locate(flown.scene, required=True)


def test_photos_that_state_one_and_the_same_place_do_not_locate(fly):
    places, *_ = block()
    scene, _ = georef.locate(fly(stated=np.tile(places[:1], (len(places), 1))).scene)
    assert scene.frame is None
    assert scene.warnings[0].endswith("16 photos all state the same place")


def test_located_scene_is_measured_and_not_moved(fly):
    scene, _ = georef.locate(fly().scene)
    again, report = georef.locate(scene)
    assert again == scene
    assert report.method == "the scene's own frame"
    assert report.rmse_east_m < 0.01


def test_wrong_focal_length_shows_in_the_report(fly):
    flown = fly()
    long = K * [[1.2], [1.2], [1]]
    views = tuple(
        dataclasses.replace(v, camera=dataclasses.replace(v.camera, K=long)) for v in flown.scene.views
    )
    scene, report = georef.locate(dataclasses.replace(flown.scene, views=views))
    assert report.focal_drift_pct == pytest.approx(20, abs=0.1)
    assert any("the focal length is +20.0 % off" in w for w in scene.warnings)


def test_ground_nearer_than_the_drone_says_is_told(fly):
    flown = fly()
    low = dataclasses.replace(flown.scene.points, xyz=TURN.apply(flown.ground + np.array([0, 0, 20.0])))
    scene, report = georef.locate(dataclasses.replace(flown.scene, points=low))
    assert report.height_ratio == pytest.approx(60 / 80, abs=0.02)
    assert any("heights above ground are 0.75 times" in w for w in scene.warnings)


def test_report_is_json(fly):
    _, report = georef.locate(fly().scene)
    told = json.loads(json.dumps(report.as_json()))
    assert {
        "rmse_east_m",
        "rmse_north_m",
        "rmse_up_m",
        "tilt_deg",
        "focal_drift_pct",
        "height_ratio",
    } <= told.keys()
    assert all(isinstance(v, str) for v in report.summary().values())
