"""How well a change mask agrees with the truth, accumulated over a whole set.

Sums come first and scores last: add the `Confusion` (or `PrCurve`) of every tile and read the
score of the sum. An average of per-tile scores is another, smaller-is-noisier number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from geolab.errors import BadInput

Array = NDArray[Any]

LEVELS = 255
"""Levels of a stored probability: 0..254 stand for 0..1; 255 is nodata."""

NODATA = 255

_PROBABILITIES = np.arange(LEVELS) / (LEVELS - 1)


@dataclass(frozen=True)
class Confusion:
    """Counts of pixels; `a + b` is the confusion of both sets together.

    Scores where nothing is changed (0/0): if mask and truth are both empty they agree, and
    iou, f1, precision, recall and kappa are 1; if only one of them is empty they are 0.
    Every score raises BadInput when no pixel was counted at all.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0
    tn: int = 0

    def __add__(self, other: Confusion) -> Confusion:
        return Confusion(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.tn + other.tn)

    @property
    def pixels(self) -> int:
        """Number of pixels counted."""
        return self.tp + self.fp + self.fn + self.tn

    @property
    def iou(self) -> float:
        """Intersection over union of the changed pixels, 0..1."""
        return self._share(self.tp, self.tp + self.fp + self.fn)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, 0..1."""
        return self._share(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def precision(self) -> float:
        """Share of the detected pixels that did change, 0..1."""
        return self._share(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """Share of the changed pixels that were detected, 0..1."""
        return self._share(self.tp, self.tp + self.fn)

    @property
    def accuracy(self) -> float:
        """Share of all pixels on which mask and truth agree, 0..1."""
        self._check()
        return (self.tp + self.tn) / self.pixels

    @property
    def kappa(self) -> float:
        """Agreement beyond chance, -1..1. Cohen (1960)."""
        self._check()
        agreement = self.accuracy
        detected, changed = self.tp + self.fp, self.tp + self.fn
        missed, kept = self.fn + self.tn, self.fp + self.tn
        chance = (detected * changed + missed * kept) / self.pixels**2
        if chance == 1:  # one class only, in mask and truth alike
            return 1.0
        return (agreement - chance) / (1 - chance)

    def scores(self) -> dict[str, float]:
        """Every score by name, for a report or a table."""
        names = ("iou", "f1", "precision", "recall", "kappa", "accuracy")
        return {name: getattr(self, name) for name in names}

    def _share(self, part: int, whole: int) -> float:
        self._check()
        if whole == 0:
            return 1.0 if self.fp == self.fn == 0 else 0.0
        return part / whole

    def _check(self) -> None:
        if self.pixels == 0:
            raise BadInput(
                "score", found="no pixel to compare", expected="at least one pixel with a known truth"
            )


def confusion(mask: Array, truth: Array, ignore: int | None = None) -> Confusion:
    """Counts of a mask against the truth.

    mask, truth: the same shape, 0 or 1 (or bool). Pixels where either holds `ignore` are left
    out (a label's "unknown", a product's nodata).
    Raises BadInput for another shape or any other value.
    """
    _same_shape(mask, truth)
    kept = np.ones(truth.shape, bool) if ignore is None else (truth != ignore) & (mask != ignore)
    changed = _binary("truth", truth[kept])
    detected = _binary("mask", mask[kept])
    tp = int(np.count_nonzero(detected & changed))
    fp = int(np.count_nonzero(detected)) - tp
    fn = int(np.count_nonzero(changed)) - tp
    return Confusion(tp, fp, fn, changed.size - tp - fp - fn)


def quantise(probability: Array) -> NDArray[np.uint8]:
    """The stored level of every probability: uint8, round(254 p); 255 where it is NaN.

    probability: float 0..1 of any shape.
    """
    levels = np.rint(np.clip(probability, 0, 1) * (LEVELS - 1))
    return np.where(np.isnan(levels), NODATA, levels).astype(np.uint8)


def level(threshold: float) -> int:
    """The lowest stored level that counts as changed: mask = levels >= level(threshold).

    threshold: a probability 0..1. Returns 0..254. Raises BadInput outside 0..1.
    """
    if not 0 <= threshold <= 1:
        raise BadInput("threshold", found=threshold, expected="a probability 0..1")
    return int(np.searchsorted(_PROBABILITIES, threshold))


@dataclass(frozen=True, eq=False)
class PrCurve:
    """Histograms of the probability over changed and unchanged pixels, one bin a stored level.

    changed, unchanged: int64 [255]. `a + b` is the curve of both sets together.
    """

    changed: NDArray[np.int64]
    unchanged: NDArray[np.int64]

    @classmethod
    def empty(cls) -> PrCurve:
        """The curve of no pixel, to start a sum from."""
        return cls(np.zeros(LEVELS, np.int64), np.zeros(LEVELS, np.int64))

    def __add__(self, other: PrCurve) -> PrCurve:
        return PrCurve(self.changed + other.changed, self.unchanged + other.unchanged)

    @property
    def thresholds(self) -> NDArray[np.float64]:
        """The probability of every level, [255], rising from 0 to 1."""
        return _PROBABILITIES.copy()

    @property
    def precision(self) -> NDArray[np.float64]:
        """Precision of probability >= threshold, [255]; 1 where nothing is detected."""
        tp, fp = _from_above(self.changed), _from_above(self.unchanged)
        return np.divide(tp, tp + fp, out=np.ones(LEVELS), where=tp + fp > 0)

    @property
    def recall(self) -> NDArray[np.float64]:
        """Recall of probability >= threshold, [255]. Raises BadInput if nothing is changed."""
        return _from_above(self.changed) / self._positives()

    @property
    def average_precision(self) -> float:
        """Area under the curve as a sum of steps, 0..1. Raises BadInput if nothing is changed."""
        return float(np.sum(self.changed / self._positives() * self.precision))

    def confusion(self, threshold: float) -> Confusion:
        """Counts of the mask probability >= threshold."""
        lowest = level(threshold)
        tp, fp = int(self.changed[lowest:].sum()), int(self.unchanged[lowest:].sum())
        return Confusion(tp, fp, int(self.changed.sum()) - tp, int(self.unchanged.sum()) - fp)

    def _positives(self) -> int:
        positives = int(self.changed.sum())
        if positives == 0:
            raise BadInput(
                "precision-recall curve", found="no changed pixel in the truth", expected="at least one"
            )
        return positives


def pr_curve(probability: Array, truth: Array, ignore: int | None = None) -> PrCurve:
    """The precision-recall histogram of one image or tile.

    probability: float 0..1 (NaN where invalid) or uint8 levels (255 where invalid).
    truth: the same shape, 0 or 1; pixels that are invalid or hold `ignore` are left out.
    Raises BadInput for another shape or any other truth.
    """
    _same_shape(probability, truth)
    levels = probability if probability.dtype == np.uint8 else quantise(probability)
    kept = levels != NODATA
    if ignore is not None:
        kept &= truth != ignore
    changed = _binary("truth", truth[kept])
    counts = np.bincount(levels[kept][changed], minlength=LEVELS)
    rest = np.bincount(levels[kept][~changed], minlength=LEVELS)
    return PrCurve(counts.astype(np.int64), rest.astype(np.int64))


def best_threshold(curve: PrCurve, by: Literal["f1", "iou"] = "f1") -> float:
    """The threshold with the highest score, for mask = probability >= threshold.

    Among neighbouring thresholds with the same score it is the middle one, farthest from both
    classes. Raises BadInput if nothing is changed in the truth.
    F1 and IoU rise and fall together (iou = f1 / (2 - f1)), so both give the same threshold.
    """
    if by not in ("f1", "iou"):
        raise BadInput("by", found=by, expected="f1 or iou")
    tp, fp = _from_above(curve.changed), _from_above(curve.unchanged)
    # F1 = 2 tp / (positives + detected), compared as integers' ratio
    score = 2 * tp / (curve._positives() + tp + fp)
    first = int(score.argmax())
    last = first
    while last + 1 < LEVELS and score[last + 1] == score[first]:
        last += 1
    return float(curve.thresholds[(first + last + 1) // 2])


def _from_above(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.cumsum(counts[::-1])[::-1]


def _binary(name: str, values: Array) -> NDArray[np.bool_]:
    if values.dtype == bool:
        return values
    if not np.isin(values, (0, 1)).all():
        other = values[~np.isin(values, (0, 1))][0]
        raise BadInput(
            name, found=f"the value {other}", expected="0 or 1", remedy="name the value to leave out: ignore="
        )
    return values.astype(bool)


def _same_shape(mask: Array, truth: Array) -> None:
    if mask.shape != truth.shape:
        raise BadInput("truth", found=f"shape {truth.shape}", expected=f"the mask's shape {mask.shape}")
