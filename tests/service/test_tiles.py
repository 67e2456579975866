"""Tiles: what may be asked, and that a tile's pixels are the raster's."""

from __future__ import annotations

import io
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image
from pyproj import Transformer
from rasterio.enums import Resampling
from rasterio.transform import Affine
from rio_tiler.colormap import cmap
from rio_tiler.io import Reader

from geolab import catalog, raster
from geolab.change import products
from geolab.errors import BadInput, FileRejected
from geolab.service import tiles
from geolab.service.tiles import colors, draw, sample, sources, warp

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
    head = sources.header(sources.source(str(path)))
    levels = [warp.overview(head, zoom) for zoom in (18, 16, 15, 14, 13, 5)]
    assert levels == [None, None, 0, 1, 2, 3]
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
        (("1", "0", "0", "png"), {"colormap": ["cividis"], "bidx": ["1", "2", "3"]}, "colormap"),
        (("1", "0", "0", "png"), {"colormap": ["gray", "gray"]}, "colormap"),
        (("1", "0", "0", "png"), {"colormap": ["uncertain"]}, "colormap"),
        (("1", "0", "0", "png"), {"colormap": ["gray"], "threshold": ["0.5"]}, "colormap"),
        (("1", "0", "0", "png"), {"colormap": ["change"], "expression": ["b1"]}, "colormap"),
        (("1", "0", "0", "png"), {"expression": ["b1/b2", "b1"]}, "expression"),
        (("1", "0", "0", "png"), {"expression": ["eval(b1)"]}, "expression"),
        (("1", "0", "0", "png"), {"expression": ["b1"], "bidx": ["1"]}, "bidx"),
        (("1", "0", "0", "png"), {"threshold": ["1.01"]}, "threshold"),
        (("1", "0", "0", "png"), {"threshold": ["nan"]}, "threshold"),
        (("1", "0", "0", "png"), {"threshold": ["-0"]}, "threshold"),
        (("1", "0", "0", "png"), {"threshold": ["0.5"], "rescale": ["0,1"]}, "threshold"),
        (("1", "0", "0", "png"), {"threshold": ["0.5"], "expression": ["b1"]}, "threshold"),
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


# ---------------------------------------------------------------- the quick way and GDAL's


GRIDS = {
    "north up": ("EPSG:32632", Affine(2, 0, 500000, 0, -3, 5300000)),
    "turned": ("EPSG:32632", Affine.translation(500000, 5300000) @ Affine.rotation(30) @ Affine.scale(2, -3)),
    "south up": ("EPSG:32632", Affine(2, 0, 500000, 0, 3, 5299000)),
    "degrees": ("EPSG:4326", Affine(3e-5, 0, 9.0, 0, -2e-5, 47.85)),
    "mercator": ("EPSG:3857", Affine(2.5, 0, 1001875, 0, -2.5, 6080000)),
    "polar": ("EPSG:3413", Affine(9.0, 0, -2000, 0, -9.0, -3200000)),
}


def write_field(path: Path, grid: str, *, dtype: str = "uint16", overviews: bool = False, **options) -> None:
    """A smooth field with a hole, 600 wide and 400 high, two bands."""
    crs, transform = GRIDS[grid]
    rows, columns = np.mgrid[0:400, 0:600]
    field = 2000 + 900 * np.sin(columns / 40) + 700 * np.cos(rows / 30)
    pixels = np.stack([field, 5000 - field]).astype(dtype)
    pixels[:, 100:160, 200:320] = 0
    with rasterio.open(
        path, "w", driver="GTiff", width=600, height=400, count=2, dtype=dtype, crs=crs, transform=transform,
        tiled=True, blockxsize=128, blockysize=128, **options,
    ) as dataset:  # fmt: skip
        dataset.write(pixels)
        if overviews:
            dataset.build_overviews([2, 4], rasterio.enums.Resampling.average)


def middle(path: Path, zoom: int) -> tuple[int, int]:
    with rasterio.open(path) as dataset:
        place = dataset.transform @ (330, 210)
        x, y = Transformer.from_crs(dataset.crs, 3857, always_xy=True).transform(*place)
    side = 2 * EDGE_M / 2**zoom
    return int((x + EDGE_M) / side), int((EDGE_M - y) / side)


