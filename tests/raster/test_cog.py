from __future__ import annotations

import numpy as np
import pytest
import rasterio
from rasterio.windows import Window

from geolab import raster
from geolab.errors import FileRejected

from .conftest import NORTH_UP, ROTATED, SOUTH_UP


def assert_same(before, after):
    """Everything a reader sees is equal: pixels, masks, grid, nodata, colours, names, tags."""
    with rasterio.open(before) as one, rasterio.open(after) as two:
        np.testing.assert_array_equal(one.read(), two.read())
        np.testing.assert_array_equal(one.read_masks(), two.read_masks())
        assert one.crs == two.crs
        assert one.transform == two.transform
        assert one.dtypes == two.dtypes
        assert one.nodata == two.nodata or (np.isnan(one.nodata) and np.isnan(two.nodata))
        assert one.colorinterp == two.colorinterp
        assert one.descriptions == two.descriptions
        assert one.tags().items() <= two.tags().items()
        assert one.tags(1).items() <= two.tags(1).items()
        assert (one.scales, one.offsets) == (two.scales, two.offsets)


LARGE = np.random.default_rng(3).integers(1, 200, (2, 700, 1100), dtype=np.uint8)


@pytest.mark.parametrize("transform", [NORTH_UP, ROTATED, SOUTH_UP])
@pytest.mark.parametrize("large", [False, True])
def test_a_cog_keeps_the_grid_and_every_pixel(make, tmp_path, transform, large, pixels):
    source = make(
        data=LARGE if large else pixels,
        transform=transform,
        tags={"TIFFTAG_DATETIME": "2024:05:06 07:08:09", "GEOLAB_ROLE": "image"},
        names=("swir", "nir"),
    )
    raster.make_cog(str(source), tmp_path / "cog.tif")
    assert_same(source, tmp_path / "cog.tif")
    assert raster.is_cog(str(tmp_path / "cog.tif"))
    with rasterio.open(tmp_path / "cog.tif") as made:
        assert bool(made.overviews(1)) == large


@pytest.mark.parametrize(
    "dtype,nodata",
    [
        ("uint16", 0),
        ("int16", -9999),
        ("float32", float("nan")),
        ("float64", -1e30),
        ("complex64", None),
        ("int8", -1),
    ],
)
def test_a_cog_keeps_dtype_and_nodata(make, tmp_path, dtype, nodata):
    data = np.random.default_rng(5).normal(0, 50, (2, 600, 550)).astype(dtype)
    if nodata is not None:
        data[:, 10:30, 5:9] = nodata
    source = make(data=data, nodata=nodata)
    raster.make_cog(str(source), tmp_path / "cog.tif")
    assert_same(source, tmp_path / "cog.tif")


def test_a_cog_keeps_masks_alpha_and_palette(make, tmp_path, pixels):
    mask = np.zeros((70, 90), np.uint8)
    mask[20:40] = 255
    masked = make("mask.tif", mask=mask)
    alpha = make("alpha.tif", LARGE.repeat(2, axis=0), colorinterp=("red", "green", "blue", "alpha"))
    palette = make("palette.tif", pixels[:1] % 4, photometric="palette")
    with rasterio.open(palette, "r+") as out:
        out.write_colormap(1, {0: (1, 2, 3, 255), 1: (40, 50, 60, 255), 3: (7, 8, 9, 255)})
    for source in (masked, alpha, palette):
        raster.make_cog(str(source), tmp_path / "cog.tif")
        assert_same(source, tmp_path / "cog.tif")
    with rasterio.open(tmp_path / "cog.tif") as made:
        assert made.colormap(1)[1] == (40, 50, 60, 255)


SMOOTH = (np.add.outer(np.sin(np.arange(700) / 90), np.cos(np.arange(1100) / 70))[None] * 60 + 120).astype(
    "u1"
)


@pytest.mark.parametrize("data", [SMOOTH, SMOOTH[:, :300, :400]])
def test_overviews_of_the_source_are_never_taken_over(make, tmp_path, data):
    source = make(data=data, tiled=True)
    with rasterio.open(source, "r+") as out:
        out.build_overviews([2, 4], rasterio.enums.Resampling.average)
        out.write(255 - data)
    assert raster.stale_overviews(str(source))
    raster.make_cog(str(source), tmp_path / "cog.tif")
    assert not raster.stale_overviews(str(tmp_path / "cog.tif"))


