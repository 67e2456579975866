"""Polygons of a mask, strip by strip, against the whole image polygonised at once."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from pyproj import Geod
from rasterio import Affine, features
from scipy import ndimage

from geolab import raster
from geolab.change import components, vector
from geolab.errors import BadInput, GridMismatch

UTM = Affine(0.5, 0, 500_000, 0, -0.5, 5_200_000)
ROTATED = Affine.translation(500_000, 5_200_000) @ Affine.rotation(30) @ Affine.scale(0.5, -0.8)


def write(path: Path, pixels: np.ndarray, *, crs: str | None = "EPSG:32633", transform: Affine = UTM) -> str:
    height, width = pixels.shape
    with rasterio.open(
        path, "w", driver="GTiff", dtype="uint8", count=1, height=height, width=width,
        crs=crs, transform=transform, nodata=255,
    ) as dataset:  # fmt: skip
        dataset.write(pixels, 1)
        dataset.scales = (1 / 254,)
    return str(path)


def products(folder: Path, mask: np.ndarray, **grid) -> tuple[str, str, np.ndarray]:
    level = np.random.default_rng(1).integers(127, 255, mask.shape).astype("uint8")
    level[mask != 1] = np.where(mask[mask != 1] == 255, 255, 20)
    return write(folder / "mask.tif", mask, **grid), write(folder / "probability.tif", level, **grid), level


def blobs(height: int, width: int, *, seed: int = 0, sigma: float = 2.0) -> np.ndarray:
    """Patches of all sizes with holes, and a corner without data."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((height, width)), sigma)
    mask = (noise > noise.std() * 0.3).astype("uint8")
    mask[: height // 5, : width // 7] = 255
    return mask


def whole(mask: np.ndarray) -> set[bytes]:
    """The twin: all polygons of the image at once, normalised."""
    found = features.shapes(mask, mask=mask == 1, connectivity=4, transform=Affine.identity())
    return canonical([shapely.geometry.shape(shape) for shape, _ in found])


def canonical(shapes) -> set[bytes]:
    """Polygons as comparable bytes: in whole pixels, without points on straight edges."""
    tidy = shapely.normalize(shapely.simplify(shapely.normalize(np.array(shapes, object)), 0))
    return set(shapely.to_wkb(tidy))


def in_pixels(shapes, transform: Affine) -> list[shapely.Polygon]:
    back = ~transform

    def move(xy: np.ndarray) -> np.ndarray:
        x, y = back @ (xy[:, 0], xy[:, 1])
        rounded = np.round(np.column_stack([x, y])) + 0.0  # no -0.0
        assert np.abs(rounded - np.column_stack([x, y])).max() < 1e-4
        return rounded

    return list(shapely.transform(np.array(shapes, object), move))


@pytest.mark.parametrize("transform", [UTM, ROTATED, UTM @ Affine.scale(1, -2)])
@pytest.mark.parametrize("strip_pixels", [1, 97 * 7, 1 << 21])
def test_strips_give_the_polygons_of_the_whole_image(tmp_path, monkeypatch, strip_pixels, transform):
    mask = blobs(150, 97)
    uris = products(tmp_path, mask, transform=transform)
    monkeypatch.setattr(vector, "STRIP_PIXELS", strip_pixels)
    made = vector.polygons(uris[0], uris[1], tmp_path)
    table = geopandas.read_parquet(made.parquet)
    assert table.crs.to_epsg() == 32633
    assert table.is_valid.all()
    assert canonical(in_pixels(table.geometry, transform)) == whole(mask)
    assert np.allclose(table.area_m2, table.area, rtol=0, atol=1e-6)
    assert made.area_m2 == pytest.approx((mask == 1).sum() * abs(transform.determinant))


@pytest.mark.parametrize("share", [0.02, 0.4, 0.6, 0.98, 1.0])
def test_noise_of_every_density_gives_the_polygons_of_the_whole_image(tmp_path, monkeypatch, share):
    mask = (np.random.default_rng(3).random((61, 83)) < share).astype("uint8")
    uris = products(tmp_path, mask)
    monkeypatch.setattr(vector, "STRIP_PIXELS", 83 * 9)
    table = geopandas.read_parquet(vector.polygons(uris[0], uris[1], tmp_path).parquet)
    assert table.is_valid.all()
    assert canonical(in_pixels(table.geometry, UTM)) == whole(mask)


def test_figures_of_a_polygon_are_those_of_its_pixels(tmp_path, monkeypatch):
    mask = blobs(90, 131, seed=5)
    uris = products(tmp_path, mask)
    monkeypatch.setattr(vector, "STRIP_PIXELS", 131 * 4)
    table = geopandas.read_parquet(vector.polygons(uris[0], uris[1], tmp_path).parquet)
    assert sorted(table["id"]) == list(range(1, len(table) + 1))
    for row in table.itertuples():
        inside = features.rasterize([row.geometry], out_shape=mask.shape, transform=UTM).astype(bool)
        levels = uris[2][inside] / 254
        assert row.pixels == inside.sum()
        assert row.mean_probability == pytest.approx(levels.mean())
        assert row.max_probability == pytest.approx(levels.max())


def test_patches_that_meet_at_a_corner_are_two(tmp_path):
    mask = np.zeros((4, 5), "uint8")
    mask[0:2, 0:2] = mask[2:4, 2:5] = 1
    uris = products(tmp_path, mask)
    assert vector.polygons(uris[0], uris[1], tmp_path).count == 2


def test_long_outlines_are_cut_at_seams_and_no_area_is_lost(tmp_path, monkeypatch):
    mask = blobs(200, 90, sigma=1.0)
    uris = products(tmp_path, mask)
    monkeypatch.setattr(vector, "STRIP_PIXELS", 90 * 10)
    whole_count = vector.polygons(uris[0], uris[1], tmp_path).count
    monkeypatch.setattr(components, "LARGEST_VERTICES", 100)
    made = vector.polygons(uris[0], uris[1], tmp_path)
    table = geopandas.read_parquet(made.parquet)
    assert made.count > whole_count
    assert set(table.geom_type) == {"Polygon"}
    assert table.is_valid.all()
    assert table.pixels.sum() == (mask == 1).sum()
    assert table.area.sum() == pytest.approx((mask == 1).sum() * 0.25)


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:4326", Affine(1e-4, 0, 12.0, 0, -2e-4, 60.0)),
        ("EPSG:3857", Affine(10, 0, 1_335_000, 0, -15, 8_400_000)),
        ("EPSG:32633", UTM),
        ("EPSG:2263", Affine(3, 0, 980_000, 0, -2, 200_000)),  # US survey feet
    ],
)
def test_area_is_in_metres_on_the_ground_in_any_crs(tmp_path, monkeypatch, crs, transform):
    mask = blobs(70, 45)
    monkeypatch.setattr(vector, "STRIP_PIXELS", 45 * 20)
    uris = products(tmp_path, mask, crs=crs, transform=transform)
    made = vector.polygons(uris[0], uris[1], tmp_path)
    lonlat = geopandas.read_parquet(made.parquet).to_crs(4326)
    geod = Geod(ellps="WGS84")
    truth = sum(abs(geod.geometry_area_perimeter(shape)[0]) for shape in lonlat.geometry)
    assert made.area_m2 == pytest.approx(truth, rel=2e-3)
    rows = raster.row_areas_m2(raster.read_info(uris[0]))
    assert made.area_m2 == pytest.approx(((mask == 1).sum(axis=1) * rows).sum(), rel=1e-9)


