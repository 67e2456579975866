"""How good a model or a classic method is on one part of a set of pairs, accumulated over it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from geolab.change import classic, metrics
from geolab.change.export import Array, Device, Predictor, predictor
from geolab.change.metrics import Confusion, PrCurve
from geolab.change.model import Model
from geolab.change.pairs import UNKNOWN, Part, Tile

TILE_PX = 512  # core of a tile
BATCH = 4
SAMPLE_WINDOWS = 64  # windows that a classic method is fitted on
SAMPLE_PX = 256


@dataclass(frozen=True)
class Evaluation:
    """Counts at a threshold, and the curve of all thresholds."""

    threshold: float
    confusion: Confusion
    curve: PrCurve


@dataclass(frozen=True)
class Baseline:
    """A classic method: with Otsu's threshold, and with the one that was best on the training part."""

    otsu: Evaluation
    best: Evaluation


def evaluate(
    model: Model, part: Part, *, threshold: float | None = None, device: Device = "auto", workers: int = 1
) -> Evaluation:
    """The model on every labelled, valid pixel of a part, tiled and quantised as detection does it.

    threshold: the model's own when not given. Raises BadInput when bands differ.
    """
    chosen = model.threshold if threshold is None else threshold
    found = curve(model, part, predict=predictor(model, device=device, workers=workers))
    return Evaluation(chosen, found.confusion(chosen), found)


def curve(model: Model, part: Part, *, predict: Predictor) -> PrCurve:
    """The precision-recall histogram of a part."""
    total = PrCurve.empty()
    for batch in _batches(part.tiles(TILE_PX, halo_px=model.halo_px, multiple_px=model.multiple_px)):
        dates = [
            model.preprocessing.apply(np.stack(d))
            for d in zip(*((t.before, t.after) for t in batch), strict=True)
        ]
        for tile, probability in zip(batch, predict(*dates), strict=True):
            core = np.where(_valid(tile), probability, np.nan)[tile.core]
            total += metrics.pr_curve(core, tile.label, UNKNOWN)
    return total


def _valid(tile: Tile) -> Array:
    return np.all(np.isfinite(np.concatenate([tile.before, tile.after])), axis=0)


def _batches(tiles: Iterator[Tile]) -> Iterator[list[Tile]]:
    """Runs of tiles of one shape."""
    batch: list[Tile] = []
    for tile in tiles:
        if batch and (len(batch) == BATCH or tile.before.shape != batch[0].before.shape):
            yield batch
            batch = []
        batch.append(tile)
    if batch:
        yield batch


def evaluate_classic(part: Part, *, train: Part, method: str = "cva") -> Baseline:
    """A classic method on a part, fitted on up to 64 windows of the training part.

    The baseline that stands beside every model: `best` gives it the same labels to choose its
    threshold from as the model had to learn from.
    """
    fitted = classic.fit(method, ((w.before, w.after) for w in _sample(train)))
    threshold = metrics.best_threshold(_classic_curve(fitted, train))
    found = _classic_curve(fitted, part)
    return Baseline(
        Evaluation(0.5, found.confusion(0.5), found),
        Evaluation(threshold, found.confusion(threshold), found),
    )


def _sample(part: Part) -> list[Tile]:
    """At most SAMPLE_WINDOWS windows, spread evenly over the part."""
    count = sum(1 for _ in part.places(SAMPLE_PX))
    step = max(1, -(-count // SAMPLE_WINDOWS))
    return [part.tile(place, halo_px=0) for i, place in enumerate(part.places(SAMPLE_PX)) if i % step == 0]


def _classic_curve(fitted: classic.Fitted, part: Part) -> PrCurve:
    total = PrCurve.empty()
    for tile in part.tiles(TILE_PX, halo_px=fitted.halo_px, multiple_px=1):
        score = fitted.score(fitted.statistic(tile.before, tile.after))
        total += metrics.pr_curve(score[tile.core], tile.label, UNKNOWN)
    return total