@pytest.mark.parametrize(
    "resampling", ["nearest", "average", "cubic", "lanczos", "mode", "gauss", "bilinear"]
)
def test_overviews_of_any_resampling_are_fresh(make, resampling):
    for name, data in {"noise": LARGE, "smooth": SMOOTH, "float": SMOOTH.astype(np.float32) / 7}.items():
        source = make(f"{name}.tif", data, tiled=True)
        with rasterio.open(source, "r+") as out:
            out.build_overviews([2, 4, 8], rasterio.enums.Resampling[resampling])
        assert not raster.stale_overviews(str(source)), name


# ---------------------------------------------------------------- writing


@pytest.mark.parametrize("transform", [NORTH_UP, ROTATED])
def test_windows_written_in_any_order_become_a_cog(make, tmp_path, transform):
    like = raster.read_info(make(data=LARGE, transform=transform))
    path = tmp_path / "new" / "out.tif"
    windows = list(raster.iter_windows(like, 300))
    np.random.default_rng(0).shuffle(windows)
    with raster.write_cog(
        path,
        like=like,
        count=2,
        dtype="uint8",
        nodata=255,
        band_names=("a", "b"),
        tags={"K": "v"},
        scales=(0.5, 2),
    ) as writer:
        for window in windows:
            writer.write(LARGE[:, *window.toslices()], window)
        assert not path.exists()
    info = raster.read_info(path)
    raster.same_grid(like, info)
    assert info.transform == like.transform
    assert (info.nodata, info.band_names, info.tags["K"], info.scales) == (255, ("a", "b"), "v", (0.5, 2.0))
    assert raster.is_cog(str(path))
    with rasterio.open(path) as out:
        np.testing.assert_array_equal(out.read(), LARGE)
    assert [p.name for p in path.parent.iterdir()] == ["out.tif"]


def test_nothing_is_left_of_a_raster_whose_writing_failed(make, tmp_path):
    like = raster.read_info(make())
    folder = tmp_path / "new"
    with (
        pytest.raises(ZeroDivisionError),
        raster.write_cog(folder / "out.tif", like=like, count=1, dtype="uint8") as writer,
    ):
        writer.write(np.zeros((70, 90), np.uint8), Window(0, 0, 90, 70))
        raise ZeroDivisionError
    assert list(folder.iterdir()) == []


def test_a_damaged_file_becomes_no_cog(make, tmp_path):
    source = make(data=LARGE // 8, compress="deflate")
    content = bytearray(source.read_bytes())
    content[300_000:360_000] = bytes(60_000)
    source.write_bytes(content)
    folder = tmp_path / "new"
    with pytest.raises(FileRejected, match="can't be converted"):
        raster.make_cog(str(source), folder / "cog.tif")
    assert list(folder.iterdir()) == []


# ---------------------------------------------------------------- checking


@pytest.mark.parametrize("options", [{}, {"compress": "deflate", "tiled": True}, {"compress": "lzw"}])
def test_a_sound_file_passes_and_a_cut_one_does_not(make, options):
    source = make(data=LARGE, **options)
    raster.check(str(source))
    source.write_bytes(source.read_bytes()[:-100_000])
    with pytest.raises(FileRejected, match="cut off or damaged"):
        raster.check(str(source))


@pytest.mark.parametrize("options", [{}, {"interleave": "band", "tiled": True}])
def test_damage_anywhere_in_deflated_pixels_is_found(make, options):
    source = make(data=LARGE // 8, compress="deflate", **options)
    raster.check(str(source))
    sound = source.read_bytes()
    for start in range(len(sound) // 9, len(sound) - 3000, len(sound) // 9):
        content = bytearray(sound)
        content[start : start + 100] = bytes(255 - b for b in content[start : start + 100])
        source.write_bytes(content)
        with pytest.raises(FileRejected, match="damaged"):
            raster.check(str(source))


def test_content_is_seen_in_a_single_valid_pixel(make):
    data = np.zeros((1, 900, 700), np.uint8)
    assert not raster.check_content(str(make("none.tif", data, nodata=0))).any_valid
    data[0, 899, 699] = 3
    assert raster.check_content(str(make("one.tif", data, nodata=0))).any_valid
    assert not raster.check_content(str(make("nan.tif", np.full((1, 9, 8), np.nan, np.float32)))).any_valid
