"""Errors of surface models, against NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from geolab.errors import BadInput, GridMismatch
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


def test_other_grids_and_empty_overlaps_are_refused(tmp_path: Path) -> None:
    ours, theirs, dsm, _ = pair(tmp_path)
    with pytest.raises(GridMismatch):
        compare_dsm(ours, write(tmp_path / "b.tif", dsm, left=500_010))
    with pytest.raises(BadInput, match="no pixel in common with the truth"):
        compare_dsm(ours, theirs, where=np.zeros(dsm.shape, bool))
