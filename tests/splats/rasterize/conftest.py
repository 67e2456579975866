"""Small crowds of Gaussians before a few cameras, and what their images are worth."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from geolab.splats.rasterize import rasterize

Inputs = dict[str, Tensor]
LEAVES = ("means", "quats", "scales", "opacities", "colors", "backgrounds", "viewmats")


def turned(angle_x: float, angle_y: float, back_m: float) -> Tensor:
    """World to camera [4, 4], float64: turned about x, then y; the world's origin lies back_m ahead."""
    cx, sx, cy, sy = math.cos(angle_x), math.sin(angle_x), math.cos(angle_y), math.sin(angle_y)
    about_x = torch.tensor([[1, 0, 0], [0, cx, -sx], [0, sx, cx]], dtype=torch.float64)
    about_y = torch.tensor([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]], dtype=torch.float64)
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:3, :3], matrix[2, 3] = about_y @ about_x, back_m
    return matrix


@dataclass(frozen=True)
class Crowd:
    """Inputs of `rasterize` by name, and its other words; `draw` calls it, `gradients` also looks back."""

    inputs: Inputs
    words: dict[str, Any] = field(default_factory=dict)

    def told(self, **words: Any) -> Crowd:
        return replace(self, words=self.words | words)

    def given(self, **tensors: Tensor) -> Crowd:
        return replace(self, inputs=self.inputs | tensors)

    def as_type(self, dtype: torch.dtype) -> Crowd:
        return replace(self, inputs={name: t.to(dtype) for name, t in self.inputs.items()})

    def draw(self, backend: str, **words: Any) -> tuple[Tensor, Tensor, dict[str, Any]]:
        words = self.words | words
        inputs = dict(self.inputs)
        if words.get("render_mode") in ("D", "ED") and words.get("sh_degree") is None:
            inputs["backgrounds"] = inputs["backgrounds"][:, : inputs["colors"].shape[-1]]
        return rasterize(**inputs, **words, backend=backend)

    def gradients(self, backend: str, *, of: str = "both", **words: Any) -> dict[str, Tensor]:
        """The image, the alphas, and the gradients of a random weighing of them, by the inputs."""
        leaves = {n: t.detach().clone().requires_grad_(n in LEAVES) for n, t in self.inputs.items()}
        images, alphas, meta = self.given(**leaves).draw(backend, **words)
        meta["means2d"].retain_grad()
        random = torch.Generator().manual_seed(5)
        weigh_image = torch.randn(images.shape, generator=random, dtype=torch.float64).to(images)
        weigh_alpha = torch.randn(alphas.shape, generator=random, dtype=torch.float64).to(alphas)
        parts = {"images": (images * weigh_image).sum(), "alphas": (alphas * weigh_alpha).sum()}
        (parts[of] if of in parts else parts["images"] + parts["alphas"]).backward()
        found = {"images": images.detach(), "alphas": alphas.detach(), "means2d": meta["means2d"].grad}
        if words.get("absgrad"):
            found["absgrad"] = meta["means2d"].absgrad
        none = torch.zeros(0, dtype=images.dtype)
        return found | {n: none if leaves[n].grad is None else leaves[n].grad for n in LEAVES}  # type: ignore[misc]


def crowd(
    n: int = 90,
    *,
    seed: int = 0,
    width: int = 37,
    height: int = 26,
    cameras: int = 2,
    channels: int = 3,
    sh_degree: int | None = None,
    ortho: bool = False,
    spread: float = 0.12,
    opaque: float = 0.0,
) -> Crowd:
    """n Gaussians in a box of 2 x 2 x 1 m about the origin, of `spread` metres, cameras 3 m and more away.

    Sizes are no multiples of a tile, pixels are not square. opaque: of the opacities, how many are 1.
    """
    random = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=random, dtype=torch.float64)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    means = (uniform(n, 3) - 0.5) * torch.tensor([2.0, 2.0, 1.0], dtype=torch.float64)
    views = torch.stack([turned(0.35 * i + 0.2, 0.25 - 0.3 * i, 3 + 0.4 * i) for i in range(cameras)])
    f = (0.33 if ortho else 1.0) * width
    K = torch.tensor([[f, 0, 0.47 * width], [0, 1.1 * f, 0.55 * height], [0, 0, 1]], dtype=torch.float64)
    opacities = torch.where(uniform(n) < opaque, torch.ones(n, dtype=torch.float64), 0.05 + 0.9 * uniform(n))
    bands = 1 if sh_degree is None else (sh_degree + 1) ** 2
    inputs = {
        "means": means,
        "quats": normal(n, 4),
        "scales": spread * torch.exp(0.5 * normal(n, 3)),
        "opacities": opacities,
        "colors": uniform(n, channels) if sh_degree is None else 0.4 * normal(n, bands, 3),
        "viewmats": views,
        "Ks": K.expand(cameras, 3, 3).clone(),
        "backgrounds": uniform(cameras, channels if sh_degree is None else 3),
    }
    words = {"width": width, "height": height, "sh_degree": sh_degree}
    return Crowd(inputs, words | {"camera_model": "ortho" if ortho else "pinhole"})


@pytest.fixture(scope="session")
def make_crowd() -> Callable[..., Crowd]:
    return crowd


def _far_apart(found: dict[str, Tensor], expected: dict[str, Tensor]) -> dict[str, float]:
    """Largest difference of each tensor over the largest number of the expected one."""
    return {
        name: float((found[name] - t).abs().max() / t.abs().max().clamp(min=1e-12)) if t.numel() else 0.0
        for name, t in expected.items()
    }


@pytest.fixture(scope="session")
def far_apart() -> Callable[[dict[str, Tensor], dict[str, Tensor]], dict[str, float]]:
    return _far_apart


@pytest.fixture(scope="session")
def psnr() -> Callable[[Tensor, Tensor], float]:
    """Of an image against another, decibels, for the range 0..1."""

    def of(found: Tensor, expected: Tensor) -> float:
        error = (found.double().cpu() - expected.double().cpu()).square().mean()
        return float(-10 * torch.log10(error.clamp(min=1e-30)))

    return of
