"""Losses of logits against labels in which any pixel may be unknown."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from geolab.change.pairs.labels import UNKNOWN

Loss = Callable[[Tensor, Tensor], Tensor]


def bce_dice(logits: Tensor, label: Tensor) -> Tensor:
    """Binary cross-entropy, averaged over known pixels, plus soft Dice over all of them together.

    logits: [N, y, x]; label: [N, y, x] uint8 0, 1 or UNKNOWN. Dice of the batch as a whole, since
    that of a window without change says nothing. Milletari et al. (2016).
    """
    known, target = _known(label)
    cross = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    probability = logits.sigmoid() * known
    overlap = (probability * target).sum()
    dice = 1 - (2 * overlap + 1) / (probability.sum() + target.sum() + 1)
    return _mean(cross, known) + dice


def focal(logits: Tensor, label: Tensor, *, alpha: float = 0.75, gamma: float = 2.0) -> Tensor:
    """Cross-entropy with the weight of pixels already known taken off. Lin et al. (2017), eq. 5.

    alpha: weight of changed pixels, 1 - alpha of unchanged ones; they are the rarer class here.
    """
    known, target = _known(label)
    cross = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    wrong = 1 - torch.exp(-cross)  # 1 minus the probability given to the true class
    weight = alpha * target + (1 - alpha) * (1 - target)
    return _mean(weight * wrong**gamma * cross, known)


LOSSES: dict[str, Loss] = {"bce_dice": bce_dice, "focal": focal}


def _known(label: Tensor) -> tuple[Tensor, Tensor]:
    """1 where the label is known, and 1 where it is known as changed; float32."""
    return (label != UNKNOWN).float(), (label == 1).float()


def _mean(values: Tensor, known: Tensor) -> Tensor:
    """Mean over the known pixels; 0, with a gradient of 0, where there is none."""
    return (values * known).sum() / known.sum().clamp(min=1)
