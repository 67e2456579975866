"""Scores on a part against what detection writes for the whole scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
import torch
from rasterio import Affine

from geolab.change import detect, evaluate, metrics, model, pairs
from geolab.change.model import Model
from geolab.change.pairs import UNKNOWN, PairSet

SHAPE = (330, 90)  # rows and columns, no multiples of the stride


def scene(folder: Path) -> PairSet:
    """Uint8 images with a stripe of nodata, and a label with unknown pixels."""
    rng = np.random.default_rng(0)
    grid = {"crs": "EPSG:32633", "transform": Affine(0.5, 0, 600000, 0, -0.5, 5000000)}
    profile = {"driver": "GTiff", "height": SHAPE[0], "width": SHAPE[1], "dtype": "uint8", **grid}
    for kind in ("A", "B", "label"):
        (folder / kind).mkdir(parents=True)
    for kind in ("A", "B"):
        pixels = rng.integers(1, 255, (3, *SHAPE)).astype(np.uint8)
        pixels[:, :, 40:43] = 0
        with rasterio.open(folder / kind / "s.tif", "w", count=3, nodata=0, **profile) as dataset:
            dataset.write(pixels)
    label = rng.choice(np.array([0, 1, 255], np.uint8), SHAPE)
    with rasterio.open(folder / "label" / "s.tif", "w", count=1, **profile) as dataset:
        dataset.write(label, 1)
    return pairs.open_pairs(folder)


def uncertain(found: PairSet) -> Model:
    """A model with random weights whose probabilities spread over 0..1."""
    made = model.untrained(pairs.preprocessing(found))
    with torch.no_grad():
        made.network.head.conv.weight *= 20
    return made


def test_a_model_is_judged_on_what_detection_writes(tmp_path: Path) -> None:
    found = scene(tmp_path / "pairs")
    made = uncertain(found)
    dates = [tmp_path / "pairs" / kind / "s.tif" for kind in ("A", "B")]
    written = detect.scene(*map(str, dates), str(tmp_path / "out"), method="model", model=made, tile_px=64)
    with rasterio.open(written.probability) as dataset:
        levels = dataset.read(1)
    with rasterio.open(tmp_path / "pairs" / "label" / "s.tif") as dataset:
        truth = dataset.read(1)
    (block,) = found.test.blocks
    rows = slice(block.rows.start, block.rows.stop)
    expected = metrics.pr_curve(levels[rows], truth[rows], UNKNOWN)
    judged = evaluate.evaluate(made, found.test, threshold=0.6, device="cpu", workers=2)
    moved = np.abs(judged.curve.changed - expected.changed).sum()
    assert moved <= 4, "a probability on the edge of a level may round to either side"
    assert judged.curve.changed.sum() == expected.changed.sum()
    assert judged.curve.unchanged.sum() == expected.unchanged.sum()
    assert np.count_nonzero(expected.changed) > 20, "probabilities that hardly differ would prove nothing"
    assert judged.confusion == judged.curve.confusion(0.6)


def test_the_baseline_counts_every_labelled_pixel_that_is_valid_at_both_dates(tmp_path: Path) -> None:
    found = scene(tmp_path / "pairs")
    baseline = evaluate.evaluate_classic(found.test, train=found.train)
    (block,) = found.test.blocks
    dates = []
    for kind in ("A", "B"):
        with rasterio.open(tmp_path / "pairs" / kind / "s.tif") as dataset:
            pixels = dataset.read().astype(float)
        pixels[:, (pixels == 0).any(axis=0)] = np.nan
        dates.append(pixels)
    length = np.sqrt(((dates[1] - dates[0]) ** 2).sum(axis=0))
    with rasterio.open(tmp_path / "pairs" / "label" / "s.tif") as dataset:
        truth = dataset.read(1)
    inside = np.zeros(SHAPE, bool)
    inside[block.rows.start : block.rows.stop] = True
    known = inside & (truth != 255) & np.isfinite(length)
    assert baseline.otsu.confusion.pixels == baseline.best.confusion.pixels == known.sum()
    assert baseline.best.curve.changed.sum() == (truth[known] == 1).sum()
