"""Sources and objects in a bucket, on a real S3 server."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.windows import Window

from geolab import catalog, raster, store

from ..test_store import bucket  # noqa: F401 (a fixture)
from .conftest import run, write_photo, write_raster


@pytest.fixture
def root(bucket: str, tmp_path: Path) -> str:  # noqa: F811
    return f"{bucket}/{tmp_path.name}"


def test_files_are_taken_from_a_bucket(workspace, tmp_path, root):
    local = write_raster(tmp_path / "a-20200102.tif")
    store.put_file(local, f"{root}/a-20200102.tif")
    store.put_file(write_photo(tmp_path / "b.jpg"), f"{root}/b.jpg")
    store.write_bytes(f"{root}/notes.txt", b"no image")
    outcomes = run(workspace, f"{root}/*")
    assert [(o.href, o.status) for o in outcomes] == [
        (f"{root}/a-20200102.tif", "added"),
        (f"{root}/b.jpg", "added"),
    ]
    assert outcomes[0].id == store.sha256(local)[:20]
    assert [o.status for o in run(workspace, local, f"{root}/b.jpg")] == ["unchanged", "unchanged"]


def test_objects_lie_in_a_bucket_and_are_read_from_it(workspace, tmp_path, root):
    there = replace(workspace, data=f"{root}/data")
    local = write_raster(tmp_path / "a.tif")
    (outcome,) = run(there, local)
    item = catalog.open_catalog(there).get(outcome.id)
    href = item["assets"]["data"]["href"]
    assert href.startswith(f"{root}/data/")
    assert item["assets"]["data"]["file:checksum"] == f"1220{store.sha256(href)}"
    with rasterio.open(local) as source, raster.open_raster(href) as kept:
        window = Window(5, 7, 30, 20)
        np.testing.assert_array_equal(raster.read_window(kept, window), source.read(window=window))
    assert raster.is_cog(href)
    assert [o.status for o in run(there, local)] == ["unchanged"]
    assert not (workspace.home / "data").exists()


def test_a_cog_is_written_to_a_bucket(tmp_path, root):
    like = raster.read_info(write_raster(tmp_path / "a.tif"))
    with raster.write_cog(f"{root}/new.tif", like=like, count=1, dtype="uint8") as writer:
        writer.write(np.full((60, 80), 7, np.uint8), Window(0, 0, 80, 60))
        assert not store.exists(f"{root}/new.tif")
    raster.same_grid(like, f"{root}/new.tif")
