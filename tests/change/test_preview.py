"""A window of a pair against the same place in the whole detection."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from rasterio import Affine
from scipy import ndimage

from geolab.change import detect, model, preview
from geolab.change.preprocessing import Preprocessing
from geolab.errors import BadInput, GridMismatch

HEIGHT, WIDTH = 203, 311


def write(path, pixels, *, nodata=None, shift=0):
    grid = Affine(2, 0, 500_000 + shift, 0, -3, 5_200_000)
    profile = {
        "driver": "GTiff",
        "count": len(pixels),
        "dtype": "uint8",
        "crs": "EPSG:32633",
        "transform": grid,
    }
    with rasterio.open(
        path, "w", height=pixels.shape[1], width=pixels.shape[2], nodata=nodata, **profile
    ) as out:
        out.write(pixels)
    return str(path)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("pair"), np.random.default_rng(3)
    before = 90 + 25 * ndimage.gaussian_filter(rng.normal(0, 3, (3, HEIGHT, WIDTH)), (0, 2, 2))
    after = before + rng.normal(0, 3, before.shape)
    after[:, 40:80, 100:160] += 60
    dates = [np.clip(np.rint(date), 1, 255).astype(np.uint8) for date in (before, after)]
    dates[1][:, 150:, :30] = 0  # not seen at the later date
    names = ("before.tif", "after.tif")
    return [write(folder / name, date, nodata=0) for name, date in zip(names, dates, strict=True)]


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    made = model.untrained(Preprocessing(("1", "2", "3"), (90.0,) * 3, (30.0,) * 3), seed=5)
    folder = tmp_path_factory.mktemp("network") / "model"
    model.save(made, folder)
    return str(folder)


WINDOWS = [((0, 64), (0, 64)), ((17, 91), (95, 170)), ((140, 203), (0, 50)), ((180, 400), (290, 500))]


@pytest.mark.parametrize("method", ["cva", "irmad", "pca_kmeans", "model"])
def test_a_window_has_the_levels_of_the_whole(pair, network, tmp_path, method):
    of_model = network if method == "model" else None
    whole = detect.scene(*pair, tmp_path, method=method, model=of_model, tile_px=64)
    with rasterio.open(whole.probability) as dataset:
        expected = dataset.read(1)
    seen = preview.open_pair(*pair, method=method, model=of_model)
    assert seen.threshold == whole.threshold
    for rows, cols in WINDOWS:
        levels = seen.levels(rows, cols)
        np.testing.assert_array_equal(levels, expected[rows[0] : rows[1], cols[0] : cols[1]])
    assert (expected == 255).any()


def test_a_window_outside_of_the_scene_is_refused(pair):
    seen = preview.open_pair(*pair)
    with pytest.raises(
        BadInput, match="found rows 0-10, columns 311-320, expected one within 311 x 203 pixels"
    ):
        seen.levels((0, 10), (311, 320))


def test_a_pair_on_two_grids_is_refused(pair, tmp_path):
    moved = write(tmp_path / "moved.tif", np.ones((3, HEIGHT, WIDTH), np.uint8), shift=2)
    with pytest.raises(GridMismatch):
        preview.open_pair(pair[0], moved)
