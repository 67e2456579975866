"""The pipeline file of yearly change: it plans, on any grid, and its notebooks take what it gives."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from geolab.errors import GeolabError
from geolab.pipeline import spec
from geolab.pipeline.nodes import nodes
from geolab.raster import cells

FILE = Path(__file__).parents[2] / "pipelines" / "yearly_change.yaml"


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    cells.write(tmp_path / "grid.gpkg", cells.over((11.99, 48.05, 12.01, 48.06), side_m=1280))
    return tmp_path / "grid.gpkg"


def test_any_area_is_planned_cell_by_cell(grid: Path, workspace):
    found = spec.load(FILE, {"grid": str(grid), "years": "2021-2023"}, workspace)
    count = len(cells.ids(grid))
    assert found.name == "yearly_change"
    assert Counter(node.slot.split("/")[0] for node in nodes(found)) == {
        "acquire": 3 * count, "change": 2 * count, "summary": count, "mosaic": 1
    }  # fmt: skip
    assert found.parameters["workers"] == 2


def test_a_truth_that_is_not_there_is_refused_before_anything_starts(grid: Path, workspace, tmp_path: Path):
    spec.load(FILE, {"grid": str(grid)}, workspace)
    with pytest.raises(GeolabError, match="nowhere"):
        spec.load(FILE, {"grid": str(grid), "truth": str(tmp_path / "nowhere")}, workspace)
