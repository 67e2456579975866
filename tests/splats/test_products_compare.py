"""Errors of surface models, against NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from geolab.errors import BadInput
from geolab.splats.compare import compare_dsm


def write(path: Path, heights: np.ndarray, *, left: float = 500_000.0) -> Path:
    profile = {"driver": "GTiff", "width": heights.shape[1], "height": heights.shape[0], "count": 1}
    place = from_origin(left, 5_400_000, 0.5, 0.5)
    with rasterio.open(
        path, "w", dtype="float32", crs="EPSG:32633", transform=place, nodata=-9999, **profile
    ) as out:
        out.write(np.where(np.isnan(heights), -9999, heights).astype(np.float32), 1)
    return path


def pair(tmp_path: Path) -> tuple[Path, Path, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    truth = rng.uniform(100, 130, (40, 1090)).astype(np.float32)
    dsm = truth + rng.laplace(0.1, 0.3, truth.shape).astype(np.float32)
    dsm[:, :20], truth[30:] = np.nan, np.nan
    dsm[5, 50] += 40
    return write(tmp_path / "dsm.tif", dsm), write(tmp_path / "truth.tif", truth), dsm, truth


def test_scores_are_those_of_the_errors(tmp_path: Path) -> None:
    ours, theirs, dsm, truth = pair(tmp_path)
    scores = compare_dsm(ours, theirs)
    errors = (dsm.astype(np.float64) - truth)[np.isfinite(dsm) & np.isfinite(truth)]
    assert scores.pixels == errors.size
    assert scores.complete == pytest.approx(1070 / 1090)
    assert scores.mae == pytest.approx(np.abs(errors).mean(), rel=1e-4)
    assert scores.rmse == pytest.approx(np.sqrt((errors**2).mean()), rel=1e-4)
    assert scores.bias == pytest.approx(errors.mean(), rel=1e-3)
    assert scores.median == pytest.approx(np.median(errors), rel=1e-3)
    assert scores.le90 == pytest.approx(np.quantile(np.abs(errors), 0.9), rel=1e-3)
    mad = np.median(np.abs(errors - np.median(errors)))
    assert scores.nmad == pytest.approx(1.4826 * mad, rel=1e-3)
    assert scores.as_json()["mae"] == scores.mae


def test_only_the_chosen_pixels_count(tmp_path: Path) -> None:
    ours, theirs, dsm, truth = pair(tmp_path)
    where = np.zeros(dsm.shape, bool)
    where[5, 40:60] = True
    scores = compare_dsm(ours, theirs, where=where)
    assert scores.pixels == 20
    assert scores.mae == pytest.approx(np.abs(dsm - truth)[where].mean(), rel=1e-4)


def test_a_truth_on_another_grid_is_read_between_its_pixels(tmp_path: Path) -> None:
    rows, columns = np.mgrid[0:40, 0:90]
    slope = (100 + 0.5 * columns - 0.3 * rows).astype(np.float32)
    ours = write(tmp_path / "dsm.tif", slope + 0.25)
    theirs = write(tmp_path / "truth.tif", slope, left=500_000.2)  # 0.4 px to the east: 0.2 m lower here
    scores = compare_dsm(ours, theirs)
    assert scores.bias == pytest.approx(0.45, abs=5e-3)
    assert scores.mae == pytest.approx(0.45, abs=0.01)
    assert scores.complete == 1


def test_surfaces_that_share_no_pixel_are_refused(tmp_path: Path) -> None:
    ours, theirs, dsm, _ = pair(tmp_path)
    for elsewhere in (theirs, write(tmp_path / "b.tif", dsm, left=700_000)):
        with pytest.raises(BadInput, match="no pixel in common with the truth"):
            compare_dsm(ours, elsewhere, where=None if elsewhere != theirs else np.zeros(dsm.shape, bool))


def test_surfaces_without_a_crs_are_refused(tmp_path: Path) -> None:
    ours, _, dsm, _ = pair(tmp_path)
    profile = {"driver": "GTiff", "width": 9, "height": 9, "count": 1, "dtype": "float32"}
    with rasterio.open(tmp_path / "bare.tif", "w", transform=from_origin(0, 0, 1, 1), **profile) as out:
        out.write(dsm[None, :9, :9])
    with pytest.raises(BadInput, match=r"bare\.tif: found no CRS, expected a CRS, to compare by"):
        compare_dsm(ours, tmp_path / "bare.tif")
