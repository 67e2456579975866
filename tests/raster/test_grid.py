"""Sizes and outlines against slow, obvious computations with geodesics."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pyproj import Geod, Transformer
from rasterio import Affine
from rasterio.crs import CRS
from shapely.geometry import Point, shape

from geolab import raster
from geolab.errors import BadInput, GridMismatch

GEOD = Geod(ellps="WGS84")


def info_on(info: raster.Info, crs: str | None, transform: Affine, height: int, width: int) -> raster.Info:
    return replace(
        info,
        crs=None if crs is None else CRS.from_string(crs),
        transform=transform,
        height=height,
        width=width,
    )


@pytest.fixture
def info(make) -> raster.Info:
    return raster.read_info(make())


def geodesic_pixel_area(info: raster.Info, row: int, side: int) -> float:
    """Area of a block of side x side pixels by a geodesic polygon with many vertices, per pixel."""
    t = np.linspace(0, side, 200)
    left = info.width / 2 - side / 2
    top = row + 0.5 - side / 2
    columns = np.concatenate([left + t, left + side + 0 * t, left + side - t, left + 0 * t])
    rows = np.concatenate([top + 0 * t, top + t, top + side + 0 * t, top + side - t])
    xs, ys = (
        info.transform.a * columns + info.transform.b * rows + info.transform.c,
        (info.transform.d * columns + info.transform.e * rows + info.transform.f),
    )
    lon, lat = Transformer.from_crs(info.crs.to_wkt(), 4326, always_xy=True).transform(xs, ys)
    return abs(GEOD.polygon_area_perimeter(lon, lat)[0]) / side**2


@pytest.mark.parametrize(
    "crs,transform,tolerance",
    [
        ("EPSG:4326", Affine(0.0002, 0, 12.0, 0, -0.0003, 61.0), 1e-4),
        ("EPSG:4326", Affine(0.0002, 0.0001, 12.0, -0.00005, -0.0003, 61.0), 1e-4),
        ("EPSG:3857", Affine(20.0, 0, 1_335_000, 0, -30.0, 8_600_000), 1e-4),
        ("EPSG:3857", Affine(17.0, 10, 1_335_000, 10, -26.0, 8_600_000), 1e-4),
        ("EPSG:32633", Affine(20.0, 0, 500_000, 0, -30.0, 6_800_000), 2e-3),
        ("EPSG:2263", Affine(60.0, 0, 980_000, 0, -90.0, 200_000), 2e-3),  # US feet
        ("EPSG:3035", Affine(20.0, 0, 4_500_000, 0, -30.0, 3_000_000), 1e-4),
    ],
)
def test_pixel_areas_equal_geodesic_ones(info, crs, transform, tolerance):
    info = info_on(info, crs, transform, 300, 200)
    areas = raster.row_areas_m2(info)
    assert areas.shape == (300,)
    for row in (60, 150, 240):
        assert areas[row] == pytest.approx(geodesic_pixel_area(info, row, 100), rel=tolerance)
    assert raster.pixel_area_m2(info) == pytest.approx(areas[150], rel=tolerance)


def test_utm_counts_its_own_metres(info):
    assert raster.pixel_area_m2(info) == 15.0
    assert (raster.row_areas_m2(info) == 15.0).all()
    assert raster.gsd_m(info) == pytest.approx(15**0.5)


def test_lonlat_rows_add_up_to_the_area_of_the_earth(info):
    world = info_on(info, "EPSG:4326", Affine(2.0, 0, -180, 0, -1.5, 90), 120, 180)
    assert raster.row_areas_m2(world).sum() * 180 == pytest.approx(510_065_621_724_089, rel=1e-9)


def test_web_mercator_metres_are_not_metres(info):
    at_60 = info_on(info, "EPSG:3857", Affine(10.0, 0, 0, 0, -10, 8_399_737), 64, 64)
    assert raster.pixel_area_m2(at_60) == pytest.approx(100 * 0.25, rel=0.01)


def test_sizes_without_crs_are_refused(info):
    with pytest.raises(BadInput, match=r"no CRS.*rio edit-info"):
        raster.pixel_area_m2(info_on(info, None, info.transform, 5, 6))


# ---------------------------------------------------------------- outlines


def random_pixels(info: raster.Info, n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    columns, rows = rng.uniform(0.01, 0.99, n) * info.width, rng.uniform(0.01, 0.99, n) * info.height
    t = info.transform
    xs, ys = t.a * columns + t.b * rows + t.c, t.d * columns + t.e * rows + t.f
    lon, lat = Transformer.from_crs(info.crs.to_wkt(), 4326, always_xy=True).transform(xs, ys)
    return (lon + 180) % 360 - 180, lat


@pytest.mark.parametrize(
    "crs,transform,kind",
    [
        ("EPSG:32650", Affine(300.0, 0, 600_000, 0, -500.0, 3_500_000), "Polygon"),
        ("EPSG:32650", Affine(300.0, 170, 600_000, 200, -500.0, 3_500_000), "Polygon"),
        ("EPSG:32650", Affine(300.0, 0, 600_000, 0, 500.0, 3_400_000), "Polygon"),
        ("EPSG:32601", Affine(3000.0, 0, 200_000, 0, -5000.0, 6_900_000), "MultiPolygon"),
        ("EPSG:4326", Affine(0.05, 0, 177.0, 0, -0.07, -15), "MultiPolygon"),
        ("EPSG:4326", Affine(3.0, 0, 0.0, 0, -2.0, 70), "MultiPolygon"),
        (
            "EPSG:3413",
            Affine(20_000.0, 0, -900_000, 0, -30_000, 1_500_000),
            "Polygon",
        ),  # holds the north pole
        ("EPSG:3031", Affine(20_000.0, 0, -900_000, 0, -30_000, 1_500_000), "Polygon"),  # the south pole
    ],
)
def test_an_outline_holds_every_pixel_and_nothing_else(info, crs, transform, kind):
    info = info_on(info, crs, transform, 70, 90)
    geometry = raster.footprint_lonlat(info)
    outline = shape(geometry)

    assert geometry["type"] == kind
    assert outline.is_valid
    assert all(part.exterior.is_ccw for part in getattr(outline, "geoms", [outline]))
    west, south, east, north = outline.bounds
    assert west >= -180
    assert east <= 180
    assert south >= -90
    assert north <= 90
    for lon, lat in zip(*random_pixels(info), strict=True):
        assert outline.covers(Point(lon, lat)), (lon, lat)
    wider = info_on(info, crs, transform @ Affine.translation(-9, -7), 84, 108)
    outside = sum(not outline.covers(Point(p)) for p in zip(*random_pixels(wider), strict=True))
    assert 30 < outside < 110  # about 200 * (1 - 0.69)


def test_a_full_disc_has_the_outline_of_what_lies_on_earth(info):
    disc = info_on(
        info, "+proj=geos +h=35786023 +lon_0=-75 +sweep=x", Affine(2e5, 0, -6e6, 0, -2e5, 6e6), 60, 60
    )
    west, south, east, north = shape(raster.footprint_lonlat(disc)).bounds
    assert -160 < west < -140
    assert -10 < east < 10
    assert -82 < south < -70
    assert 70 < north < 82


def test_a_raster_without_crs_has_no_outline(info):
    with pytest.raises(BadInput, match="no CRS"):
        raster.footprint_lonlat(info_on(info, None, info.transform, 5, 6))


# ---------------------------------------------------------------- two grids


def test_equal_grids_are_the_same(info):
    raster.same_grid(info, replace(info, transform=info.transform @ Affine.translation(0.005, -0.005)))


@pytest.mark.parametrize(
    "change,what",
    [
        ({"crs": CRS.from_epsg(32649)}, "CRS.*EPSG:32649, expected EPSG:32650"),
        ({"height": 90, "width": 70}, "size.*70 x 90 px, expected 90 x 70 px"),
        ({"transform": Affine(3, 0, 600_000.5, 0, -5, 3_500_000)}, "transform.*off by 0.167 px"),
        ({"transform": Affine(3.01, 0, 600_000, 0, -5, 3_500_000)}, "transform.*off by 0.3 px"),
    ],
)
def test_what_differs_between_grids_is_named(info, change, what):
    with pytest.raises(GridMismatch, match=f"another {what}"):
        raster.same_grid(info, replace(info, **change))


def test_a_geobox_is_the_same_grid(info):
    box = raster.geobox(info)
    assert box.shape == (70, 90)
    assert box.affine == info.transform
    assert box.crs.epsg == 32650
