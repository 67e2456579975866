"""The exposure of every photo: an affine change of colours that is learnt with the model.

Their mean is held at the identity: otherwise colours could drift from the model into the exposures, and a
view that has none, because it was held out, would look wrong.
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