@pytest.mark.parametrize("how", ["bilinear", "nearest"])
@pytest.mark.parametrize("grid", GRIDS)
def test_the_quick_way_finds_the_pixels_that_gdal_finds(tmp_path, grid, how):
    path = tmp_path / "field.tif"
    write_field(path, grid, nodata=0, overviews=True)
    of = sources.source(str(path))
    head, compared = sources.header(of), 0
    for zoom in (14, 15, 16, 17, 18) if grid != "polar" else (12, 13, 14, 16):
        tile = tiles.Tile(zoom, *middle(path, zoom))
        level = warp.overview(head, zoom)
        at = sample.places(sources.header(of, level), *(tile.z, tile.x, tile.y), 256, 0)
        assert at is not None
        if at.ratio > sample.MOST_RATIO:
            continue
        quick = (sample.smooth if how == "bilinear" else sample.nearest)(of, level, (2, 1), at)
        slow = warp.warped(of, head, tile, (2, 1), Resampling[how])
        assert quick is not None
        assert slow is not None
        both = quick[1] & slow[1]
        compared += int(both.sum())
        assert np.mean(quick[1] != slow[1]) < 0.02, "the edge of the data lies elsewhere"
        apart = np.abs(quick[0][:, both].astype(float) - slow[0][:, both].astype(float))
        slope = 47 * max(1, at.ratio)  # of the field, at most, to a pixel's corner
        assert apart.mean() < 0.1 * slope
        assert np.percentile(apart, 99.5) < slope
    assert compared > 20_000


@pytest.mark.parametrize("options", [{"nodata": 0}, {"photometric": "RGB", "alpha": "YES"}, {}])
def test_what_is_valid_is_what_gdal_says(tmp_path, options):
    path = tmp_path / "field.tif"
    if "alpha" in options:
        write_field(path, "turned")
        with rasterio.open(path, "r+") as dataset:
            mask = np.ones((400, 600), bool)
            mask[100:160, 200:320] = False
            dataset.write_mask(mask)
    else:
        write_field(path, "turned", **options)
    tile = tiles.Tile(16, *middle(path, 16))
    of = sources.source(str(path))
    at = sample.places(sources.header(of), tile.z, tile.x, tile.y, 256, 0)
    assert at is not None
    quick = sample.nearest(of, None, (1,), at)
    slow = warp.warped(of, sources.header(of), tile, (1,), Resampling.nearest)
    assert quick is not None
    assert slow is not None
    assert np.mean(quick[1] != slow[1]) < 0.01
    assert quick[1].mean() < 0.95 if options else True


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64", "complex64"])
def test_pixels_of_any_kind_are_drawn(tmp_path, dtype):
    path = tmp_path / "field.tif"
    write_field(path, "north up", dtype=dtype)
    picture = decode(tiles.render(str(path), tiles.Tile(15, *middle(path, 15))))
    assert picture[..., :3][picture[..., 3] > 0].std() > 20


def test_a_second_tile_reads_no_block_that_the_first_has_read(tmp_path, monkeypatch):
    path = tmp_path / "field.tif"
    write_field(path, "north up")
    x, y = middle(path, 16)
    tiles.render(str(path), tiles.Tile(16, x, y, limits=((0, 5000),)))
    monkeypatch.setattr(sources, "_read", lambda *_: pytest.fail("a block was read again"))
    inner = tiles.Tile(17, 2 * x, 2 * y, limits=((0, 5000),))
    assert decode(tiles.render(str(path), inner)).shape == (256, 256, 4)


def test_many_threads_read_a_block_once(tmp_path, monkeypatch):
    path = tmp_path / "field.tif"
    write_field(path, "north up")
    tile, read, original = tiles.Tile(16, *middle(path, 16), limits=((0, 5000),)), [], sources._read
    monkeypatch.setattr(sources, "_read", lambda *given: read.append(given) or original(*given))
    with ThreadPoolExecutor(8) as pool:
        pictures = set(pool.map(lambda _: tiles.render(str(path), tile), range(24)))
    assert len(pictures) == 1
    assert len(read) == len(set(read)) > 0


# ---------------------------------------------------------------- band math and probabilities


