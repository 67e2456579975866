from __future__ import annotations

import numpy as np
import pytest
import rasterio
from rasterio import Affine
from rasterio.warp import Resampling, reproject
from rasterio.windows import Window

from geolab import raster
from geolab.errors import BadInput

from .conftest import NORTH_UP, ROTATED


def read(path, window=None):
    with raster.open_raster(path) as dataset:
        return raster.read_window(dataset, window)


def test_pixels_come_as_float32_band_y_x(make, pixels):
    values = read(make(), Window(7, 11, 20, 10))
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, pixels[:, 11:21, 7:27])


def test_nodata_is_nan_in_each_band(make, pixels):
    pixels[1, 5, 6] = 0
    values = read(make(nodata=0))
    assert np.isnan(values[1, 5, 6])
    assert np.isnan(values).sum() == 1


def test_nan_and_infinity_are_invalid_even_without_nodata(make):
    data = np.ones((1, 20, 30), np.float32)
    data[0, 3, 4], data[0, 5, 6] = np.nan, np.inf
    assert np.argwhere(np.isnan(read(make(data=data))[0])).tolist() == [[3, 4], [5, 6]]


def test_transparent_pixels_are_invalid_and_alpha_is_left_out(make, pixels):
    data = np.concatenate([pixels, np.full((1, 70, 90), 255, np.uint8)])
    data[3, 10:20] = 0
    values = read(make(data=data, colorinterp=("red", "green", "blue", "alpha")))
    assert values.shape == (3, 70, 90)
    assert np.isnan(values[:, 10:20]).all()
    assert np.isfinite(values[:, 20:]).all()


def test_masked_pixels_are_invalid(make):
    mask = np.full((70, 90), 255, np.uint8)
    mask[:, :30] = 0
    values = read(make(mask=mask))
    assert np.isnan(values[:, :, :30]).all()
    assert np.isfinite(values[:, :, 30:]).all()


def test_of_complex_pixels_the_magnitude_counts(make):
    assert read(make(data=np.full((1, 20, 30), 3 + 4j, np.complex64))).max() == 5.0


def test_windows_cover_a_raster_once(make):
    info = raster.read_info(make())
    seen = np.zeros(info.shape, int)
    for window in raster.iter_windows(info, 32):
        seen[window.toslices()] += 1
    assert (seen == 1).all()


# ---------------------------------------------------------------- align


def whole(source, like, resampling):
    """The slow twin: one call to reproject over the whole raster in memory, float64."""
    with rasterio.open(source) as dataset, rasterio.open(like) as grid:
        out = np.full((dataset.count, grid.height, grid.width), np.nan)
        for band in range(dataset.count):
            reproject(
                dataset.read(band + 1).astype(float),
                out[band],
                src_transform=dataset.transform,
                src_crs=dataset.crs,
                dst_transform=grid.transform,
                dst_crs=grid.crs,
                dst_nodata=np.nan,
                resampling=resampling,
                tolerance=0,
            )
        return out


@pytest.mark.parametrize("resampling", ["nearest", "bilinear"])
def test_aligned_pixels_are_those_of_one_warp_of_the_whole(make, tmp_path, resampling):
    source = make("source.tif", transform=NORTH_UP @ Affine.translation(3.3, -4.6), crs="EPSG:32650")
    like = make("like.tif", np.zeros((1, 50, 65), np.uint8), transform=ROTATED)
    out = raster.align(str(source), like=str(like), out=tmp_path / "out.tif", resampling=resampling)

    raster.same_grid(str(like), out)
    assert raster.is_cog(out)
    expected, found = whole(source, like, Resampling[resampling]), read(out)
    both = np.isfinite(expected) & np.isfinite(found)
    assert both.mean() > 0.2
    assert (np.isfinite(expected) != np.isfinite(found)).mean() < 0.06  # the rim
    difference = np.abs(expected - found)[both]
    assert np.mean(difference <= 1) > (0.9 if resampling == "nearest" else 0.97)


def test_a_shift_of_whole_pixels_moves_pixels_unchanged(make, pixels, tmp_path):
    source = make("source.tif")
    like = make("like.tif", np.zeros((1, 40, 50), np.uint8), transform=NORTH_UP @ Affine.translation(8, 12))
    out = raster.align(str(source), like=str(like), out=tmp_path / "out.tif", resampling="bilinear")
    np.testing.assert_array_equal(read(out), pixels[:, 12:52, 8:58])


def test_where_the_source_does_not_reach_there_is_nodata_or_a_mask(make, tmp_path):
    like = make("like.tif", transform=NORTH_UP @ Affine.translation(45, 0))
    for name, options in {"with": {"nodata": 0}, "without": {}}.items():
        out = raster.align(
            str(make(f"{name}.tif", **options)), like=str(like), out=tmp_path / f"{name}-out.tif"
        )
        assert raster.read_info(out).nodata == options.get("nodata")
        valid = np.isfinite(read(out))
        assert not valid[:, :, 50:].any()
        assert valid[:, :, :44].all()


def test_floats_without_nodata_get_nan(make, pixels, tmp_path):
    like = make("like.tif", transform=NORTH_UP @ Affine.translation(45, 0))
    out = raster.align(
        str(make("f.tif", pixels.astype(np.float32))),
        like=str(like),
        out=tmp_path / "out.tif",
        resampling="nearest",
    )
    assert np.isnan(raster.read_info(out).nodata)
    np.testing.assert_array_equal(read(out)[:, :, :45], pixels[:, :, 45:])


def test_aligning_needs_a_crs_and_a_known_resampling(make, tmp_path):
    with pytest.raises(BadInput, match=r"no CRS.*rio edit-info"):
        raster.align(str(make("n.tif", crs=None)), like=str(make()), out=tmp_path / "x.tif")
    with pytest.raises(BadInput, match="resampling"):
        raster.align(str(make("n.tif")), like=str(make()), out=tmp_path / "x.tif", resampling="best")
    assert not (tmp_path / "x.tif").exists()
