"""Areas on the ellipsoid, and how they are said."""

from __future__ import annotations

import math

import pytest

from geolab.errors import BadInput
from geolab.maps import area


def box(west: float, south: float, east: float, north: float) -> dict:
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def test_a_small_square_has_the_area_of_its_utm_grid():
    from rasterio.warp import transform_geom

    square = {
        "type": "Polygon",
        "coordinates": [[[5e5, 5.3e6], [5.01e5, 5.3e6], [5.01e5, 5.301e6], [5e5, 5.301e6], [5e5, 5.3e6]]],
    }
    on_earth = transform_geom("EPSG:32632", "EPSG:4326", square, precision=12)
    assert area.square_metres(on_earth) == pytest.approx(1e6 / 0.9996**2, rel=2e-5)


def test_a_degree_is_smaller_near_the_pole():
    at = [area.square_metres(box(10, lat, 11, lat + 1)) for lat in (0, 48, 80)]
    assert at[0] == pytest.approx(111.32e3 * 110.57e3, rel=2e-3)
    assert at[1] / at[0] == pytest.approx(math.cos(math.radians(48.5)), rel=0.02)
    assert at[0] > at[1] > at[2]


def test_a_hole_is_left_out_and_the_direction_does_not_matter():
    outer = box(10, 48, 10.02, 48.01)["coordinates"][0]
    hole = box(10.005, 48.002, 10.01, 48.005)["coordinates"][0]
    whole, less = (
        area.square_metres(box(10, 48, 10.02, 48.01)),
        area.square_metres({"type": "Polygon", "coordinates": [outer, hole[::-1]]}),
    )
    assert whole - less == pytest.approx(
        area.square_metres({"type": "Polygon", "coordinates": [hole]}), rel=1e-4
    )
    assert area.square_metres({"type": "Polygon", "coordinates": [outer[::-1]]}) == pytest.approx(whole)


def test_an_area_across_the_date_line_is_as_large_as_elsewhere():
    across = {
        "type": "Polygon",
        "coordinates": [[[179.9, 10], [180.1, 10], [180.1, 10.1], [179.9, 10.1], [179.9, 10]]],
    }
    assert area.square_metres(across) == pytest.approx(area.square_metres(box(20, 10, 20.2, 10.1)), rel=1e-4)
    west, south, east, north = area.box(across)
    assert (west, south, east, north) == pytest.approx((179.9, 10, -179.9, 10.1))


@pytest.mark.parametrize(
    "m2, words",
    [
        (640.4, "640 m²"),
        (124_000, "12.4 ha"),
        (3_210_000, "3.21 km²"),
        (12_431e6, "12,431 km²"),
        (9_999, "9999 m²"),
    ],
)
def test_areas_are_said_in_units_that_fit(m2, words):
    assert area.words(m2) == words


def test_what_has_no_area_is_refused():
    with pytest.raises(BadInput, match="a polygon"):
        area.square_metres({"type": "Point", "coordinates": [1, 2]})
