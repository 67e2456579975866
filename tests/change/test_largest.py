"""The largest polygons of a file, against reading the whole of it."""

from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from rasterio import Affine
from scipy import ndimage

from geolab.change import largest, vector
from geolab.errors import FileRejected, NotFound

UTM = Affine(2, 0, 500_000, 0, -3, 5_200_000)


def polygons(folder: Path, *, crs: str | None = "EPSG:32633", changed: bool = True) -> str:
    noise = ndimage.gaussian_filter(np.random.default_rng(4).standard_normal((90, 140)), 1.5)
    level = np.where((noise > noise.std()) & changed, 200, 10).astype("uint8")
    for name, pixels in (("mask", (level > 100).astype("uint8")), ("probability", level)):
        with rasterio.open(
            folder / f"{name}.tif", "w", driver="GTiff", dtype="uint8", count=1, height=90, width=140,
            crs=crs, transform=UTM, nodata=255,
        ) as dataset:  # fmt: skip
            dataset.write(pixels, 1)
            dataset.scales = (1 / 254,)
    return vector.polygons(folder / "mask.tif", folder / "probability.tif", folder).parquet


def test_the_largest_are_found_over_all_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(vector, "GROUP_POLYGONS", 7)
    monkeypatch.setattr(vector, "STRIP_PIXELS", 140 * 8)
    parquet = polygons(tmp_path)
    whole = geopandas.read_parquet(parquet).sort_values(["pixels", "id"], ascending=[False, True])
    found = largest.largest(parquet, 12)
    assert found.count == len(whole) > 30
    twin = whole.head(12)
    assert [patch.pixels for patch in found.patches] == twin.pixels.tolist()
    assert sorted(patch.area_m2 for patch in found.patches) == pytest.approx(sorted(twin.area_m2))
    by_id = whole.to_crs("EPSG:4326").set_index("id")
    for patch in found.patches:
        shape = shapely.geometry.shape(patch.geometry)
        assert shape.symmetric_difference(by_id.geometry[patch.id]).area < 1e-3 * shape.area
        assert patch.box == pytest.approx(by_id.geometry[patch.id].bounds)
        assert patch.max_probability == pytest.approx(200 / 254)


def test_polygons_that_lie_nowhere_have_no_place_and_no_area(tmp_path: Path):
    first = largest.largest(polygons(tmp_path, crs=None), 3).patches[0]
    assert first.geometry is first.box is None
    assert np.isnan(first.area_m2)
    assert first.pixels > 1


def test_a_file_without_polygons_has_none(tmp_path: Path):
    assert largest.largest(polygons(tmp_path, changed=False)) == largest.Largest([], 0)


def test_an_outline_of_very_many_points_is_thinned_for_the_map(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(largest, "MOST_VERTICES", 20)
    for patch in largest.largest(polygons(tmp_path), 5).patches:
        shape = shapely.geometry.shape(patch.geometry)
        assert not shape.is_empty
        assert shapely.get_num_coordinates(shape) <= 20


def test_what_is_no_such_file_is_refused(tmp_path: Path):
    with pytest.raises(NotFound):
        largest.largest(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("no parquet")
    with pytest.raises(FileRejected, match="no polygons of a detection"):
        largest.largest(tmp_path / "text.parquet")