def test_an_expression_is_worked_out_at_each_pixel(tmp_path):
    path = tmp_path / "field.tif"
    write_field(path, "north up", dtype="float32")
    query = {"expression": ["(b1-b2)/(b1+b2)"], "rescale": ["-1,1"]}
    tile = tiles.parse("16", *map(str, middle(path, 16)), "png", query)
    picture = decode(tiles.render(str(path), tile))
    at = sample.places(sources.header(sources.source(str(path))), tile.z, tile.x, tile.y, 256, 0)
    assert at is not None
    inside = (at.columns >= 0) & (at.columns < 600) & (at.rows >= 0) & (at.rows < 400)
    field = 2000 + 900 * np.sin((at.columns - 0.5) / 40) + 700 * np.cos((at.rows - 0.5) / 30)
    hole = (np.abs(at.columns - 260) < 62) & (np.abs(at.rows - 130) < 32)
    expected = ((2 * field - 5000) / 5000 + 1) / 2 * 255
    sure = inside & ~hole
    assert sure.sum() > 5000
    assert np.abs(picture[..., 0].astype(float) - expected)[sure].max() < 2
    assert (picture[..., 3][(np.abs(at.columns - 260) < 58) & (np.abs(at.rows - 130) < 28)] == 0).all(), (
        "0 / 0"
    )


def test_three_expressions_are_colours_and_a_ramp_colours_one(tmp_path):
    path = tmp_path / "field.tif"
    write_field(path, "north up")
    place = ("16", *map(str, middle(path, 16)), "png")
    three = decode(tiles.render(str(path), tiles.parse(*place, {"expression": ["b1,b2,b1-b1"]})))
    seen = three[three[..., 3] > 0]
    assert seen[:, 0].std() > 20
    assert seen[:, 1].std() > 20
    assert seen[:, 2].std() == 0
    one = decode(
        tiles.render(str(path), tiles.parse(*place, {"expression": ["b1"], "colormap": ["balance"]}))
    )
    assert len(np.unique(one[..., :3].reshape(-1, 3), axis=0)) > 50
    with pytest.raises(BadInput, match="band 3"):
        tiles.render(str(path), tiles.parse(*place, {"expression": ["b3"]}))


@pytest.fixture
def probability(tmp_path) -> Path:
    """Levels 0..254 from west to east, and a corner of nothing."""
    levels = np.tile(np.arange(300) * 254 // 299, (200, 1)).astype("uint8")
    levels[:50, :40] = 255
    path = tmp_path / "probability.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=300, height=200, count=1, dtype="uint8", crs="EPSG:3857", nodata=255,
        transform=Affine(2, 0, 1001875, 0, -2, 6080000),
    ) as dataset:  # fmt: skip
        dataset.write(levels, 1)
    return path


PLACE = ("17", str(int((1002125 + EDGE_M) / (2 * EDGE_M) * 2**17)),
         str(int((EDGE_M - 6079800) / (2 * EDGE_M) * 2**17)))  # fmt: skip


def levels_at(path: Path, tile: tiles.Tile) -> np.ndarray:
    """The level below the centre of every pixel of the tile, 255 outside, one by one."""
    with rasterio.open(path) as dataset:
        pixels, inverse = dataset.read(1), ~dataset.transform
    side, out = 2 * EDGE_M / 2**tile.z, np.full((256, 256), 255)
    for row in range(256):
        y = EDGE_M - side * (tile.y + (row + 0.5) / 256)
        for column in range(256):
            c, r = inverse @ (-EDGE_M + side * (tile.x + (column + 0.5) / 256), y)
            if 0 <= c < 300 and 0 <= r < 200:
                out[row, column] = pixels[int(r), int(c)]
    return out


def test_a_threshold_shows_change_exactly_where_the_mask_would(probability, monkeypatch):
    place, known = PLACE, None
    for text in ("0.5", "0", "1", "0.25", "0.1378", "0.999"):
        for form in ("png", "webp"):
            tile = tiles.parse(*place, form, {"threshold": [text]})
            picture = decode(tiles.render(str(probability), tile))
            known = levels_at(probability, tile) if known is None else known
            changed = products.cut(float(text))[known] == 1
            assert np.array_equal(picture[..., 3] == 255, changed), text
            assert set(np.unique(picture[..., 3])) <= {0, 255}
            assert (picture[changed][:, :3] == (0xE8, 0x59, 0x0C)).all()
    monkeypatch.setattr(draw, "_read", lambda *_, **__: pytest.fail("the pixels were read again"))
    tiles.render(str(probability), tiles.parse(*place, "png", {"threshold": ["0.777"]}))


