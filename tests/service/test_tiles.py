"""Tiles: what may be asked, and that a tile's pixels are the raster's."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image
from pyproj import Transformer

from geolab import catalog, raster
from geolab.errors import BadInput, FileRejected
from geolab.service import tiles
from geolab.service.tiles import draw

EDGE_M = 20037508.342789244


def href(world, name: str) -> str:
    return catalog.open_catalog(world).get(name, "town")["assets"]["data"]["href"]


def tile_around(world, name: str, zoom: int) -> tuple[int, int]:
    """x and y of the tile in which the middle of the item's box lies."""
    west, south, east, north = catalog.open_catalog(world).get(name, "town")["bbox"]
    x, y = Transformer.from_crs(4326, 3857, always_xy=True).transform((west + east) / 2, (south + north) / 2)
    side = 2 * EDGE_M / 2**zoom
    return int((x + EDGE_M) / side), int((EDGE_M - y) / side)


def decode(data: bytes) -> np.ndarray:
    """[y, x, 4] bytes."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))


def slow_tile(uri: str, tile: tiles.Tile, limits) -> np.ndarray:
    """The obvious way: for every pixel of the tile, the raster's value by bilinear weights, one by one."""
    with raster.open_raster(uri) as dataset:
        pixels = dataset.read().astype(float)
        valid = dataset.dataset_mask() > 0
        to_grid = Transformer.from_crs(3857, dataset.crs, always_xy=True)
        inverse = ~dataset.transform
    side = 2 * EDGE_M / 2**tile.z
    out = np.zeros((256, 256, 4))
    for row in range(0, 256):
        for column in range(0, 256):
            x = -EDGE_M + side * (tile.x + (column + 0.5) / 256)
            y = EDGE_M - side * (tile.y + (row + 0.5) / 256)
            c, r = inverse @ to_grid.transform(x, y)
            if not (0 <= c < valid.shape[1] and 0 <= r < valid.shape[0]) or not valid[int(r), int(c)]:
                continue
            out[row, column, 3] = 255
            left, top = math.floor(c - 0.5), math.floor(r - 0.5)
            total, weights = np.zeros(3), 0.0
            for j in (top, top + 1):
                for i in (left, left + 1):
                    if 0 <= i < valid.shape[1] and 0 <= j < valid.shape[0] and valid[j, i]:
                        weight = (1 - abs(c - 0.5 - i)) * (1 - abs(r - 0.5 - j))
                        total, weights = total + weight * pixels[:, j, i], weights + weight
            for band, (low, high) in enumerate(limits):
                value = total[band] / weights
                out[row, column, band] = 255 * min(max((value - low) / (high - low), 0), 1)
    return out


@pytest.mark.slow
@pytest.mark.parametrize("name", ["up", "turned"])
@pytest.mark.parametrize("zoom", [17, 18])
def test_a_tile_shows_the_pixels_that_a_slow_warp_finds(world, name, zoom):
    x, y = tile_around(world, name, zoom)
    limits = ((1000, 3800), (3000, 5700), (0, 1000))
    tile = tiles.Tile(zoom, x, y, limits=limits)
    fast = decode(tiles.render(href(world, name), tile)).astype(float)
    slow = slow_tile(href(world, name), tile, limits)
    both = (fast[..., 3] == 255) & (slow[..., 3] == 255)
    assert both.sum() > 5000
    assert np.mean(fast[..., 3] != slow[..., 3]) < 0.02, "the edge of the data lies elsewhere"
    difference = np.abs(fast[both][:, :3] - slow[both][:, :3])
    for band in range(3):  # red tells the columns, green the rows; one pixel is 1.8 or 2.8 steps of it
        assert np.percentile(difference[:, band], 99) <= 1.01
        assert difference[:, band].mean() < 0.5


def test_invalid_pixels_are_transparent_and_the_rest_is_not(world):
    x, y = tile_around(world, "up", 17)
    picture = decode(tiles.render(href(world, "up"), tiles.Tile(17, x, y)))
    share = (picture[..., 3] == 255).mean()
    assert 0.05 < share < 0.95
    assert set(np.unique(picture[..., 3])) == {0, 255}


