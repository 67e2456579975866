"""Areas, scores and products at any threshold, against counting every pixel one by one."""

from __future__ import annotations

import json
import math
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
from rasterio import Affine
from scipy import ndimage

from geolab import raster
from geolab.change import detect, metrics, recut, threshold
from geolab.change.threshold import Coding
from geolab.errors import BadInput, FileRejected, GridMismatch

UTM = Affine(2, 0, 500_000, 0, -3, 5_200_000)
DEGREES = Affine(1e-3, 0, 12.0, 0, -2e-3, 70.0)  # rows differ in size by far more than rounding
GRIDS = {"metres": ("EPSG:32633", UTM), "degrees": ("EPSG:4326", DEGREES), "nowhere": (None, UTM)}
THRESHOLDS = (0.0, 1e-9, 0.3, 0.5, 127 / 254, 128 / 254, 0.995, 1.0)


def write(
    path: Path, pixels: np.ndarray, *, crs="EPSG:32633", transform=UTM, nodata=255, scale=1 / 254, **tags
):
    height, width = pixels.shape
    with rasterio.open(
        path, "w", driver="GTiff", dtype=pixels.dtype, count=1, height=height, width=width,
        crs=crs, transform=transform, nodata=nodata,
    ) as dataset:  # fmt: skip
        dataset.write(pixels, 1)
        dataset.scales = (scale,)
        dataset.update_tags(**tags)
    return str(path)