def test_uncertain_change_is_fainter_the_closer_to_the_threshold(probability):
    tile = tiles.parse(*PLACE, "png", {"threshold": ["0.3"], "colormap": ["uncertain"]})
    opacity = decode(tiles.render(str(probability), tile))[..., 3].astype(int)
    levels = levels_at(probability, tile)
    assert (opacity[(levels == 255) | (levels / 254 < 0.3)] == 0).all()
    shown = [int(opacity[levels == level][0]) for level in range(80, 255) if (levels == level).any()]
    assert shown == sorted(shown)
    assert shown[0] < 80
    assert len(set(shown)) > 50


def test_a_threshold_is_for_probabilities_only(tmp_path):
    path = tmp_path / "field.tif"
    write_field(path, "north up")
    with pytest.raises(BadInput, match="levels of probability"):
        tiles.render(str(path), tiles.parse("16", *map(str, middle(path, 16)), "png", {"threshold": ["0.5"]}))


@pytest.mark.parametrize("name", ["cividis", "viridis", "balance", "gray"])
def test_ramps_are_the_published_ones(name):
    table = colors.ramp(name).astype(int)
    known = {"gray": {i: (i, i, i, 255) for i in range(256)}}.get(name) or cmap.get(name)
    assert np.abs(table - np.array([known[i] for i in range(256)])).max() <= 3


@pytest.mark.filterwarnings("ignore::rio_tiler.errors.NoOverviewWarning")
@pytest.mark.parametrize("options", [{"nodata": 0}, {}])
def test_the_way_by_gdal_is_that_of_rio_tiler(tmp_path, options):
    path = tmp_path / "field.tif"
    write_field(path, "turned", **options)
    of = sources.source(str(path))
    for zoom in (11, 13, 15, 17):
        tile = tiles.Tile(zoom, *middle(path, zoom))
        found = warp.warped(of, sources.header(of), tile, (1, 2), Resampling.bilinear)
        assert found is not None
        with Reader(str(path)) as reader:
            other = reader.tile(tile.x, tile.y, zoom, indexes=(1, 2), reproject_method="bilinear").array
        both = found[1] & ~np.ma.getmaskarray(other).any(axis=0)
        assert both.sum() >= 10
        assert np.mean(found[1] == ~np.ma.getmaskarray(other).any(axis=0)) > 0.97
        apart = np.abs(found[0][:, both].astype(float) - other.data[:, both].astype(float))
        assert np.percentile(apart, 99) < 60


def test_a_raster_of_single_lines_is_read_in_bands_of_lines(tmp_path, monkeypatch):
    path = tmp_path / "lines.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=600, height=400, count=1, dtype="uint8", crs="EPSG:3857",
        transform=Affine(2.5, 0, 1001875, 0, -2.5, 6080000), blockysize=1,
    ) as dataset:  # fmt: skip
        dataset.write(np.mgrid[0:400, 0:600][1].astype("uint8")[None])
    read, original = [], sources._read
    monkeypatch.setattr(sources, "_read", lambda *given: read.append(given) or original(*given))
    tile = tiles.Tile(16, *middle(path, 16), limits=((0, 255),))
    assert decode(tiles.render(str(path), tile))[..., 0].std() > 20
    assert 0 < len(read) <= 4


def test_a_new_version_of_a_file_is_drawn_anew(tmp_path):
    path = tmp_path / "field.tif"
    write_field(path, "north up")
    tile = tiles.Tile(16, *middle(path, 16), limits=((0, 5000),))
    before = tiles.render(str(path), tile)
    with rasterio.open(path, "r+") as dataset:
        dataset.write(dataset.read() // 2)
    after = tiles.render(str(path), tile)
    assert before is not None
    assert after is not None
    assert decode(after)[..., 0].mean() < 0.7 * decode(before)[..., 0].mean()
