"""Small models of every degree, and a frame at a place where nothing is symmetric."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from geolab.splats.frame import Frame
from geolab.splats.gaussians import Gaussians

Make = Callable[..., Gaussians]


@pytest.fixture
def make() -> Make:
    """A function that makes random Gaussians, wider in x than in y and z, float32."""

    def make(count: int = 40, degree: int = 3, seed: int = 0) -> Gaussians:
        drawn = torch.Generator().manual_seed(seed)
        spread = torch.tensor([60.0, 25.0, 8.0])
        return Gaussians(
            torch.randn(count, 3, generator=drawn) * spread + torch.tensor([3.0, -7.0, 2.0]),
            torch.randn(count, 4, generator=drawn) * 2,
            torch.randn(count, 3, generator=drawn) - 3,
            torch.randn(count, generator=drawn) * 3,
            torch.randn(count, (degree + 1) ** 2, 3, generator=drawn) * 0.2,
        )

    return make


@pytest.fixture
def frame() -> Frame:
    return Frame(8.9, 49.1, 321.5, "EGM96", "2024-05-01", (0.5, 0.4, 1.0))
