"""A look at a part of a pair: as the whole detection has it there, drawn over the later image."""

from __future__ import annotations

import io

import numpy as np
import pytest
import rasterio
from PIL import Image

from geolab.apps.change import glimpse
from geolab.change import detect
from geolab.errors import GridMismatch, NotFound, Unreachable
from geolab.modelserver import process

HEIGHT, WIDTH = 500, 700


def write(path, pixels, *, shift=0):
    grid = {"crs": "EPSG:32633", "transform": rasterio.Affine(1, 0, 5e5 + shift, 0, -1, 5e6)}
    shape = {"count": 3, "height": pixels.shape[1], "width": pixels.shape[2]}
    with rasterio.open(path, "w", driver="GTiff", dtype="uint8", **grid, **shape) as out:
        out.write(pixels)
    return str(path)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("pair"), np.random.default_rng(1)
    before = rng.integers(60, 90, (3, HEIGHT, WIDTH)).astype(np.uint8)
    after = before.copy()
    after[:, 300:380, 100:240] += 120
    return write(folder / "before.tif", before), write(folder / "after.tif", after)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    with process.stay(tmp_path_factory.mktemp("s"), grace_s=0.5) as kept:
        yield kept.address


@pytest.fixture
def served(workspace, models, monkeypatch):
    """A workspace whose pages know the model server."""
    monkeypatch.setenv("GEOLAB_MODELSERVER", str(models))
    return workspace


def asked(pair, *, across=0.2, down=0.7, method="cva", model=""):
    return glimpse.Asked(*pair, method, model, across, down)


def test_a_part_has_the_change_that_the_whole_has_there(served, pair, tmp_path):
    seen = glimpse.look(asked(pair), served, "page", lambda _: None)
    whole = detect.scene(*pair, tmp_path / "whole", method="cva")
    with rasterio.open(whole.mask) as dataset:
        mask = dataset.read(1)[116:500, 0:384]
    assert seen.share == pytest.approx((mask == 1).mean())
    assert seen.threshold == whole.threshold
    picture = np.asarray(Image.open(io.BytesIO(seen.picture)).convert("RGB")).astype(int)
    assert picture.shape == (384, 384, 3)
    reddish = picture[..., 0] - picture[..., 2]
    assert reddish[mask == 1].min() > 60
    assert np.median(reddish[mask == 0]) < 30


def test_the_window_stays_inside_the_image(served, pair):
    for across, down in ((0.0, 0.0), (1.0, 1.0), (7.0, -3.0)):
        seen = glimpse.look(asked(pair, across=across, down=down), served, "page", lambda _: None)
        assert Image.open(io.BytesIO(seen.picture)).size == (384, 384)


def test_what_can_not_be_looked_at_is_told_in_words(served, pair, tmp_path, monkeypatch):
    moved = write(tmp_path / "moved.tif", np.full((3, HEIGHT, WIDTH), 9, np.uint8), shift=3)
    assert isinstance(glimpse.look(asked((pair[0], moved)), served, "p", print), GridMismatch)
    missing = glimpse.look(asked(pair, method="model", model="nothing@latest"), served, "p", print)
    assert isinstance(missing, NotFound)
    monkeypatch.setenv("GEOLAB_MODELSERVER", str(tmp_path / "gone.sock"))
    assert isinstance(glimpse.look(asked(pair), served, "p", print), Unreachable)
