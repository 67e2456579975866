"""Many cells of several zones as one raster, against a slow twin."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import rasterio
from pyproj import Transformer
from rasterio.transform import from_origin

from geolab import raster
from geolab.errors import BadInput, FileRejected
from geolab.raster import cells


def write(path: Path, pixels: np.ndarray, epsg: int, left: float, top: float) -> str:
    with rasterio.open(
        path, "w", driver="GTiff", width=pixels.shape[1], height=pixels.shape[0], count=1, dtype="uint8",
        crs=f"EPSG:{epsg}", transform=from_origin(left, top, 10, 10), nodata=255,
    ) as target:  # fmt: skip
        target.write(pixels, 1)
    return str(path)


def masks(folder: Path, found: list[cells.Cell], seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [
        write(
            folder / f"{cell.id}-{seed}.tif",
            rng.choice(np.array([0, 1, 255], np.uint8), cell.geobox.shape, p=[0.5, 0.4, 0.1]),
            cell.epsg, cell.bounds[0], cell.bounds[3],
        )
        for cell in found
    ]  # fmt: skip


def slow(uris: list[str], grid: rasterio.DatasetReader) -> np.ndarray:
    """Pixel by pixel: the centre looked up in each raster, those in the grid's own CRS first."""
    pixels = np.full(grid.shape, 255, np.uint8)
    opened = [rasterio.open(uri) for uri in uris]
    opened.sort(key=lambda one: one.crs != grid.crs)
    for source in opened:
        there = Transformer.from_crs(grid.crs, source.crs, always_xy=True)
        values = source.read(1)
        for row, column in np.argwhere(pixels == 255):
            x, y = there.transform(*grid.xy(row, column))
            left, _, _, top = source.bounds
            at_row, at_column = math.floor((top - y) / 10), math.floor((x - left) / 10)
            if 0 <= at_row < source.height and 0 <= at_column < source.width:
                pixels[row, column] = values[at_row, at_column]
        source.close()
    return pixels


def test_a_mosaic_over_a_zone_edge_is_that_of_its_slow_twin(tmp_path: Path):
    found = cells.over((11.99, 48.05, 12.01, 48.06), side_m=640)
    assert {cell.epsg for cell in found} == {32632, 32633}
    layers = {"2021-2022": masks(tmp_path, found, 1), "2022-2023": masks(tmp_path, found[::2], 2)}
    out = raster.mosaic(layers, tmp_path / "mosaic.tif")
    with rasterio.open(out) as made:
        assert made.descriptions == ("2021-2022", "2022-2023")
        assert made.nodata == 255
        assert [edge % 10 for edge in made.bounds] == [0, 0, 0, 0]
        for band, uris in enumerate(layers.values(), 1):
            assert np.array_equal(made.read(band), slow(uris, made))
    assert raster.is_cog(out)


def test_cells_of_the_mosaics_own_zone_are_kept_pixel_by_pixel(tmp_path: Path):
    found = cells.over((11.80, 48.05, 11.82, 48.06), side_m=640)
    uris = masks(tmp_path, found, 3)
    with rasterio.open(raster.mosaic({"change": uris}, tmp_path / "mosaic.tif")) as made:
        for cell, uri in zip(found, uris, strict=True):
            window = made.window(*cell.bounds).round()
            with rasterio.open(uri) as source:
                assert np.array_equal(made.read(1, window=window), source.read(1))


def test_windows_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from geolab.raster import windows

    found = cells.over((11.99, 48.05, 12.01, 48.06), side_m=640)
    uris = masks(tmp_path, found, 4)
    with rasterio.open(raster.mosaic({"a": uris}, tmp_path / "whole.tif")) as whole:
        expected = whole.read()
    monkeypatch.setattr(windows.iter_windows, "__defaults__", (37,))
    with rasterio.open(raster.mosaic({"a": uris}, tmp_path / "parts.tif")) as parts:
        assert np.array_equal(parts.read(), expected)


def test_another_crs_may_be_asked_for(tmp_path: Path):
    found = cells.over((11.80, 48.05, 11.81, 48.06), side_m=640)
    out = raster.mosaic({"a": masks(tmp_path, found, 5)}, tmp_path / "mosaic.tif", crs="EPSG:3035")
    info = raster.read_info(out)
    assert raster.crs_name(info.crs) == "EPSG:3035"
    for crs, words in (("EPSG:4326", "projected"), ("nonsense", "a code such as")):
        with pytest.raises(BadInput, match=words):
            raster.mosaic({"a": masks(tmp_path, found, 5)}, tmp_path / "x.tif", crs=crs)


def test_what_is_no_mask_is_refused(tmp_path: Path):
    with pytest.raises(BadInput, match="no raster"):
        raster.mosaic({}, tmp_path / "x.tif")
    path = tmp_path / "two.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=5, height=4, count=2, dtype="float32", crs="EPSG:32632",
        transform=from_origin(500_000, 5_000_000, 10, 10),
    ):  # fmt: skip
        pass
    with pytest.raises(FileRejected, match="single bands of uint8"):
        raster.mosaic({"a": [str(path)]}, tmp_path / "x.tif")
