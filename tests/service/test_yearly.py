"""The yearly change of a small archive over its real API, against its exact truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from geolab.change import detect, summary
from geolab.errors import FileRejected
from geolab.ingest import acquire
from geolab.raster import cells
from geolab.service.archive import Faults, sample
from geolab.service.archive.aside import aside
from geolab.town import satellite

pytestmark = pytest.mark.slow

YEARS = (2021, 2022)
NOISE = satellite.Errors().noise


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> satellite.Archive:
    folder = tmp_path_factory.mktemp("archive")
    return satellite.write(folder, years=range(YEARS[0], YEARS[-1] + 1), cells=2, cell_px=64)


@pytest.fixture(scope="module")
def made(
    archive: satellite.Archive, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, int], acquire.Acquired]:
    """A composite of every cell and year, with every scene however clouded."""
    out = tmp_path_factory.mktemp("composites")
    found = {}
    with aside(archive.folder) as api:
        for cell in cells.read(archive.grid):
            for year in YEARS:
                request = acquire.Request(cell=cell, api=api, year=year, max_cloud=100)
                *_, last = acquire.steps(request, out / f"{cell.id}-{year}")
                found[cell.id, year] = last.acquired
    return found


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as source:
        return source.read()


def test_the_composite_is_the_cloud_free_truth_within_the_noise(archive, made):
    """Every band of every pixel seen clear three times or more; those seen less are nodata."""
    compared = 0
    for (cell, year), one in made.items():
        found, looks = read(one.composite), read(one.looks)[0]
        truth = read(archive.folder / "truth" / f"{cell}-{year}.tif")
        known = looks >= 3
        compared += int(known.sum())
        apart = found[:, known] - truth[:, known]
        # the median of three looks has two thirds of the noise of one; five times that is never passed
        assert np.abs(apart).max() < 5 * 0.67 * NOISE + 0.0002
        assert np.sqrt((apart**2).mean()) < 0.67 * NOISE
        assert np.abs(apart.mean(axis=1)).max() < 0.0001
        assert np.isnan(found[:, ~known]).all()
    assert compared > 8000


def test_looks_are_the_true_ones(archive, made):
    for (cell, year), one in made.items():
        truth = read(archive.folder / "truth" / f"{cell}-{year}-looks.tif")[0]
        assert (read(one.looks)[0] == truth).mean() > 0.99


def test_change_is_scored_for_each_cell_against_the_exact_truth(archive, made, tmp_path):
    masks = []
    for cell in cells.ids(archive.grid):
        pair = [str(made[cell, year].composite) for year in YEARS]
        masks.append(detect.scene(*pair, tmp_path / cell, method="irmad").mask)
    found = list(summary.summarise(masks, truth=str(archive.folder / "truth")))
    assert [one.cell for one in found] == sorted(cells.ids(archive.grid))
    assert {one.years for one in found} == {"2021-2022"}
    assert set(summary.f1_by_mask(found)) == {f"{one.cell} 2021-2022" for one in found}
    assert summary.scores(found)["recall"] > 0.5  # crops that rotate are false alarms: precision is low


def test_a_server_that_is_busy_for_a_while_delays_a_cell_and_changes_nothing(archive, made, tmp_path):
    faults = Faults()
    with aside(archive.folder, faults=faults) as api:
        cell = cells.read(archive.grid)[0]
        faults.fail("/search", status=503, times=2)
        faults.fail("/assets/*/red.tif", status=503, times=2)
        *_, last = acquire.steps(acquire.Request(cell=cell, api=api, year=2021, max_cloud=100), tmp_path)
    assert last.acquired.composite.read_bytes() == made[cell.id, 2021].composite.read_bytes()


def test_a_missing_file_fails_the_cell_and_is_named(archive, tmp_path):
    faults = Faults()
    with aside(archive.folder, faults=faults) as api:
        faults.fail("/assets/*/nir.tif", status=500)
        cell = cells.read(archive.grid)[0]
        with pytest.raises(FileRejected, match=r"/assets/.*/nir\.tif"):
            list(acquire.steps(acquire.Request(cell=cell, api=api, year=2021, max_cloud=100), tmp_path))
    assert not list(tmp_path.iterdir())


def test_the_sample_is_made_only_when_asked_for_by_name(tmp_path):
    with sample.source("http://elsewhere", "grid.gpkg", year=2021) as given:
        assert given == sample.Source("http://elsewhere", "grid.gpkg")
    with pytest.raises(Exception, match="geolab grid"), sample.source("http://x", "sample", year=2021):
        pass
