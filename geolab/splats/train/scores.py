"""How well a model shows views that it has not been trained on.

As gsplat 1.5's simple_trainer does, a metric is the mean over the views, rendered without any exposure
correction; beside it stands the PSNR after the affine change of colours that fits the view best
(`psnr_corrected`, gsplat's cc_psnr), since a photo that was held out has no learnt exposure.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from geolab.errors import BadInput
from geolab.splats import rasterize
from geolab.splats.gaussians import Gaussians
from geolab.splats.train.losses import RADIUS_PX, similarity_map
from geolab.splats.train.photos import Picture, open_picture
from geolab.splats.views import Scene

HIGHEST_PSNR = 100.0  # of equal images


@dataclass(frozen=True)
class ViewScores:
    """psnr, psnr_corrected in dB; ssim 0..1; lpips, smaller is nearer, None where its extra is not there."""

    name: str
    psnr: float
    psnr_corrected: float
    ssim: float
    lpips: float | None


@dataclass(frozen=True)
class Scores:
    """Means over the views. note: why there is no LPIPS, or ""."""

    psnr: float
    psnr_corrected: float
    ssim: float
    lpips: float | None
    views: tuple[ViewScores, ...]
    note: str = ""


def evaluate(
    gaussians: Gaussians,
    scene: Scene,
    *,
    image_px: int = 0,
    backend: str = "auto",
    training: bool = False,
    antialiased: bool = False,
) -> Scores:
    """The scores of a model on the views that were held out; with `training` on the others.

    image_px: longest side, 0 for the photos as they are. Raises BadInput if there are no such views.
    """
    views = scene.training if training else scene.testing
    pictures = [open_picture(view, image_px=image_px) for view in views]
    return score(gaussians, pictures, backend=backend, antialiased=antialiased)


def score(
    gaussians: Gaussians, pictures: Sequence[Picture], *, backend: str = "auto", antialiased: bool = False
) -> Scores:
    """The scores on pictures. Raises BadInput if there is none."""
    if not pictures:
        raise BadInput("held-out views", found="none", expected="at least one", remedy="hold out every 8th")
    made = []
    for picture in pictures:
        placed = picture.to(gaussians.means.device)
        shown = show(gaussians, placed, backend=backend, antialiased=antialiased)
        made.append(compare(picture.name, shown, placed.colours(), placed.keep))
    measured = [v.lpips for v in made if v.lpips is not None]
    return Scores(
        psnr=fmean(v.psnr for v in made),
        psnr_corrected=fmean(v.psnr_corrected for v in made),
        ssim=fmean(v.ssim for v in made),
        lpips=fmean(measured) if measured else None,
        views=tuple(made),
        note=lpips_note(),
    )


@torch.no_grad()
def show(gaussians: Gaussians, picture: Picture, *, backend: str, antialiased: bool = False) -> Tensor:
    """What a picture's camera sees of the model [H, W, 3], 0..1, on black."""
    height, width = picture.shape
    image = rasterize.rasterize(
        gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities, gaussians.sh,
        picture.world_to_camera[None], picture.K[None], width, height, sh_degree=gaussians.sh_degree,
        rasterize_mode="antialiased" if antialiased else "classic", backend=backend,
    )[0]  # fmt: skip
    return image[0].clamp(0, 1)


@torch.no_grad()
def compare(name: str, shown: Tensor, photo: Tensor, keep: Tensor | None = None) -> ViewScores:
    """The scores of one image [H, W, 3] against its photo, at the pixels that count [H, W]."""
    live = torch.ones_like(photo[..., 0], dtype=torch.bool) if keep is None else keep
    corrected = torch.where(live[..., None], corrected_colours(shown, photo, live), photo)
    ours = torch.where(live[..., None], shown, photo)
    inner = live[RADIUS_PX:-RADIUS_PX, RADIUS_PX:-RADIUS_PX]
    alike = similarity_map(ours.double(), photo.double())
    ssim = float(alike[inner].mean()) if inner.any() else 1.0
    return ViewScores(
        name, psnr(shown[live], photo[live]), psnr(corrected[live], photo[live]), ssim, lpips(ours, photo)
    )


def psnr(shown: Tensor, photo: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of values 0..1."""
    error = float((shown.double() - photo.double()).square().mean())
    return min(HIGHEST_PSNR, -10 * torch.log10(torch.tensor(error, dtype=torch.float64)).item())


def corrected_colours(shown: Tensor, photo: Tensor, live: Tensor) -> Tensor:
    """The image under the affine change of colours that brings it nearest to the photo."""
    ours, theirs = shown[live].double(), photo[live].double()
    ours = torch.cat([ours, torch.ones_like(ours[:, :1])], 1)  # [P, 4]
    moments = ours.T @ ours + 1e-9 * len(ours) * torch.eye(4, dtype=ours.dtype, device=ours.device)
    affine = torch.linalg.solve(moments, ours.T @ theirs)  # [4, 3]
    changed = shown.double() @ affine[:3] + affine[3]
    return changed.clamp(0, 1).to(shown.dtype)


def lpips_note() -> str:
    """Why there is no LPIPS, or ""."""
    missing = [name for name in ("torchmetrics", "torchvision") if importlib.util.find_spec(name) is None]
    return f"no LPIPS: {' and '.join(missing)} not installed (pip install 'geolab[lpips]')" if missing else ""


def lpips(shown: Tensor, photo: Tensor) -> float | None:
    """Perceptual distance (Zhang et al., 2018, AlexNet) of images [H, W, 3]; None without its extra."""
    if lpips_note():
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchvision's own of its weights
        network = _perceptual().to(shown.device)
        pair = (t.permute(2, 0, 1)[None].float().clamp(0, 1) for t in (shown, photo))
        return float(network(*pair))


@cache
def _perceptual() -> Any:
    from torchmetrics.image.lpip import (  # pyright: ignore[reportMissingImports]
        LearnedPerceptualImagePatchSimilarity,
    )

    return LearnedPerceptualImagePatchSimilarity(net_type="alex", normalize=True)