@pytest.mark.parametrize("zoom", range(13))
def test_far_out_a_scene_is_a_speck_and_costs_no_memory(world, zoom):
    x, y = tile_around(world, "up", zoom)
    picture = decode(tiles.render(href(world, "up"), tiles.Tile(zoom, x, y)))
    assert (picture[..., 3] > 0).mean() < 0.01


@pytest.mark.filterwarnings("ignore::rio_tiler.errors.NoOverviewWarning")
def test_an_overview_is_used_when_it_has_the_resolution_and_looks_the_same(tmp_path):
    import rasterio
    from rasterio.transform import from_origin

    rows, columns = np.mgrid[0:1500, 0:2200]
    path = tmp_path / "large.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=2200, height=1500, count=1, dtype="uint16", crs="EPSG:32632",
        transform=from_origin(500000, 5300000, 1, 1), tiled=True,
    ) as dataset:  # fmt: skip
        dataset.write((1000 + columns + 2 * rows).astype("uint16")[None])
    west, north = Transformer.from_crs(32632, 3857, always_xy=True).transform(501100, 5299250)
    side = 2 * EDGE_M / 2**14
    tile = tiles.Tile(14, int((west + EDGE_M) / side), int((EDGE_M - north) / side), limits=((1000, 6200),))
    plain = decode(tiles.render(str(path), tile)).astype(int)
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4, 8, 16], rasterio.enums.Resampling.average)
    with raster.open_raster(path) as dataset:
        assert [draw._overview(dataset, zoom) for zoom in (18, 16, 15, 14, 13, 5)] == [
            None,
            None,
            0,
            1,
            2,
            3,
        ]
    quick = decode(tiles.render(str(path), tile)).astype(int)
    both = (plain[..., 3] == 255) & (quick[..., 3] == 255)
    assert both.mean() > 0.3
    assert np.abs(plain - quick)[both].max() <= 2


