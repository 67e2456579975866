"""Clips: exactly the pixels of the raster, exactly where they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pyproj import Transformer
from rasterio.enums import ColorInterp
from rasterio.transform import Affine, from_origin

from geolab import raster
from geolab.errors import BadInput, NotFound, TooLarge
from geolab.raster import is_cog
from geolab.raster.clip import window_of

NORTH_UP = from_origin(500000, 5300000, 2.0, 3.0)
TURNED = Affine.translation(500000, 5300000) @ Affine.rotation(25) @ Affine.scale(2.0, -3.0)
SOUTH_UP = Affine(2.0, 0, 500000, 0, 3.0, 5299000)
GRIDS = {"north up": NORTH_UP, "turned": TURNED, "south up": SOUTH_UP}


def write(path: Path, transform: Affine, **options) -> np.ndarray:
    """137 wide, 90 high, two bands; every pixel another value."""
    pixels = np.arange(2 * 90 * 137, dtype="uint16").reshape(2, 90, 137)
    with rasterio.open(
        path, "w", driver="GTiff", width=137, height=90, count=2, dtype="uint16", crs="EPSG:32632",
        transform=transform, **options,
    ) as dataset:  # fmt: skip
        dataset.write(pixels)
        dataset.update_tags(ACQUIRED="2024-08-15")
        dataset.update_tags(2, NOTE="second")
        dataset.set_band_description(1, "red")
        dataset.scales, dataset.offsets = (0.5, 2.0), (1.0, -1.0)
    return pixels


def lonlat_box(
    transform: Affine, columns: tuple[float, float], rows: tuple[float, float]
) -> tuple[float, ...]:
    xs, ys = zip(*(transform @ (c, r) for c in columns for r in rows), strict=True)
    lon, lat = Transformer.from_crs(32632, 4326, always_xy=True).transform(xs, ys)
    return min(lon), min(lat), max(lon), max(lat)


@pytest.mark.parametrize("grid", GRIDS)
@hypothesis_settings(max_examples=15, deadline=None)
@given(
    left=st.floats(-20, 130), top=st.floats(-20, 85), width=st.floats(0.5, 90), height=st.floats(0.5, 60)
)  # fmt: skip
def test_a_clip_is_the_raster_seen_through_a_window(tmp_path_factory, grid, left, top, width, height):
    folder, transform = tmp_path_factory.mktemp("clip"), GRIDS[grid]
    pixels = write(folder / "whole.tif", transform, nodata=7)
    box = lonlat_box(transform, (left, left + width), (top, top + height))
    try:
        raster.clip(str(folder / "whole.tif"), box, folder / "part.tif")
    except BadInput:
        assert left + width < 1 or top + height < 1, "a box that touches the raster was refused"
        return
    with rasterio.open(folder / "part.tif") as part, rasterio.open(folder / "whole.tif") as whole:
        column, row = (~whole.transform) @ (part.transform.c, part.transform.f)
        c, r = round(column), round(row)
        assert abs(column - c) < 1e-6
        assert abs(row - r) < 1e-6
        assert np.array_equal(part.read(), pixels[:, r : r + part.height, c : c + part.width])
        assert part.crs == whole.crs
        assert np.allclose(
            part.transform[:6], (whole.transform @ Affine.translation(c, r))[:6], rtol=0, atol=1e-6
        )
        inside = (max(0, left), min(137, left + width), max(0, top), min(90, top + height))
        assert c <= inside[0]
        assert c + part.width >= inside[1]
        assert r <= inside[2]
        assert r + part.height >= inside[3]
        assert part.nodata == 7


def test_what_the_header_says_is_kept_and_it_is_a_cog(tmp_path: Path):
    write(tmp_path / "whole.tif", NORTH_UP)
    box = lonlat_box(NORTH_UP, (10, 40), (20, 30))
    raster.clip(str(tmp_path / "whole.tif"), box, tmp_path / "part.tif")
    with rasterio.open(tmp_path / "part.tif") as part:
        assert part.descriptions == ("red", None)
        assert (part.scales, part.offsets) == ((0.5, 2.0), (1.0, -1.0))
        assert part.tags()["ACQUIRED"] == "2024-08-15"
        assert part.tags(2)["NOTE"] == "second"
        assert 30 <= part.width <= 33
        assert 10 <= part.height <= 13
    assert is_cog(str(tmp_path / "part.tif"))


def test_a_box_on_the_edges_of_pixels_takes_no_pixel_more(tmp_path: Path):
    grid = from_origin(8.0, 48.0, 0.001, 0.002)
    with rasterio.open(
        tmp_path / "g.tif", "w", driver="GTiff", width=50, height=30, count=1, dtype="uint8", crs="EPSG:4326",
        transform=grid,
    ) as dataset:  # fmt: skip
        dataset.write(np.zeros((1, 30, 50), "uint8"))
    with raster.open_raster(str(tmp_path / "g.tif")) as dataset:
        window = window_of(dataset, (8.010, 47.960, 8.020, 47.980))
    assert (window.col_off, window.row_off, window.width, window.height) == (10, 10, 10, 10)


def test_masks_and_palettes_go_along(tmp_path: Path):
    classes = np.arange(60 * 80, dtype="uint8").reshape(60, 80) % 3
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(
        tmp_path / "m.tif", "w", driver="GTiff", width=80, height=60, count=1, dtype="uint8",
        crs="EPSG:32632", transform=NORTH_UP,
    ) as dataset:  # fmt: skip
        dataset.write(classes, 1)
        dataset.write_mask(classes != 2)
        dataset.write_colormap(1, {1: (232, 89, 12, 255)})
    raster.clip(str(tmp_path / "m.tif"), lonlat_box(NORTH_UP, (5, 25), (7, 17)), tmp_path / "part.tif")
    with rasterio.open(tmp_path / "part.tif") as part:
        pixels, mask = part.read(1), part.dataset_mask()
        assert np.array_equal(mask > 0, pixels != 2)
        assert part.colorinterp == (ColorInterp.palette,)
        assert part.colormap(1)[1] == (232, 89, 12, 255)


def test_no_box_is_the_whole_raster(tmp_path: Path):
    pixels = write(tmp_path / "whole.tif", TURNED)
    raster.clip(str(tmp_path / "whole.tif"), (), tmp_path / "part.tif")
    with rasterio.open(tmp_path / "part.tif") as part:
        assert np.array_equal(part.read(), pixels)
        assert part.transform.almost_equals(TURNED)


def test_a_large_clip_is_refused_with_its_size(tmp_path: Path):
    write(tmp_path / "whole.tif", NORTH_UP)
    with pytest.raises(TooLarge, match=r"137 x 90 px in 2 bands.*0\.01 million values.*smaller box"):
        raster.clip(str(tmp_path / "whole.tif"), (), tmp_path / "part.tif", most_values=10_000)
    assert not (tmp_path / "part.tif").exists()


@pytest.mark.parametrize("box", [(0, 0, 1, 1), (-180, -90, -170, -80), (100, 40, 110, 50)])
def test_a_box_elsewhere_is_refused(tmp_path: Path, box: tuple[float, ...]):
    write(tmp_path / "whole.tif", NORTH_UP)
    with pytest.raises(BadInput, match="beside the raster"):
        raster.clip(str(tmp_path / "whole.tif"), box, tmp_path / "part.tif")
    with pytest.raises(NotFound):
        raster.clip(str(tmp_path / "gone.tif"), box, tmp_path / "part.tif")
