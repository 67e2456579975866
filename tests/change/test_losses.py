"""Losses against their formulas in float64, and variations against what they must leave alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geolab.change.augment import vary
from geolab.change.losses import LOSSES
from geolab.change.pairs import UNKNOWN, Sample


def example(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    logits = 2 * rng.standard_normal((2, 5, 7))
    return logits, rng.choice(np.array([0, 1, UNKNOWN], dtype=np.uint8), logits.shape)


def slow_bce_dice(logits: np.ndarray, label: np.ndarray) -> float:
    cross = overlap = probable = changed = 0.0
    known = 0
    for value, truth in zip(logits.ravel(), label.ravel(), strict=True):
        if truth != UNKNOWN:
            p = 1 / (1 + np.exp(-value))
            cross -= np.log(p if truth else 1 - p)
            overlap, probable, changed = overlap + p * truth, probable + p, changed + truth
            known += 1
    return cross / known + 1 - (2 * overlap + 1) / (probable + changed + 1)


def slow_focal(logits: np.ndarray, label: np.ndarray) -> float:
    total, known = 0.0, 0
    for value, truth in zip(logits.ravel(), label.ravel(), strict=True):
        if truth != UNKNOWN:
            p = 1 / (1 + np.exp(-value))
            right, alpha = (p, 0.75) if truth else (1 - p, 0.25)
            total -= alpha * (1 - right) ** 2 * np.log(right)
            known += 1
    return total / known


@pytest.mark.parametrize(("name", "slow"), [("bce_dice", slow_bce_dice), ("focal", slow_focal)])
def test_losses_are_their_formulas(name: str, slow) -> None:
    logits, label = example()
    found = LOSSES[name](torch.from_numpy(logits).float(), torch.from_numpy(label))
    assert float(found) == pytest.approx(slow(logits, label), rel=1e-5)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_unlabelled_pixels_have_no_say(name: str) -> None:
    logits, label = example()
    tensor = torch.from_numpy(logits).float().requires_grad_()
    LOSSES[name](tensor, torch.from_numpy(label)).backward()
    assert tensor.grad is not None
    assert (tensor.grad.numpy()[label == UNKNOWN] == 0).all()
    assert (tensor.grad.numpy()[label != UNKNOWN] != 0).all()


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_batch_without_any_label_has_a_gradient_of_zero(name: str) -> None:
    tensor = torch.randn(2, 4, 4, requires_grad=True)
    loss = LOSSES[name](tensor, torch.full((2, 4, 4), UNKNOWN, dtype=torch.uint8))
    loss.backward()
    assert tensor.grad is not None
    assert torch.isfinite(loss)
    assert (tensor.grad == 0).all()


def marked(seed: int = 0) -> Sample:
    """A window whose label can be read off its first date: change is where the image is bright."""
    rng = np.random.default_rng(seed)
    label = (rng.random((24, 24)) < 0.2).astype(np.uint8)
    before = np.where(label == 1, 50.0, -50.0).astype(np.float32)[None].repeat(2, axis=0)
    return Sample(before, before.copy(), label)


def test_varied_images_and_labels_turn_together() -> None:
    original, seen = marked(), set()
    for seed in range(40):
        varied = vary(original, np.random.default_rng(seed))
        assert np.array_equal(varied.before.mean(axis=0) > 0, varied.label == 1)
        assert varied.label.sum() == original.label.sum()
        seen.add(varied.label.tobytes())
    assert len(seen) == 8, "every symmetry of the square occurs"


def test_varying_is_a_function_of_the_generator_and_leaves_the_window_alone() -> None:
    original = marked()
    kept = original.before.copy()
    one, two = (vary(original, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(one.after, two.after)
    assert np.array_equal(original.before, kept)
    assert not np.array_equal(one.before, vary(original, np.random.default_rng(4)).before)


def test_invalid_pixels_stay_zero() -> None:
    original = marked()
    original.before[:, :5] = 0
    varied = vary(original, np.random.default_rng(0))
    assert (varied.before == 0).sum() == (original.before == 0).sum()