def test_a_raster_whose_pixels_are_damaged_is_rejected_with_the_reason(tmp_path, world):
    whole = Path(href(world, "up").removeprefix("file://")).read_bytes()
    cut = tmp_path / "cut.tif"
    cut.write_bytes(whole[: len(whole) // 3])
    x, y = tile_around(world, "up", 17)
    with pytest.raises(FileRejected):
        tiles.render(str(cut), tiles.Tile(17, x, y, limits=((0, 1),)))


def test_a_jpeg_has_white_where_nothing_is(world):
    x, y = tile_around(world, "up", 15)
    picture = decode(tiles.render(href(world, "up"), tiles.Tile(15, x, y, "jpg")))
    assert (picture[..., :3] > 245).all(axis=-1).mean() > 0.5


def test_a_tile_beside_the_raster_is_nothing(world):
    x, y = tile_around(world, "up", 17)
    assert tiles.render(href(world, "up"), tiles.Tile(17, x + 40, y)) is None


def test_a_mask_is_orange_where_it_is_one_and_clear_elsewhere(world):
    x, y = tile_around(world, "mask", 18)
    picture = decode(tiles.render(href(world, "mask"), tiles.Tile(18, x, y, colormap="change")))
    colors = {tuple(c) for c in picture.reshape(-1, 4)}
    assert (0xE8, 0x59, 0x0C, 255) in colors
    assert {c[3] for c in colors} == {0, 255}
    assert all(c[:3] == (0xE8, 0x59, 0x0C) for c in colors if c[3])


def test_the_usual_stretch_uses_the_whole_range(world):
    x, y = tile_around(world, "up", 15)
    picture = decode(tiles.render(href(world, "up"), tiles.Tile(15, x, y)))
    red = picture[..., 0][picture[..., 3] == 255]
    assert red.min() < 20
    assert red.max() > 235


def test_limits_that_are_asked_for_hold_for_every_band(world):
    x, y = tile_around(world, "up", 17)
    picture = decode(tiles.render(href(world, "up"), tiles.Tile(17, x, y, limits=((0, 5000),))))
    blue = picture[..., 2][picture[..., 3] == 255]
    assert set(np.unique(blue)) == {round(255 * 500 / 5000)}


@pytest.mark.filterwarnings("ignore:Adjusting dataset latitudes:UserWarning")
def test_pixels_of_degrees_and_at_the_edge_of_mercator_are_drawn(tmp_path, world):
    import rasterio
    from rasterio.transform import from_origin

    path = tmp_path / "world.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=72, height=36, count=1, dtype="float32", crs="EPSG:4326",
        transform=from_origin(-180, 90, 5, 5),
    ) as dataset:  # fmt: skip
        values = np.linspace(0, 1, 36 * 72, dtype="float32").reshape(1, 36, 72)
        values[0, 10:20, 10:20] = np.nan
        dataset.write(values)
    picture = decode(tiles.render(path.as_uri(), tiles.Tile(1, 0, 0)))
    assert 0.5 < (picture[..., 3] == 255).mean() < 1, "NaN is transparent"


GOOD = {"bidx": ["3", "2", "1"], "rescale": ["0,100.5", "-1e3,2", "0,1"]}


def test_a_request_becomes_a_tile():
    tile = tiles.parse("17", "70000", "45000", "webp", GOOD)
    assert tile == tiles.Tile(17, 70000, 45000, "webp", (3, 2, 1), ((0, 100.5), (-1000, 2), (0, 1)))
    assert tile.content_type == "image/webp"


@pytest.mark.parametrize(
    "place, query, what",
    [
        (("25", "0", "0", "png"), {}, "z"),
        (("3", "8", "0", "png"), {}, "x"),
        (("3", "0", "8", "png"), {}, "y"),
        (("-1", "0", "0", "png"), {}, "z"),
        (("٣", "0", "0", "png"), {}, "z"),
        (("1", "0", "0", "svg"), {}, "tile format"),
        (("1", "0", "0", "png"), {"bidx": ["0"]}, "bidx"),
        (("1", "0", "0", "png"), {"bidx": ["1", "2"]}, "bidx"),
        (("1", "0", "0", "png"), {"bidx": ["1"] * 100}, "bidx"),
        (("1", "0", "0", "png"), {"rescale": ["5,5"]}, "rescale"),
        (("1", "0", "0", "png"), {"rescale": ["nan,1"]}, "rescale"),
        (("1", "0", "0", "png"), {"rescale": ["0,inf"]}, "rescale"),
        (("1", "0", "0", "png"), {"rescale": ["0,1,2"]}, "rescale"),
        (("1", "0", "0", "png"), {"rescale": ["0,1"] * 4}, "rescale"),
        (("1", "0", "0", "png"), {"colormap": ["jet"]}, "colormap"),
        (("1", "0", "0", "png"), {"colormap": ["cividis"], "bidx": ["1", "2", "3"]}, "bidx"),
        (("1", "0", "0", "png"), {"expression": ["b1/b2"]}, "tile query"),
        (("1", "0", "0", "png"), {"url": ["file:///etc/passwd"]}, "tile query"),
    ],
)
def test_a_request_out_of_bounds_is_refused_in_one_line(place, query, what):
    with pytest.raises(BadInput) as refused:
        tiles.parse(*place, query)
    assert refused.value.what == what
    assert "\n" not in str(refused.value)


@given(st.text(max_size=12), st.text(max_size=12), st.lists(st.text(max_size=12), max_size=4))
@hypothesis_settings(max_examples=300, deadline=None)
def test_any_text_is_a_tile_or_refused(z, x, values):
    try:
        tile = tiles.parse(z, x, "0", "png", {"rescale": values, "bidx": values})
    except BadInput:
        return
    assert 0 <= tile.x < 2**tile.z


def test_the_cache_forgets_the_least_used_tiles_first():
    cache = tiles.Cache(most_bytes=2600)
    cache.put("a", b"x" * 1000)
    cache.put("b", b"y" * 1000)
    assert cache.get("a") == (True, b"x" * 1000)
    cache.put("c", b"z" * 1000)
    assert cache.get("b") == (False, None)
    assert cache.get("a")[0]
    assert cache.get("c")[0]
    cache.put("nothing", None)
    assert cache.get("nothing") == (True, None)


def test_a_file_made_anew_is_stretched_anew(tmp_path, world):
    path = Path(tmp_path, "scene.tif")
    path.write_bytes(Path(href(world, "up").removeprefix("file://")).read_bytes())
    before = tiles.stretch(str(path), (1,), "first")
    import rasterio

    with rasterio.open(path, "r+") as dataset:
        dataset.write(dataset.read() // 2)
    assert tiles.stretch(str(path), (1,), "first") == before
    assert tiles.stretch(str(path), (1,), "second") != before
