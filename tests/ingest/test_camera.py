from __future__ import annotations

import numpy as np
import pytest
from pyproj import Geod
from scipy.spatial.transform import Rotation

from geolab.ingest import camera
from geolab.ingest.camera import View
from geolab.ingest.exif import Exif

GEOD = Geod(ellps="WGS84")
NADIR = View(lon=9.0, lat=49.0, height_m=100, yaw=0, pitch=-90, roll=0, focal_px=1000, width=1200, height=800)


def view(**changes: float) -> View:
    return View(**{**NADIR.__dict__, **changes})


def metres(lon, lat) -> np.ndarray:
    """[points, 2] east and north of the camera."""
    azimuth, _, distance = GEOD.inv(np.full_like(lon, 9.0), np.full_like(lat, 49.0), lon, lat)
    return np.column_stack([np.sin(np.radians(azimuth)) * distance, np.cos(np.radians(azimuth)) * distance])


def slow_corners(v: View) -> np.ndarray:
    """Corners by rotating a camera that looks north, level: roll, then pitch, then yaw."""
    turn = (
        Rotation.from_euler("z", -v.yaw, degrees=True)
        * Rotation.from_euler("x", v.pitch, degrees=True)
        * Rotation.from_euler("y", v.roll, degrees=True)
    )
    corners = []
    for x, y in ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)):
        east, north, up = turn.apply([x * v.width, v.focal_px, -y * v.height])
        corners.append((east / -up * v.height_m, north / -up * v.height_m))
    return np.array(corners)


def test_a_nadir_photo_covers_size_times_height_over_focal_length():
    corners = metres(*camera.footprint(NADIR))
    np.testing.assert_allclose(corners, [(-60, 40), (60, 40), (60, -40), (-60, -40)], atol=1e-3)
    assert camera.gsd_m(NADIR) == pytest.approx(0.1)


def test_yaw_turns_the_top_of_the_picture_to_the_east():
    corners = metres(*camera.footprint(view(yaw=90)))
    np.testing.assert_allclose(corners, [(40, 60), (40, -60), (-40, -60), (-40, 60)], atol=1e-3)


@pytest.mark.parametrize(
    "changes",
    [
        {"yaw": 37},
        {"yaw": -120, "pitch": -60},
        {"yaw": 200, "pitch": -45, "roll": 8},
        {"yaw": 10, "pitch": -70, "roll": -20},
        {"yaw": 10, "pitch": -100, "roll": 3},
    ],
)
def test_footprints_equal_those_of_rotation_matrices(changes):
    v = view(**changes)
    np.testing.assert_allclose(metres(*camera.footprint(v)), slow_corners(v), rtol=1e-4, atol=0.02)


def test_towards_the_horizon_a_footprint_ends():
    outline = metres(*camera.footprint(view(pitch=-15)))
    assert np.hypot(*outline.T).max() == pytest.approx(1000, rel=1e-3)
    assert (outline[:, 1] > 0).all()
    assert camera.footprint_geojson(view(pitch=-15))["type"] == "Polygon"


@pytest.mark.parametrize("changes", [{"pitch": 0}, {"pitch": 30}, {"height_m": 0}, {"height_m": -5}])
def test_a_camera_that_sees_no_ground_has_no_footprint(changes):
    assert camera.footprint(view(**changes)) is None


def test_a_footprint_across_the_antimeridian_is_cut():
    assert camera.footprint_geojson(view(lon=179.9999))["type"] == "MultiPolygon"


SX260 = Exif(focal_mm=4.5, sensor_mm=(6.1976, 4.6482), exif_width=4000, exif_height=3000)


@pytest.mark.parametrize(
    "size,expected", [((4000, 3000), 2904.4), ((1280, 960), 929.4), ((960, 1280), 929.4)]
)
def test_the_focal_length_is_that_of_the_pixels_there_are(size, expected):
    assert camera.focal_px(SX260, *size) == pytest.approx(expected, rel=1e-3)


def test_of_a_cropped_photo_the_focal_length_is_unknown():
    assert camera.focal_px(SX260, 1280, 720) is None


def test_the_35_mm_equivalent_counts_by_diagonals():
    assert camera.focal_px(Exif(focal_35mm=24), 3600, 2400) == pytest.approx(2400)
    assert camera.focal_px(Exif(focal_mm=4.5), 3600, 2400) is None


def test_a_calibrated_focal_length_wins_and_scales():
    exif = Exif(focal_35mm=24, exif_width=5472, exif_height=3648)
    assert camera.focal_px(exif, 1368, 912, calibrated_px=3666.0) == pytest.approx(916.5)
