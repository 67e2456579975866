"""Scores against scikit-learn, against a loop, and their sums over tiles."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from geolab.change import metrics
from geolab.change.metrics import Confusion, PrCurve
from geolab.errors import BadInput


def _random(seed: int, shape: tuple[int, int] = (37, 53)) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = (random.random(shape) < 0.2).astype(np.uint8)
    probability = np.clip(0.35 * truth + random.normal(0.3, 0.2, shape), 0, 1)
    return probability, truth


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_scores_are_those_of_scikit_learn(seed: int) -> None:
    probability, truth = _random(seed)
    mask = probability >= 0.5
    counts = metrics.confusion(mask, truth)
    flat = truth.ravel(), mask.ravel()
    assert counts.iou == pytest.approx(sklearn_metrics.jaccard_score(*flat))
    assert counts.f1 == pytest.approx(sklearn_metrics.f1_score(*flat))
    assert counts.precision == pytest.approx(sklearn_metrics.precision_score(*flat))
    assert counts.recall == pytest.approx(sklearn_metrics.recall_score(*flat))
    assert counts.accuracy == pytest.approx(sklearn_metrics.accuracy_score(*flat))
    assert counts.kappa == pytest.approx(sklearn_metrics.cohen_kappa_score(*flat))


def test_confusion_is_that_of_a_loop_over_pixels() -> None:
    probability, truth = _random(3, (7, 11))
    truth[2, 3:9] = 9
    mask = (probability >= 0.4).astype(np.uint8)
    mask[5, 1] = 9
    counts = {"tp": 0, "fp": 0, "fn": 0, "tn": 0}
    for detected, changed in zip(mask.ravel(), truth.ravel(), strict=True):
        if 9 not in (detected, changed):
            counts[("t" if detected == changed else "f") + ("p" if detected else "n")] += 1
    assert metrics.confusion(mask, truth, ignore=9) == Confusion(**counts)


def test_the_sum_over_tiles_is_the_confusion_of_the_whole() -> None:
    probability, truth = _random(4)
    mask = probability >= 0.5
    tiles = [metrics.confusion(mask[y : y + 10], truth[y : y + 10]) for y in range(0, 37, 10)]
    assert sum(tiles, Confusion()) == metrics.confusion(mask, truth)


def test_counts_do_not_overflow() -> None:
    many = Confusion(2**62, 2**62, 2**62, 2**62)
    assert (many + many).iou == pytest.approx(1 / 3)
    assert (many + many).kappa == pytest.approx(0)


def test_iou_of_two_empty_masks_is_one() -> None:
    empty = np.zeros((3, 5), np.uint8)
    scores = metrics.confusion(empty, empty).scores()
    assert scores == {"iou": 1, "f1": 1, "precision": 1, "recall": 1, "kappa": 1, "accuracy": 1}


def test_a_score_is_zero_when_only_one_mask_is_empty() -> None:
    empty, some = np.zeros((3, 5), np.uint8), np.eye(3, 5, dtype=np.uint8)
    missed, invented = metrics.confusion(empty, some), metrics.confusion(some, empty)
    assert (missed.iou, missed.f1, missed.precision, missed.recall, missed.kappa) == (0, 0, 0, 0, 0)
    assert (invented.iou, invented.f1, invented.precision, invented.recall) == (0, 0, 0, 0)


@pytest.mark.parametrize("score", ["iou", "f1", "precision", "recall", "kappa", "accuracy"])
def test_no_pixel_has_no_score(score: str) -> None:
    nothing = metrics.confusion(np.ones((2, 3)), np.full((2, 3), 255), ignore=255)
    with pytest.raises(BadInput, match="no pixel to compare"):
        getattr(nothing, score)


def test_a_label_that_is_neither_0_nor_1_is_refused_by_its_value() -> None:
    with pytest.raises(BadInput, match="truth: found the value 255, expected 0 or 1; name the value"):
        metrics.confusion(np.zeros((2, 3), bool), np.array([[0, 1, 0], [1, 255, 0]]))
    with pytest.raises(BadInput, match=r"truth: found shape \(3, 2\), expected the mask's shape \(2, 3\)"):
        metrics.confusion(np.zeros((2, 3)), np.zeros((3, 2)))


# ---------------------------------------------------------------- probabilities


def test_average_precision_is_that_of_scikit_learn_on_the_stored_levels() -> None:
    probability, truth = _random(5)
    levels = metrics.quantise(probability)
    curve = metrics.pr_curve(probability, truth)
    expected = sklearn_metrics.average_precision_score(truth.ravel(), levels.ravel())
    assert curve.average_precision == pytest.approx(expected)


def test_the_curve_is_that_of_scikit_learn() -> None:
    probability, truth = _random(6)
    levels = metrics.quantise(probability)
    precision, recall, at = sklearn_metrics.precision_recall_curve(truth.ravel(), levels.ravel())
    curve = metrics.pr_curve(levels, truth)
    np.testing.assert_allclose(curve.precision[at], precision[:-1])
    np.testing.assert_allclose(curve.recall[at], recall[:-1])


def test_the_sum_of_two_curves_is_the_curve_of_both() -> None:
    probability, truth = _random(7)
    parts = metrics.pr_curve(probability[:9], truth[:9]) + metrics.pr_curve(probability[9:], truth[9:])
    whole = PrCurve.empty() + metrics.pr_curve(probability, truth)
    np.testing.assert_array_equal(parts.changed, whole.changed)
    np.testing.assert_array_equal(parts.unchanged, whole.unchanged)


def test_invalid_and_ignored_pixels_are_in_no_histogram() -> None:
    probability = np.array([[0.1, np.nan, 0.9], [1.0, 0.0, 0.5]])
    truth = np.array([[0, 1, 1], [1, 255, 0]], np.uint8)
    curve = metrics.pr_curve(probability, truth, ignore=255)
    assert curve.changed.sum() == 2
    assert curve.unchanged.sum() == 2
    assert curve.changed[254] == 1


@pytest.mark.parametrize("threshold", [0, 1e-9, 0.25, 0.5, 0.5 + 1e-9, 100 / 254, 1 / 3, 0.999, 1])
def test_the_confusion_at_a_threshold_is_that_of_the_mask(threshold: float) -> None:
    probability, truth = _random(8)
    levels = metrics.quantise(probability)
    mask = levels / 254 >= threshold
    np.testing.assert_array_equal(levels >= metrics.level(threshold), mask)
    assert metrics.pr_curve(levels, truth).confusion(threshold) == metrics.confusion(mask, truth)


def test_every_level_is_reached_by_its_own_probability() -> None:
    assert [metrics.level(k / 254) for k in range(255)] == list(range(255))
    # the smallest normal number, not nextafter(0): libraries loaded beside us may flush denormals to 0
    above = [float(np.nextafter(k / 254, 2)) if k else 1e-300 for k in range(254)]
    assert [metrics.level(p) for p in above] == list(range(1, 255))
    np.testing.assert_array_equal(metrics.quantise(np.arange(255) / 254), np.arange(255))


def test_half_is_changed_at_the_threshold_half() -> None:
    assert metrics.quantise(np.array([0.5, np.nan])).tolist() == [127, 255]
    assert metrics.level(0.5) == 127


def test_a_threshold_outside_of_0_to_1_is_refused() -> None:
    with pytest.raises(BadInput, match=r"threshold: found 1.5, expected a probability 0..1"):
        metrics.level(1.5)


@pytest.mark.parametrize("by", ["f1", "iou"])
@pytest.mark.parametrize("seed", [9, 10])
def test_the_best_threshold_beats_every_other(seed: int, by: str) -> None:
    probability, truth = _random(seed)
    levels = metrics.quantise(probability)
    best = metrics.best_threshold(metrics.pr_curve(levels, truth), by=by)
    scores = [getattr(metrics.confusion(levels >= k, truth), by) for k in range(255)]
    assert getattr(metrics.confusion(levels / 254 >= best, truth), by) == max(scores)


def test_the_best_threshold_lies_between_well_separated_classes() -> None:
    levels = np.repeat(np.array([50, 200], np.uint8), [30, 20])
    curve = metrics.pr_curve(levels, (levels == 200).astype(np.uint8))
    assert curve.confusion(metrics.best_threshold(curve)).f1 == 1
    assert metrics.best_threshold(curve) == pytest.approx(125 / 254, abs=1 / 254)


def test_a_truth_without_change_has_no_curve() -> None:
    curve = metrics.pr_curve(np.full((4, 6), 0.3), np.zeros((4, 6), np.uint8))
    with pytest.raises(BadInput, match="no changed pixel in the truth"):
        metrics.best_threshold(curve)
    with pytest.raises(BadInput, match="no changed pixel in the truth"):
        _ = curve.average_precision
