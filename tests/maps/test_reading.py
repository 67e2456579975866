"""The values at a place: compared with rasterio, on rotated, scaled, masked and odd rasters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio import Affine
from rasterio.warp import transform

from geolab.errors import BadInput, FileRejected, NotFound
from geolab.maps.reading import reading

TRANSFORM = Affine(2.0, 0, 500_000, 0, -3.0, 5_300_000)


def write(
    path: Path,
    pixels: np.ndarray,
    *,
    transform: Affine = TRANSFORM,
    crs: str | None = "EPSG:32632",
    **options,
) -> dict:
    scales, units = options.pop("scales", None), options.pop("units", None)
    profile = {"driver": "GTiff", "count": len(pixels), "height": pixels.shape[1], "width": pixels.shape[2]}
    with rasterio.open(
        path, "w", dtype=pixels.dtype, crs=crs, transform=transform, **profile, **options
    ) as file:
        file.write(pixels)
        if scales:
            file.scales, file.offsets = scales
        if units:
            file.units = units
    return {
        "id": path.stem,
        "collection": "c",
        "properties": {"datetime": "2024-08-15T10:00:00Z"},
        "assets": {"data": {"href": path.as_uri()}},
    }


def place(
    column: float, row: float, affine: Affine = TRANSFORM, crs: str = "EPSG:32632"
) -> tuple[float, float]:
    x, y = affine.a * column + affine.b * row + affine.c, affine.d * column + affine.e * row + affine.f
    lon, lat = transform(crs, "EPSG:4326", [x], [y])[:2]
    return lon[0], lat[0]


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 4000, (3, 40, 60), np.uint16)


@pytest.mark.parametrize("column, row", [(0, 0), (59, 39), (17, 3), (3, 17)])
@pytest.mark.parametrize("turned", [False, True])
def test_the_values_are_those_of_the_pixel(tmp_path, pixels, column, row, turned):
    affine = TRANSFORM @ Affine.rotation(30) if turned else TRANSFORM
    item = write(tmp_path / "a.tif", pixels, transform=affine)
    for inside in (0.05, 0.95):
        found = reading(item, *place(column + inside, row + inside, affine))
        assert found is not None
        assert (found.column, found.row) == (column, row)
        assert [band.value for band in found.bands] == pixels[:, row, column].tolist()


def test_a_place_beside_the_raster_has_no_pixel(tmp_path, pixels):
    item = write(tmp_path / "a.tif", pixels)
    assert reading(item, *place(-0.1, 5)) is None
    assert reading(item, *place(60.1, 5)) is None
    assert reading(item, -120.0, -40.0) is None


def test_scale_offset_and_unit_come_from_the_file_and_rather_from_the_item(tmp_path, pixels):
    item = write(tmp_path / "a.tif", pixels, scales=((0.1,) * 3, (-5.0,) * 3), units=("metre", "K", ""))
    found = reading(item, *place(5.5, 6.5))
    assert found is not None
    assert found.bands[0].value == pytest.approx(pixels[0, 6, 5] * 0.1 - 5)
    assert [band.unit for band in found.bands] == ["m", "K", ""]
    item["assets"]["data"]["bands"] = [
        {"name": "nir", "raster:scale": 0.0001, "raster:offset": -0.1, "unit": "1"}
    ]
    found = reading(item, *place(5.5, 6.5))
    assert found is not None
    assert found.bands[0].name == "nir"
    assert found.bands[0].value == pytest.approx(pixels[0, 6, 5] * 0.0001 - 0.1)


def test_nodata_is_no_value_and_alpha_is_no_band(tmp_path, pixels):
    holed = pixels.copy()
    holed[:, 2, 3] = 0
    item = write(tmp_path / "a.tif", holed, nodata=0)
    found = reading(item, *place(3.5, 2.5))
    assert found is not None
    assert {band.text for band in found.bands} == {"no data"}
    rgba = np.full((4, 8, 8), 255, np.uint8)
    item = write(tmp_path / "b.tif", rgba, photometric="RGB", alpha="yes")
    found = reading(item, *place(3.5, 2.5))
    assert found is not None
    assert len(found.bands) == 3


def test_a_probability_is_one_and_a_mask_is_a_word(tmp_path):
    item = write(tmp_path / "p.tif", np.full((1, 8, 8), 127, np.uint8), nodata=255)
    item["properties"]["geolab:result"] = "probability"
    found = reading(item, *place(1.5, 1.5))
    assert found is not None
    assert found.bands[0].text == "0.5"
    item = write(tmp_path / "m.tif", np.ones((1, 8, 8), np.uint8))
    item["properties"]["geolab:result"] = "mask"
    found = reading(item, *place(1.5, 1.5))
    assert found is not None
    assert found.bands[0].text == "1 changed"


def test_what_can_not_be_read_says_why(tmp_path, pixels):
    item = write(tmp_path / "a.tif", pixels, crs=None)
    with pytest.raises(BadInput, match="coordinate system"):
        reading(item, 11.0, 48.0)
    with pytest.raises(BadInput, match="no asset 'other'"):
        reading(item, 11.0, 48.0, "other")
    item["assets"]["data"]["href"] = (tmp_path / "gone.tif").as_uri()
    with pytest.raises(NotFound):
        reading(item, 11.0, 48.0)
    (tmp_path / "text.tif").write_text("no image")
    item["assets"]["data"]["href"] = (tmp_path / "text.tif").as_uri()
    with pytest.raises(FileRejected):
        reading(item, 11.0, 48.0)
