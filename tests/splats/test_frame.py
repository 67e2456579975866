"""The local frame: true east, north, up, in float64."""

import json

import numpy as np
import pytest
from pyproj import Geod, Transformer

from geolab import town
from geolab.errors import BadInput
from geolab.splats.frame import Frame
from geolab.town import drone

PLACES = [(-98.089, 30.171, 350.0), (18.4, -33.9, 12.0), (179.9999, 71.0, 0.0), (-0.1, 51.5, 5000.0)]


@pytest.mark.parametrize("place", PLACES)
def test_a_point_and_back_is_the_same_point(place):
    frame = Frame(*place)
    enu = np.random.default_rng(0).uniform(-3000, 3000, (50, 3))
    np.testing.assert_allclose(frame.enu(frame.lonlat(enu)), enu, atol=2e-7)


@pytest.mark.parametrize("place", PLACES)
def test_east_and_north_are_true_ones_and_metres_are_metres(place):
    frame = Frame(*place)
    to = frame.lonlat([[100.0, 0, 0], [0, 100.0, 0]])
    for (lon, lat, _), azimuth in zip(to, (90.0, 0.0), strict=True):
        found, _, metres = Geod(ellps="WGS84").inv(place[0], place[1], lon, lat)
        assert found == pytest.approx(azimuth, abs=0.01)
        assert metres == pytest.approx(100 / (1 + place[2] / 6.37e6), rel=1e-3)


def test_the_matrix_to_the_geocentre_agrees_with_lonlat():
    frame = Frame(-98.089, 30.171, 350.0)
    enu = np.array([[12.0, -40.0, 7.5]])
    earth = Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True).transform(*frame.lonlat(enu)[0])
    np.testing.assert_allclose((frame.enu_to_ecef @ [12.0, -40.0, 7.5, 1])[:3], earth, atol=1e-7)


def test_it_is_the_frame_of_the_sample_towns_cameras():
    flight = drone.plan(town.world(seed=3, size_px=512), 6)
    frame = Frame(flight.frame.lon, flight.frame.lat, flight.frame.height, "ellipsoid")
    enu = np.array([camera.position for camera in flight.cameras])
    np.testing.assert_allclose(frame.lonlat(enu), flight.frame.lonlat(enu), atol=1e-9)


@pytest.mark.parametrize(
    ("lon", "lat", "crs"),
    [
        (-98.1, 30.2, "EPSG:32614"),
        (18.4, -33.9, "EPSG:32734"),
        (180.0, 10.0, "EPSG:32601"),
        (-180.0, 1, "EPSG:32601"),
    ],
)
def test_the_crs_is_the_utm_zone_of_the_origin(lon, lat, crs):
    assert Frame(lon, lat).crs == crs


def test_a_frame_survives_json():
    frame = Frame(-98.1, 30.2, 301.25, "EGM96", "2014-11-24", (0.4, 0.5, 1.2))
    assert Frame.from_json(json.loads(json.dumps(frame.as_json()))) == frame


@pytest.mark.parametrize("origin", [(200, 0, 0), (0, 91, 0), (float("nan"), 0, 0), (0, 0, 1e9)])
def test_an_impossible_origin_is_one_line(origin):
    with pytest.raises(BadInput, match=r"^origin: found .* expected longitude, latitude"):
        Frame(*origin)


@pytest.mark.parametrize(
    "told", [{}, {"lon": "x", "lat": 1, "height_m": 1}, {"lon": 1, "lat": 1, "height_m": None}]
)
def test_json_that_is_no_frame_is_one_line(told):
    with pytest.raises(BadInput, match=r"^frame: found"):
        Frame.from_json(told)