def levels(height: int = 71, width: int = 43, *, seed: int = 0) -> np.ndarray:
    """Smooth levels of every value, with a corner of nodata."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((height, width)), 2.5)
    made = np.clip(127 + 60 * noise / noise.std(), 0, 254).astype("uint8")
    made[: height // 4, : width // 5] = 255
    made[-1, -1], made[-1, 0] = 254, 0
    return made


def pixel_areas(uri: str) -> np.ndarray:
    """[y]: of one pixel in each row, as the products measure it; 1 without a CRS."""
    info = raster.read_info(uri)
    return np.ones(info.height) if info.crs is None else raster.row_areas_m2(info)


def added_up(level: np.ndarray, areas: np.ndarray, low: float = 0, below: float = math.inf) -> float:
    """The twin: the sum over all pixels with low <= probability < below."""
    return math.fsum(
        areas[y]
        for y in range(level.shape[0])
        for x in range(level.shape[1])
        if level[y, x] != 255 and low <= level[y, x] / 254 < below
    )


@pytest.fixture(autouse=True)
def _small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threshold, "WINDOW_PX", 16)  # neither height nor width is a multiple


@pytest.mark.parametrize("grid", GRIDS)
def test_the_area_at_every_threshold_is_the_sum_over_its_pixels(tmp_path: Path, grid: str):
    crs, transform = GRIDS[grid]
    level = levels()
    uri = write(tmp_path / "p.tif", level, crs=crs, transform=transform)
    found, areas = threshold.distribution(uri), pixel_areas(uri)
    assert found.located is (crs is not None)
    assert found.valid == pytest.approx(added_up(level, areas), rel=1e-12)
    for t in THRESHOLDS:
        twin = added_up(level, areas, t)
        assert found.changed(t) == pytest.approx(twin, rel=1e-12)
        assert found.changed_px(t) == ((level / 254 >= t) & (level != 255)).sum()
        assert found.share(t) == pytest.approx(twin / found.valid, rel=1e-12)
    for at, amount in found.curve()[::40]:
        assert amount == pytest.approx(found.changed(at), rel=1e-12)


def test_doubt_splits_the_valid_area_without_rest(tmp_path: Path):
    level = levels(seed=3)
    uri = write(tmp_path / "p.tif", level)
    found, areas = threshold.distribution(uri), pixel_areas(uri)
    for t, margin in ((0.5, 0.1), (0.4, 0.0), (0.95, 0.2), (0.05, 0.2)):
        split = found.doubt(t, margin)
        assert split.certain == pytest.approx(added_up(level, areas, t + margin), rel=1e-12)
        near = added_up(level, areas, t - margin, t + margin)
        assert split.doubtful == pytest.approx(near, rel=1e-12)
        assert split.certain + split.doubtful + split.unchanged == pytest.approx(found.valid, rel=1e-12)
    assert found.doubt(0.95, 0.2).certain == 0  # nothing can be surer than certain
    assert found.doubt(0.5, 0).doubtful == 0


def test_a_map_of_nodata_alone_has_no_area_and_no_share(tmp_path: Path):
    found = threshold.distribution(write(tmp_path / "p.tif", np.full((5, 9), 255, "uint8")))
    assert (found.valid, found.changed(0), found.share(0)) == (0, 0, 0)


@pytest.mark.parametrize("wrong", [{"nodata": 0}, {"scale": 1.0}, {"dtype": "uint16"}])
def test_what_is_no_probability_map_is_refused(tmp_path: Path, wrong: dict):
    pixels = levels().astype(wrong.pop("dtype", "uint8"))
    uri = write(tmp_path / "p.tif", pixels, **wrong)
    with pytest.raises(FileRejected, match=r"no probability of change .* expected one band of bytes"):
        threshold.distribution(uri)


def test_a_cut_off_map_is_refused_in_words(tmp_path: Path):
    uri = write(tmp_path / "p.tif", np.random.default_rng(0).integers(0, 255, (300, 300)).astype("uint8"))
    data = Path(uri).read_bytes()
    Path(uri).write_bytes(data[: len(data) // 2])
    with pytest.raises(FileRejected):
        threshold.distribution(uri)


# ---------------------------------------------------------------- against a truth


def test_scores_at_every_threshold_are_those_of_the_mask_cut_there(tmp_path: Path):
    level = levels(seed=1)
    label = np.where(levels(seed=2) > 140, 2, 1).astype("uint8")
    label[::3] = 0  # unlabelled
    uri, truth = write(tmp_path / "p.tif", level), write(tmp_path / "t.tif", label, nodata=None, scale=1)
    curve = threshold.against(uri, truth, Coding(changed=2, unchanged=1))
    for t in THRESHOLDS:
        counts = {"tp": 0, "fp": 0, "fn": 0, "tn": 0}
        for p, known in zip(level.ravel().tolist(), label.ravel().tolist(), strict=True):
            if p != 255 and known:
                found, changed = p / 254 >= t, known == 2
                counts[("t" if found == changed else "f") + ("p" if found else "n")] += 1
        assert curve.confusion(t) == metrics.Confusion(**counts)


@pytest.mark.parametrize(
    "values, coding",
    [
        ({0: 5, 1: 3}, Coding(1, 0)), ({0: 5, 1: 3, 255: 9}, Coding(1, 0)), ({0: 5, 255: 3}, Coding(255, 0)),
        ({0: 5, 1: 3, 2: 4}, None), ({0: 5}, None), ({1: 1, 2: 1}, None),
    ],
)  # fmt: skip
def test_the_meaning_of_values_is_taken_only_where_it_is_plain(values: dict, coding: Coding | None):
    assert threshold.coding_of(values) == coding


def test_the_values_of_a_label_are_counted_and_an_image_is_none(tmp_path: Path):
    label = np.zeros((40, 20), "uint8")
    label[3:5], label[7:8] = 1, 255
    assert threshold.values_of(write(tmp_path / "t.tif", label, nodata=None)) == {0: 740, 1: 40, 255: 20}
    image = np.arange(40 * 20).reshape(40, 20).astype("uint16")
    with pytest.raises(FileRejected, match="not a label"):
        threshold.values_of(write(tmp_path / "i.tif", image, nodata=None))


def test_a_truth_on_another_grid_or_without_a_labelled_pixel_is_refused(tmp_path: Path):
    uri = write(tmp_path / "p.tif", levels())
    other = write(tmp_path / "t.tif", np.ones((71, 43), "uint8"), transform=UTM @ Affine.translation(1, 0))
    with pytest.raises(GridMismatch):
        threshold.against(uri, other, Coding(1, 0))
    empty = write(tmp_path / "e.tif", np.full((71, 43), 7, "uint8"))
    with pytest.raises(BadInput, match="no labelled pixel"):
        threshold.against(uri, empty, Coding(1, 0))


def test_reliability_tells_the_share_that_did_change_in_each_tenth():
    curve = metrics.PrCurve.empty()
    curve.changed[[25, 229]] = 1, 9
    curve.unchanged[[25, 229]] = 9, 1
    low, high = threshold.reliability(curve)
    assert low == (pytest.approx(25 / 254), 0.1, 10)
    assert high == (pytest.approx(229 / 254), 0.9, 10)


# ---------------------------------------------------------------- two methods


@pytest.mark.parametrize("grid", GRIDS)
def test_the_agreement_of_two_maps_is_counted_pixel_by_pixel(tmp_path: Path, grid: str):
    crs, transform = GRIDS[grid]
    one, two = levels(seed=4), levels(seed=5)
    two[-9:] = 255
    uris = [write(tmp_path / f"{i}.tif", a, crs=crs, transform=transform) for i, a in enumerate((one, two))]
    found, areas = threshold.joint(*uris).agreement(0.5, 0.3), pixel_areas(uris[0])[:, None]
    known = (one != 255) & (two != 255)
    a, b = one / 254 >= 0.5, two / 254 >= 0.3
    twins = [(known & part) * areas for part in (a & b, a & ~b, ~a & b, ~a & ~b)]
    parts = (found.both, found.first_only, found.second_only, found.neither)
    assert parts == pytest.approx([float(twin.sum()) for twin in twins], rel=1e-9)


# ---------------------------------------------------------------- products cut anew


def made(uri: str, out: Path, t: float, **options) -> recut.Cut:
    *_, last = recut.steps(uri, out, threshold=t, **options)
    assert last.done == last.total
    assert last.cut is not None
    return last.cut


@pytest.mark.parametrize("t", THRESHOLDS)
def test_a_mask_is_exactly_what_rasterio_reads_above_the_threshold(tmp_path: Path, t: float):
    level = levels(seed=6)
    uri = write(tmp_path / "p.tif", level, GEOLAB_METHOD="irmad", GEOLAB_THRESHOLD="0.5", GEOLAB_CELL="a<b>")
    found = made(uri, tmp_path / "out", t)
    with rasterio.open(uri) as source, rasterio.open(found.mask) as mask:
        assert (mask.crs, mask.transform, mask.shape) == (source.crs, source.transform, source.shape)
        pixels, known = mask.read(1), source.read(1)
        assert ((pixels == 255) == (known == 255)).all()
        assert (pixels[known != 255] == (known[known != 255] / 254 >= t)).all()
        assert (mask.read_masks(1) == source.read_masks(1)).all()
        tags = mask.tags()
    assert (tags["GEOLAB_METHOD"], tags["GEOLAB_CELL"]) == ("irmad", "a<b>")
    assert float(tags["GEOLAB_THRESHOLD"]) == t
    assert f"{t:.6g}" in Path(found.mask).name
    assert raster.is_cog(found.mask)
    expected = threshold.distribution(uri)
    assert found.changed_m2 == pytest.approx(expected.changed(t))
    assert found.polygons_m2 == pytest.approx(expected.changed(t), rel=1e-9)


def test_polygons_at_the_runs_own_threshold_are_those_of_the_run(tmp_path: Path):
    before, after = (levels(90, 60, seed=s).clip(1, 254) for s in (7, 8))
    uris = [write(tmp_path / f"{i}.tif", a, nodata=None, scale=1) for i, a in enumerate((before, after))]
    run = detect.scene(*uris, tmp_path / "run")
    again = made(run.probability, tmp_path / "again", run.threshold)
    for one, two in ((run.mask, again.mask), (run.probability, run.probability)):
        with rasterio.open(one) as a, rasterio.open(two) as b:
            assert (a.read(1) == b.read(1)).all()
    first, second = geopandas.read_parquet(run.polygons), geopandas.read_parquet(again.polygons)
    assert first.equals(second)
    assert len(first) == again.polygon_count == run.polygon_count > 3
    assert again.changed_m2 == pytest.approx(run.changed_m2)
    assert again.geojson
    assert len(json.loads(Path(again.geojson).read_bytes())["features"]) == len(first)


def test_small_polygons_are_left_out_and_the_mask_keeps_them(tmp_path: Path):
    uri = write(tmp_path / "p.tif", levels(seed=9))
    every, large = made(uri, tmp_path / "a", 0.6), made(uri, tmp_path / "b", 0.6, min_area_m2=60.0)
    assert 0 < large.polygon_count < every.polygon_count
    assert geopandas.read_parquet(large.polygons).area_m2.min() >= 60
    with rasterio.open(every.mask) as a, rasterio.open(large.mask) as b:
        assert (a.read(1) == b.read(1)).all()


@pytest.mark.parametrize(
    "wrong", [{"threshold": 1.1}, {"threshold": math.nan}, {"threshold": 0.5, "min_area_m2": -1}]
)
def test_impossible_cuts_are_refused_before_anything_is_written(tmp_path: Path, wrong: dict):
    uri = write(tmp_path / "p.tif", levels())
    with pytest.raises(BadInput):
        list(recut.steps(uri, tmp_path / "out", **wrong))
    assert not (tmp_path / "out").exists()
