"""How well the training photos saw each Gaussian: what they never saw is guessed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from geolab.splats.gaussians import Gaussians
from geolab.splats.rasterize import rasterize
from geolab.splats.views import Camera

LEAST_PX = 0.5  # of a picture that a Gaussian must fill for the photo to have seen it


@dataclass(frozen=True)
class Observability:
    """For each Gaussian [N]: weights, the pixels of all photos that it fills (sum of alpha times
    transmittance); views, the photos in which it fills at least LEAST_PX."""

    weights: Tensor
    views: Tensor


def observability(
    gaussians: Gaussians, cameras: Sequence[Camera], *, image_px: int = 512, backend: str = "auto"
) -> Observability:
    """How much of the training photos each Gaussian fills, and in how many it is seen.

    image_px: longest side of the pictures drawn for it; weights are counted in the photos' own pixels.
    """
    weights = torch.zeros(len(gaussians), dtype=torch.float64)
    views = torch.zeros(len(gaussians), dtype=torch.int64)
    for camera in cameras:
        scale = min(1.0, image_px / max(camera.width, camera.height))
        seen = _weights(gaussians, camera, scale, backend) / scale**2
        weights += seen
        views += seen >= LEAST_PX
    device = gaussians.means.device
    return Observability(weights.to(device), views.to(device))


def _weights(gaussians: Gaussians, camera: Camera, scale: float, backend: str) -> Tensor:
    width, height = max(1, round(camera.width * scale)), max(1, round(camera.height * scale))
    device = gaussians.means.device
    stretch = torch.tensor([width / camera.width, height / camera.height, 1.0])[:, None]
    _, _, meta = rasterize(
        gaussians.means.detach(), gaussians.quats.detach(), gaussians.scales.detach(),
        gaussians.opacities.detach(), torch.zeros(len(gaussians), 1, device=device),
        torch.as_tensor(camera.world_to_camera, dtype=torch.float32, device=device)[None],
        (torch.as_tensor(camera.K, dtype=torch.float32) * stretch).to(device)[None], width, height,
        weights=True, backend=backend,
    )  # fmt: skip
    return meta["weights"].detach().double().cpu()
