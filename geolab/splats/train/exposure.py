"""The exposure of every photo: an affine change of colours that is learnt with the model.

Their mean is held at the identity: otherwise colours could drift from the model into the exposures, and a
view that has none, because it was held out, would look wrong. For the same reason each is pulled towards it:
else the photos of one place drift together, and the model with them, which no photo contradicts.
"""

from __future__ import annotations

import torch
from torch import Tensor

IDENTITY = torch.eye(3, 4)


def identities(count: int, device: torch.device | str = "cpu") -> Tensor:
    """[V, 3, 4], one for each training view."""
    return IDENTITY.to(device).repeat(count, 1, 1)


def centre(exposures: Tensor) -> None:
    """Move all alike, in place, so that their mean is the identity."""
    exposures -= exposures.mean(0, keepdim=True) - IDENTITY.to(exposures.device)


def pull(matrix: Tensor, weight: float) -> Tensor:
    """The gradient [3, 4] of weight times the squared difference of an exposure from the identity."""
    return 2 * weight * (matrix - IDENTITY.to(matrix.device))
