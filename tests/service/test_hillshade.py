"""Relief: light falls from the north-west, whatever the tile."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from pyproj import Transformer
from rasterio.transform import from_origin

from geolab.errors import BadInput
from geolab.raster import hillshade
from geolab.service import tiles

EDGE_M = 20037508.342789244
LEVEL = round(255 * math.sin(math.radians(45)))


def slow_shade(heights: np.ndarray, valid: np.ndarray, pixel_m: float) -> np.ndarray:
    """Horn's formula pixel by pixel, in angles."""
    out = np.zeros((heights.shape[0] - 2, heights.shape[1] - 2))
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            box, known = (
                heights[row : row + 3, column : column + 3],
                valid[row : row + 3, column : column + 3],
            )
            (a, b, c), (d, _, f), (g, h, i) = np.where(known, box, box[1, 1])
            dx = (c + 2 * f + i - a - 2 * d - g) / (8 * pixel_m)
            dy = (g + 2 * h + i - a - 2 * b - c) / (8 * pixel_m)  # down the rows
            slope, aspect = math.atan(math.hypot(dx, dy)), math.atan2(dy, -dx)
            zenith, azimuth = math.radians(45), math.radians(360 - 315 + 90)
            light = math.cos(zenith) * math.cos(slope)
            light += math.sin(zenith) * math.sin(slope) * math.cos(azimuth - aspect)
            out[row, column] = 255 * max(light, 0)
    return out


def test_shading_equals_horns_formula_pixel_by_pixel():
    random = np.random.default_rng(0)
    heights = random.normal(0, 1.5, (21, 34)).astype(np.float32)
    valid = random.random((21, 34)) > 0.1
    fast = hillshade.shade(heights, valid, 0.7)
    slow = slow_shade(heights.astype(float), valid, 0.7)
    assert fast.shape == (19, 32)
    assert np.abs(fast[valid[1:-1, 1:-1]] - slow[valid[1:-1, 1:-1]]).max() <= 0.51


def test_level_ground_is_even_and_the_side_that_faces_north_west_is_bright():
    flat = np.full((5, 6), 312.0)
    everywhere = np.ones((5, 6), bool)
    assert np.all(hillshade.shade(flat, everywhere, 1.0) == LEVEL)
    rows, columns = np.mgrid[:5, :6].astype(float)
    to_north_west = hillshade.shade((rows + columns) * 0.3, everywhere, 1.0)  # falls to the upper left
    assert np.all(to_north_west > LEVEL + 20)
    assert np.all(hillshade.shade(-(rows + columns) * 0.3, everywhere, 1.0) < LEVEL - 20)


def test_holes_are_level_and_not_a_number_is_no_error():
    heights = np.full((4, 4), 5.0)
    heights[0, 0] = np.nan
    valid = np.isfinite(heights)
    assert np.all(hillshade.shade(heights, valid, 1.0) == LEVEL)


def slope(path: Path, *, rise: float) -> str:
    """A height model of 200 by 160 m at 0.5 m in UTM that rises to the east; a hole in a corner."""
    heights = np.tile(np.arange(400, dtype=np.float32) * 0.5 * rise, (320, 1))
    heights[:40, :40] = -9999
    with rasterio.open(
        path, "w", driver="GTiff", width=400, height=320, count=1, dtype="float32", crs="EPSG:32632",
        transform=from_origin(500000, 5300000, 0.5, 0.5), nodata=-9999,
    ) as dataset:  # fmt: skip
        dataset.write(heights, 1)
    return path.as_uri()


def middle(zoom: int) -> tuple[int, int]:
    x, y = Transformer.from_crs(32632, 3857, always_xy=True).transform(500100, 5299920)
    side = 2 * EDGE_M / 2**zoom
    return int((x + EDGE_M) / side), int((EDGE_M - y) / side)


def drawn(uri: str, tile: tiles.Tile) -> np.ndarray:
    data = tiles.render(uri, tile)
    assert data is not None
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))


@pytest.mark.parametrize("zoom", [18, 19, 20])
def test_a_tile_of_a_slope_has_the_brightness_of_its_slope_on_the_ground(tmp_path, zoom):
    rise = 0.5
    uri = slope(tmp_path / "dsm.tif", rise=rise)
    image = drawn(uri, tiles.Tile(zoom, *middle(zoom), colormap="hillshade"))
    light = (math.sqrt(0.5) + 0.5 * rise) / math.sqrt(1 + rise**2)  # turned away from the west by its rise
    inside = image[image[..., 3] == 255]
    assert len(inside) > 10_000
    assert np.median(inside[:, 0]) == pytest.approx(
        255 * light, abs=3
    )  # metres of Mercator would give 8 less
    assert np.all(inside[:, 0] == inside[:, 1])


def test_neighbouring_tiles_meet_without_a_seam(tmp_path):
    uri = slope(tmp_path / "dsm.tif", rise=0.3)
    x, y = middle(20)
    left, right = (
        drawn(uri, tiles.Tile(20, n, y, colormap="hillshade"))[..., 0].astype(int) for n in (x, x + 1)
    )
    assert np.abs(left[:, -1] - right[:, 0]).max() <= 3


def test_the_query_names_the_relief_among_the_colour_maps():
    parsed = tiles.parse("18", "1", "1", "png", {"colormap": ["hillshade"]})
    assert parsed.colormap == "hillshade"
    with pytest.raises(BadInput, match="hillshade"):
        tiles.parse("18", "1", "1", "png", {"colormap": ["relief"]})
