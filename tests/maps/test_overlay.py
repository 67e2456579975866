"""A raster as one picture on the map: it lies where the raster lies, and looks as its tiles do."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from pyproj import Transformer
from rasterio.transform import Affine, from_origin

from geolab import maps
from geolab.errors import BadInput, FileRejected, NotFound
from geolab.maps import overlay
from geolab.raster import hillshade

EAST, NORTH = 690_000.0, 5_330_000.0  # UTM 32


def raster(path: Path, pixels: np.ndarray, *, crs="EPSG:32632", transform=None, **options) -> Path:
    """pixels [band, y, x] of 0.5 m."""
    bands, rows, columns = pixels.shape
    profile = {"count": bands, "height": rows, "width": columns, "dtype": pixels.dtype.name, "crs": crs}
    profile |= {"transform": transform or from_origin(EAST, NORTH, 0.5, 0.5)} | options
    with rasterio.open(path, "w", driver="GTiff", **profile) as dataset:
        dataset.write(pixels)
        if bands == 4:
            dataset.colorinterp = [rasterio.enums.ColorInterp(i) for i in (3, 4, 5, 6)]
    return path


def shown(layer) -> np.ndarray:
    """[y, x, 4] of the picture that the layer holds."""
    start = "data:image/webp;base64,"
    assert layer.url.startswith(start)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(layer.url[len(start) :]))).convert("RGBA"))


def at(layer, east: float, north: float) -> tuple[int, int]:
    """Row and column of the picture at a place, as Leaflet puts it: linear in Web Mercator."""
    to_mercator = Transformer.from_crs("EPSG:4326", "EPSG:3857", always_xy=True)
    (south, west), (top, right) = layer.bounds
    low, high = to_mercator.transform(west, south), to_mercator.transform(right, top)
    lon, lat = Transformer.from_crs("EPSG:32632", "EPSG:4326", always_xy=True).transform(east, north)
    x, y = to_mercator.transform(lon, lat)
    rows, columns, _ = shown(layer).shape
    return int((high[1] - y) / (high[1] - low[1]) * rows), int((x - low[0]) / (high[0] - low[0]) * columns)


def test_a_spot_of_the_raster_lies_at_its_place_on_the_map(tmp_path):
    pixels = np.full((4, 300, 500), 40, np.uint8)
    pixels[3] = 255
    pixels[0, 200:210, 400:410] = 250  # 102.5 m down, 202.5 m right
    layer = maps.picture(raster(tmp_path / "o.tif", pixels))
    picture = shown(layer)
    row, column = at(layer, EAST + 202.5, NORTH - 102.5)
    red = picture[..., 0].astype(int) - picture[..., 1]
    assert red[row, column] > 100
    assert np.abs(np.argwhere(red > 100).mean(axis=0) - [row, column]).max() < 1.5
    assert picture[row, column, 3] == 255


def test_what_is_transparent_or_without_data_is_not_drawn(tmp_path):
    colours = np.full((4, 60, 90), 120, np.uint8)
    colours[3] = 255
    colours[3, :, :45] = 0
    layer = maps.picture(raster(tmp_path / "o.tif", colours))
    west, east = at(layer, EAST + 10, NORTH - 15), at(layer, EAST + 35, NORTH - 15)
    assert [shown(layer)[place][3] for place in (west, east)] == [0, 255]
    heights = np.full((1, 60, 90), 5, np.float32)
    heights[0, :, 45:] = np.nan
    layer = maps.picture(raster(tmp_path / "d.tif", heights, nodata=np.nan), relief=True)
    assert [shown(layer)[place][3] for place in (west, east)] == [255, 0]


def test_without_nodata_and_alpha_only_what_lies_outside_is_transparent(tmp_path):
    turned = Affine.translation(EAST, NORTH) @ Affine.rotation(30) @ Affine.scale(0.5, -0.5)
    random = np.random.default_rng(0).integers(1, 255, (3, 80, 120)).astype(np.uint8)
    alpha = shown(maps.picture(raster(tmp_path / "t.tif", random, transform=turned)))[..., 3]
    assert [alpha[i, j] for i in (0, -1) for j in (0, -1)] == [0, 0, 0, 0]
    assert alpha[alpha.shape[0] // 2, alpha.shape[1] // 2] == 255


def test_relief_is_lit_from_the_north_west_by_true_slopes(tmp_path):
    _, columns = np.mgrid[:100, :140].astype(np.float32)
    slope = raster(tmp_path / "d.tif", (columns * 0.25)[None], nodata=-9999)  # rises east by a half
    rgba = shown(maps.picture(slope, relief=True))
    middle = rgba[40:60, 60:80, :3].astype(float)
    assert np.ptp(middle, axis=-1).max() == 0
    heights = np.tile(np.arange(5) * 0.25, (5, 1))
    expected = hillshade.shade(heights, np.ones((5, 5), bool), 0.5)[1, 1]
    assert middle.mean() == pytest.approx(expected, abs=4)  # grid north is 1.5 degrees off


def test_relief_lies_where_its_heights_do(tmp_path):
    heights = np.full((1, 200, 320), 100, np.float32)
    heights[0, 120:140, 60:80] += 6  # its middle 65 m down and 35 m right
    layer = maps.picture(raster(tmp_path / "d.tif", heights, nodata=-9999), relief=True)
    rgba = shown(layer)
    inside = rgba[5:-5, 5:-5, 0].astype(int)
    edges = np.argwhere(np.abs(inside - np.median(inside)) > 20) + 5
    row, column = at(layer, EAST + 35, NORTH - 65)
    assert np.abs((edges.min(axis=0) + edges.max(axis=0) + 1) / 2 - [row, column]).max() < 1.2
    assert rgba.shape[:2] == shown(maps.picture(tmp_path / "d.tif")).shape[:2]


def test_the_picture_of_a_large_raster_is_small_and_read_from_an_overview(tmp_path):
    path = raster(tmp_path / "large.tif", np.full((1, 700, 5000), 9, np.uint8), nodata=0, tiled=True)
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4])
    with rasterio.open(path) as dataset:
        grid = overlay._grid(dataset)
        assert overlay._overview(dataset, grid) == 0
    assert max(shown(maps.picture(path)).shape) == overlay.MOST_PX


def test_a_raster_that_lies_nowhere_is_refused_in_words(tmp_path):
    path = raster(tmp_path / "n.tif", np.ones((1, 9, 9), np.uint8), crs=None)
    with pytest.raises(BadInput, match="no coordinate system"):
        maps.picture(path)
    with pytest.raises(NotFound):
        maps.picture(tmp_path / "none.tif")
    (tmp_path / "broken.tif").write_bytes(b"II*\0" + bytes(40))
    with pytest.raises(FileRejected):
        maps.picture(tmp_path / "broken.tif")


def test_damaged_pixels_are_told_in_words(tmp_path):
    path = raster(
        tmp_path / "cut.tif", np.full((1, 400, 400), 7, np.uint8), nodata=0, tiled=True, compress="lzw"
    )
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))
    for relief in (False, True):
        with pytest.raises(FileRejected, match="can't be read"):
            maps.picture(path, relief=relief)


def test_a_hostile_file_name_is_text(tmp_path):
    path = raster(tmp_path / "<img src=x onerror=alert(1)>.tif", np.ones((1, 9, 9), np.uint8), nodata=0)
    assert "<" not in maps.picture(path).name
