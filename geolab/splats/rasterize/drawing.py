"""`render`: a model seen by a camera, as arrays; no gradients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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

MOST_PIXELS = 8 << 20  # of the cameras that are drawn in one call


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
    cameras = [camera] if isinstance(camera, Camera) else list(camera)
    for one in cameras:
        if any(one.distortion):
            raise BadInput(
                "camera",
                found=f"distortion ({one.model})",
                expected="a camera without",
                remedy="images.load(view)",
            )
    choice = choose(backend)
    gaussians = gaussians.to(choice.device)
    look: dict[str, Any] = {
        "near_plane": near_plane, "far_plane": far_plane, "eps2d": eps2d, "backend": choice.name,
        "render_mode": mode, "camera_model": camera_model, "rasterize_mode": rasterize_mode,
        "sh_degree": gaussians.sh_degree if sh_degree is None else sh_degree,
        "median_depth": median_depth, "weights": weights,
    }  # fmt: skip
    drawn: dict[int, Rendering] = {}
    for places in _together(cameras, alone=weights):
        same = [cameras[place] for place in places]
        drawn |= zip(places, _drawn(gaussians, same, background, look), strict=True)
    found = tuple(drawn[place] for place in range(len(cameras)))
    return found[0] if isinstance(camera, Camera) else found


def _together(cameras: Sequence[Camera], *, alone: bool) -> Iterator[list[int]]:
    """Places of the cameras that one call draws: of one size, as many as fit; one each if `alone`."""
    sizes = dict.fromkeys((one.width, one.height) for one in cameras)
    for width, height in sizes:
        places = [i for i, one in enumerate(cameras) if (one.width, one.height) == (width, height)]
        many = 1 if alone else max(1, MOST_PIXELS // (width * height))
        yield from (places[start : start + many] for start in range(0, len(places), many))


def _drawn(
    gaussians: Gaussians,
    cameras: Sequence[Camera],
    background: Sequence[float],
    look: dict[str, Any],
) -> Iterator[Rendering]:
    """Renderings of cameras of one size."""
    like = gaussians.means
    images, alphas, meta = rasterize(
        gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities, gaussians.sh,
        _of([one.world_to_camera for one in cameras], like), _of([one.K for one in cameras], like),
        cameras[0].width, cameras[0].height, backgrounds=_of([background] * len(cameras), like), **look,
    )  # fmt: skip
    for index, (pixels, alpha) in enumerate(zip(images, alphas, strict=True)):
        image = _array(pixels)
        yield Rendering(
            rgb=image[..., :3],
            alpha=_array(alpha[..., 0]),
            depth=image[..., 3] if image.shape[-1] > 3 else None,
            median_depth=_array(meta["median_depth"][index]) if look["median_depth"] else None,
            weights=_array(meta["weights"]) if look["weights"] else None,
        )


def _of(numbers: object, like: Tensor) -> Tensor:
    """A batch, with the model's type and device."""
    return torch.as_tensor(np.asarray(numbers, np.float64)).to(like)


def _array(tensor: Tensor) -> Floats:
    return tensor.detach().to("cpu", torch.float32).numpy()
