"""Masks of many cells and years in numbers: areas, years, scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from geolab.change import detect, summary
from geolab.errors import BadInput, FileRejected, GridMismatch, NotFound


def write(path: Path, pixels: np.ndarray, *, left: float = 700_000, dtype: str = "uint8", **tags: str) -> str:
    bands = pixels if pixels.ndim == 3 else pixels[None]
    with rasterio.open(
        path, "w", driver="GTiff", width=bands.shape[2], height=bands.shape[1], count=len(bands), dtype=dtype,
        crs="EPSG:32632", transform=from_origin(left, 5_300_000, 10, 20),
        nodata=255 if dtype == "uint8" else None,
    ) as target:  # fmt: skip
        target.write(bands.astype(dtype))
        target.update_tags(**tags)
    return str(path)


MASK = np.array([[1, 1, 0, 255], [0, 0, 1, 1], [0, 0, 0, 0]], np.uint8)


def test_areas_are_those_of_the_cells_own_pixels(tmp_path: Path):
    uri = write(tmp_path / "c7-2021-2022-change.tif", MASK)
    (one,) = summary.summarise([uri])
    assert (one.cell, one.years) == ("c7", "2021-2022")
    assert (one.changed_m2, one.valid_m2) == (4 * 200, 11 * 200)
    assert one.share == 4 / 11
    assert one.confusion is None
    assert summary.scores([one]) == {}


def test_a_mask_says_its_cell_and_years_by_tags(tmp_path: Path):
    tags = {
        "GEOLAB_CELL": "32N-1-2",
        "START_DATETIME": "2020-06-01T10:00:00Z",
        "END_DATETIME": "2021-08-30T10:00:00Z",
    }
    (one,) = summary.summarise([write(tmp_path / "mask.tif", MASK, **tags)])
    assert (one.cell, one.years) == ("32N-1-2", "2020-2021")


def test_detection_keeps_cell_and_times_of_its_images(tmp_path: Path):
    rng = np.random.default_rng(1)
    images = []
    for year in (2021, 2022):
        times = {"START_DATETIME": f"{year}-06-03T10:00:00Z", "END_DATETIME": f"{year}-08-28T10:00:00Z"}
        pixels = rng.normal(0.2, 0.05, (3, 64, 64))
        images.append(write(tmp_path / f"{year}.tif", pixels, dtype="float32", GEOLAB_CELL="c1", **times))
    found = detect.scene(*images, tmp_path / "out", method="cva")
    (one,) = summary.summarise([found.mask])
    assert (one.cell, one.years) == ("c1", "2021-2022")


def test_scores_are_those_of_all_masks_together(tmp_path: Path):
    truth = tmp_path / "truth"
    truth.mkdir()
    uris = [write(tmp_path / f"c{n}-2021-2022-change.tif", MASK) for n in (1, 2)]
    write(truth / "c1-2021-2022-change.tif", np.where(MASK == 255, 1, MASK))
    write(truth / "c2-2021-2022-change.tif", np.array([[1, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]], np.uint8))
    found = list(summary.summarise(uris, truth=str(truth)))
    assert summary.f1_by_mask(found) == {"c1 2021-2022": 1.0, "c2 2021-2022": 2 * 1 / (2 * 1 + 3 + 4)}
    assert summary.scores(found)["f1"] == 2 * 5 / (2 * 5 + 3 + 4)
    table = summary.table(found)
    assert table.columns.tolist() == [
        "cell", "years", "valid_ha", "changed_ha", "changed_pct", "truth_px", "f1", "precision", "recall"
    ]  # fmt: skip


def test_masks_are_put_in_order_of_years_and_cells(tmp_path: Path):
    names = ["b-2022-2023", "a-2022-2023", "b-2021-2022"]
    uris = [write(tmp_path / f"{name}-change.tif", MASK) for name in names]
    found = list(summary.summarise(uris))
    assert summary.by_years(found) == {"2021-2022": [uris[2]], "2022-2023": [uris[1], uris[0]]}
    assert summary.areas(found) == {"2021-2022": 800.0, "2022-2023": 1600.0}
    summary.write_table(found, tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_text().splitlines()[1] == "a,2022-2023,0.22,0.08,36.364"


def test_what_can_not_be_summed_is_refused_in_words(tmp_path: Path):
    with pytest.raises(BadInput, match="at least one change mask"):
        list(summary.summarise([]))
    with pytest.raises(FileRejected, match="no change mask"):
        list(summary.summarise([write(tmp_path / "a.tif", MASK + np.uint8(7))]))
    with pytest.raises(FileRejected, match="2 bands"):
        list(summary.summarise([write(tmp_path / "b.tif", np.stack([MASK, MASK]))]))
    uri = write(tmp_path / "c-2021-2022-change.tif", MASK)
    (tmp_path / "t").mkdir()
    with pytest.raises(NotFound, match="c-2021-2022-change"):
        list(summary.summarise([uri], truth=str(tmp_path / "t")))
    write(tmp_path / "t" / "c-2021-2022-change.tif", MASK, left=700_010)
    with pytest.raises(GridMismatch):
        list(summary.summarise([uri], truth=str(tmp_path / "t")))