@pytest.mark.parametrize("transform", [UTM, ROTATED, UTM @ Affine.scale(1, -1)])
def test_geojson_is_in_longitude_and_latitude_with_counter_clockwise_rings(tmp_path, transform):
    uris = products(tmp_path, blobs(60, 41), transform=transform)
    made = vector.polygons(uris[0], uris[1], tmp_path)
    collection = json.loads(Path(made.geojson).read_text())
    assert collection["type"] == "FeatureCollection"
    assert "crs" not in collection
    shapes = [shapely.geometry.shape(feature["geometry"]) for feature in collection["features"]]
    assert all(shape.exterior.is_ccw and not any(h.is_ccw for h in shape.interiors) for shape in shapes)
    table = geopandas.read_parquet(made.parquet)
    assert [f["properties"]["id"] for f in collection["features"]] == table["id"].tolist()
    back = geopandas.GeoSeries(shapes, crs=4326).to_crs(32633)
    assert max(a.hausdorff_distance(b) for a, b in zip(back, table.geometry, strict=True)) < 1e-3


def test_a_polygon_across_the_antimeridian_is_cut_in_two(tmp_path):
    mask = np.zeros((20, 40), "uint8")
    mask[5:15, 4:36] = 1
    mask[8:11, 10:13] = 0
    west, north = 812_600, 4_400_000  # zone 60 near 180 degrees east at 39.7 degrees north
    uris = products(tmp_path, mask, crs="EPSG:32660", transform=Affine(500, 0, west - 70_000, 0, -500, north))
    made = vector.polygons(uris[0], uris[1], tmp_path)
    (feature,) = json.loads(Path(made.geojson).read_text())["features"]
    shape = shapely.geometry.shape(feature["geometry"])
    assert shape.geom_type == "MultiPolygon"
    assert all(max(p.bounds[2], -p.bounds[0]) <= 180 and p.bounds[2] - p.bounds[0] < 1 for p in shape.geoms)
    geod = Geod(ellps="WGS84")
    area = sum(geod.geometry_area_perimeter(p)[0] for p in shape.geoms)
    assert area == pytest.approx(made.area_m2, rel=0.01)


