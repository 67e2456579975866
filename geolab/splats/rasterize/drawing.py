"""`render`: a model seen by a camera, as arrays; no gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geolab.errors import BadInput
from geolab.splats.gaussians import Gaussians
from geolab.splats.rasterize.backends import choose
from geolab.splats.rasterize.door import rasterize
from geolab.splats.views import Camera

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Rendering:
    """What a camera sees, float32 in the CPU's memory.

    rgb [H, W, 3], the background included, not clipped at 1; alpha [H, W], 0..1. depth [H, W] along the
    camera's z, metres: expected depth (mode "RGB+ED"; 0 where alpha is 0), blended depth ("RGB+D"), None
    ("RGB"). median_depth [H, W], nan where half of the light passes. weights [N], what each Gaussian adds
    to the image: the sum over pixels of alpha times transmittance. The last two are None unless asked for.
    """

    rgb: Floats
    alpha: Floats
    depth: Floats | None = None
    median_depth: Floats | None = None
    weights: Floats | None = None


@overload
def render(gaussians: Gaussians, camera: Camera, **settings: Any) -> Rendering: ...
@overload
def render(gaussians: Gaussians, camera: Sequence[Camera], **settings: Any) -> tuple[Rendering, ...]: ...
@torch.no_grad()
def render(  # pyright: ignore[reportInconsistentOverload] the overloads leave the keywords to it
    gaussians: Gaussians,
    camera: Camera | Sequence[Camera],
    *,
    backend: str = "auto",
    background: Sequence[float] = (0.0, 0.0, 0.0),
    mode: str = "RGB+ED",
    camera_model: str = "pinhole",
    rasterize_mode: str = "classic",
    sh_degree: int | None = None,
    median_depth: bool = False,
    weights: bool = False,
    near_plane: float = 0.01,
    far_plane: float = 1e10,
    eps2d: float = 0.3,
) -> Rendering | tuple[Rendering, ...]:
    """What the camera sees of the model; for several cameras (of any sizes) a tuple, in their order.

    Drawn where this machine draws best, or where `backend` draws; the model may be on any device.
    camera_model "ortho": the focal lengths of K are pixels per metre. sh_degree: fewer spherical harmonics
    than the model has. Raises BadInput if a camera has distortion: images.load gives one without.
    """
    choice = choose(backend)
    gaussians, backend = gaussians.to(choice.device), choice.name
    if not isinstance(camera, Camera):
        return tuple(
            render(
                gaussians, one, backend=backend, background=background, mode=mode, camera_model=camera_model,
                rasterize_mode=rasterize_mode, sh_degree=sh_degree, median_depth=median_depth,
                weights=weights, near_plane=near_plane, far_plane=far_plane, eps2d=eps2d,
            )
            for one in camera
        )  # fmt: skip
    if any(camera.distortion):
        raise BadInput(
            "camera",
            found=f"distortion ({camera.model})",
            expected="a camera without",
            remedy="images.load(view)",
        )
    like = gaussians.means
    images, alphas, meta = rasterize(
        gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities, gaussians.sh,
        _of(camera.world_to_camera, like), _of(camera.K, like), camera.width, camera.height,
        near_plane=near_plane, far_plane=far_plane, eps2d=eps2d, backend=backend, render_mode=mode,
        camera_model=camera_model, rasterize_mode=rasterize_mode, median_depth=median_depth, weights=weights,
        sh_degree=gaussians.sh_degree if sh_degree is None else sh_degree, backgrounds=_of(background, like),
    )  # fmt: skip
    image = _array(images[0])
    return Rendering(
        rgb=image[..., :3],
        alpha=_array(alphas[0, ..., 0]),
        depth=image[..., 3] if image.shape[-1] > 3 else None,
        median_depth=_array(meta["median_depth"][0]) if median_depth else None,
        weights=_array(meta["weights"]) if weights else None,
    )


def _of(numbers: object, like: Tensor) -> Tensor:
    """A batch of one, with the model's type and device."""
    return torch.as_tensor(np.asarray(numbers, np.float64)).to(like)[None]


def _array(tensor: Tensor) -> Floats:
    return tensor.detach().to("cpu", torch.float32).numpy()
