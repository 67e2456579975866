"""`warm`: compile what the CPU back end needs, before anybody waits for it."""

from __future__ import annotations

from itertools import product
from typing import Any

import torch

from geolab.splats.rasterize.door import rasterize


def warm() -> None:
    """Draw a few Gaussians in every way, with gradients; what that compiles stays on disk (some seconds)."""
    random = torch.Generator().manual_seed(0)
    n = 40
    view = torch.eye(4)
    view[2, 3] = 3.0
    K = torch.tensor([[20.0, 0, 12], [0, 20.0, 9], [0, 0, 1]])
    plain, harmonics = torch.rand(n, 3, generator=random), torch.zeros(n, 4, 3)
    for model, mode, degree in product(("pinhole", "ortho"), ("RGB", "RGB+ED"), (None, 1)):
        leaves: dict[str, Any] = {
            "means": torch.rand(n, 3, generator=random) - 0.5,
            "quats": torch.randn(n, 4, generator=random),
            "scales": torch.full((n, 3), 0.1),
            "opacities": torch.full((n,), 0.5),
            "colors": plain.clone() if degree is None else harmonics.clone(),
        }
        images, _, _ = rasterize(
            **{name: leaf.requires_grad_() for name, leaf in leaves.items()},
            viewmats=view[None], Ks=K[None], width=24, height=18, sh_degree=degree, camera_model=model,
            render_mode=mode, backgrounds=torch.zeros(1, 3), median_depth=True, weights=True, absgrad=True,
            backend="cpu",
        )  # fmt: skip
        images.sum().backward()