def test_a_mask_without_change_gives_empty_files_with_columns(tmp_path):
    uris = products(tmp_path, np.zeros((30, 20), "uint8"))
    made = vector.polygons(uris[0], uris[1], tmp_path)
    table = geopandas.read_parquet(made.parquet)
    assert (made.count, made.area_m2, len(table)) == (0, 0.0, 0)
    assert list(table.columns) == [
        "id", "area_m2", "mean_probability", "max_probability", "pixels", "geometry",
    ]  # fmt: skip
    assert table.crs.to_epsg() == 32633
    assert json.loads(Path(made.geojson).read_text())["features"] == []


def test_a_mask_without_crs_gives_polygons_without_areas_and_no_geojson(tmp_path):
    uris = products(tmp_path, blobs(30, 50), crs=None, transform=Affine.identity())
    made = vector.polygons(uris[0], uris[1], tmp_path)
    table = geopandas.read_parquet(made.parquet)
    assert (made.geojson, made.area_m2, table.crs) == (None, None, None)
    assert table.area_m2.isna().all()
    assert table.area.sum() == table.pixels.sum()
    assert not (tmp_path / "polygons.geojson").exists()
    with pytest.raises(BadInput, match="min_area_m2"):
        vector.polygons(uris[0], uris[1], tmp_path, min_area_m2=1)


def test_small_polygons_are_left_out_on_request_only(tmp_path):
    uris = products(tmp_path, blobs(80, 60))
    everything = geopandas.read_parquet(vector.polygons(uris[0], uris[1], tmp_path).parquet)
    made = vector.polygons(uris[0], uris[1], tmp_path, min_area_m2=10)
    kept = geopandas.read_parquet(made.parquet)
    assert 0 < len(kept) < len(everything)
    assert kept.area_m2.sum() == everything.area_m2[everything.area_m2 >= 10].sum() == made.area_m2


def test_of_a_mask_of_salt_and_pepper_the_largest_patches_are_drawn(tmp_path, monkeypatch, caplog):
    mask = (np.random.default_rng(3).random((120, 83)) < 0.4).astype("uint8")
    uris = products(tmp_path, mask)
    monkeypatch.setattr(vector, "STRIP_PIXELS", 83 * 30)
    everything = geopandas.read_parquet(vector.polygons(uris[0], uris[1], tmp_path).parquet)
    made = vector.polygons(uris[0], uris[1], tmp_path, most=100)
    drawn = geopandas.read_parquet(made.parquet)
    assert made.smallest_px > 1
    assert 50 < made.count <= 100
    expected = everything[everything.pixels >= made.smallest_px]
    assert canonical(drawn.geometry) == canonical(expected.geometry)
    assert f"at least {made.smallest_px} px" in caplog.text


def test_mask_and_probability_must_share_their_grid(tmp_path):
    mask = write(tmp_path / "mask.tif", blobs(30, 50))
    other = write(tmp_path / "probability.tif", blobs(31, 50))
    with pytest.raises(GridMismatch, match="size"):
        vector.polygons(mask, other, tmp_path)
    assert not (tmp_path / "polygons.parquet").exists()
