"""Labelled pairs found in the catalogue, by the dates that labels name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio import Affine

from geolab import ingest
from geolab.change import pairs
from geolab.errors import BadInput, GridMismatch, NotFound
from geolab.settings import Settings

BEFORE, AFTER = "2021:06:10 09:00:00", "2024:09:18 12:00:00"
START, END = "2021-06-10T09:00:00Z", "2024-09-18T12:00:00Z"
Scene = Callable[..., None]


def write(path: Path, pixels: np.ndarray, *, east: float = 600000.0, **tags: str) -> None:
    count, height, width = pixels.shape
    profile = {"count": count, "height": height, "width": width, "dtype": pixels.dtype, "crs": "EPSG:32633"}
    grid = Affine(0.5, 0, east, 0, -0.5, 5000000)
    with rasterio.open(path, "w", driver="GTiff", transform=grid, **profile) as dataset:
        dataset.write(pixels)
        dataset.update_tags(**tags)


def write_scene(
    folder: Path, *, seed: int = 0, east: float = 600000.0, skip: str = "", moved: float = 0
) -> None:
    rng = np.random.default_rng(seed)
    shape = (3, 260, 100)
    folder.mkdir(exist_ok=True)
    for name, date, shift in (("before", BEFORE, 0.0), ("after", AFTER, moved)):
        if name != skip:
            pixels = rng.integers(0, 255, shape).astype(np.uint8)
            write(folder / f"{name}-{seed}.tif", pixels, east=east + shift, TIFFTAG_DATETIME=date)
    label = rng.integers(0, 2, (1, *shape[1:])).astype(np.uint8)
    told = {"GEOLAB_ROLE": "label", "GEOLAB_START": START, "GEOLAB_END": END}
    write(folder / f"label-{seed}.tif", label, east=east, **told)


def ingested(folder: Path, workspace: Settings, collection: str = "scenes") -> None:
    outcomes = list(ingest.ingest([str(folder)], collection=collection, settings=workspace))
    assert {o.status for o in outcomes} == {"added"}, outcomes


def test_a_label_finds_its_two_images(tmp_path: Path, workspace: Settings) -> None:
    write_scene(tmp_path / "in")
    ingested(tmp_path / "in", workspace)
    found = pairs.open_pairs("scenes", settings=workspace)
    (block,) = found.train.blocks
    with rasterio.open(tmp_path / "in" / "after-0.tif") as dataset:
        expected = dataset.read()[:, block.rows.start : block.rows.stop]
    tiles = list(found.train.tiles(500, halo_px=0, multiple_px=1))
    assert np.array_equal(tiles[0].after, expected)
    assert set(found.manifest["parts"]) == {"train", "val", "test"}


def test_two_places_in_one_collection_are_each_split(tmp_path: Path, workspace: Settings) -> None:
    write_scene(tmp_path / "in", seed=0)
    write_scene(tmp_path / "in", seed=1, east=700000.0)
    ingested(tmp_path / "in", workspace)
    found = pairs.open_pairs("scenes", settings=workspace)
    assert [len(part.blocks) for part in (found.train, found.val, found.test)] == [2, 2, 2]


def test_a_label_whose_image_is_missing_says_which(tmp_path: Path, workspace: Settings) -> None:
    write_scene(tmp_path / "in", skip="after")
    ingested(tmp_path / "in", workspace)
    with pytest.raises(NotFound, match=f"no image 'of {END}'; label label-0 needs one"):
        pairs.open_pairs("scenes", settings=workspace)


def test_an_image_on_another_grid_is_refused(tmp_path: Path, workspace: Settings) -> None:
    write_scene(tmp_path / "in", moved=10.0)
    ingested(tmp_path / "in", workspace)
    with pytest.raises(GridMismatch, match="transform"):
        pairs.open_pairs("scenes", settings=workspace)


def test_two_images_of_one_date_are_ambiguous(tmp_path: Path, workspace: Settings) -> None:
    write_scene(tmp_path / "in")
    again = np.random.default_rng(9).integers(0, 255, (3, 260, 100)).astype(np.uint8)
    write(tmp_path / "in" / "again.tif", again, TIFFTAG_DATETIME=AFTER)
    ingested(tmp_path / "in", workspace)
    with pytest.raises(BadInput, match="2 images"):
        pairs.open_pairs("scenes", settings=workspace)


def test_places_that_overlap_on_other_grids_are_refused(tmp_path: Path, workspace: Settings) -> None:
    write_scene(tmp_path / "in", seed=0)
    write_scene(tmp_path / "in", seed=1, east=600020.0)
    ingested(tmp_path / "in", workspace)
    with pytest.raises(BadInput, match="overlapping places on different grids"):
        pairs.open_pairs("scenes", settings=workspace)


def test_an_unknown_collection_and_one_without_labels_are_not_found(
    tmp_path: Path, workspace: Settings
) -> None:
    write_scene(tmp_path / "in")
    (tmp_path / "in" / "label-0.tif").unlink()
    ingested(tmp_path / "in", workspace)
    with pytest.raises(
        NotFound, match=r"no collection or folder of pairs 'scenery'; did you mean 'scenes'\?"
    ):
        pairs.open_pairs("scenery", settings=workspace)
    with pytest.raises(NotFound, match="geolab:role 'label'"):
        pairs.open_pairs("scenes", settings=workspace)
