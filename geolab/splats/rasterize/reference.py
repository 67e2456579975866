"""The slow, obvious twin: every Gaussian at every pixel, in torch, float64 where asked, autograd's gradients.

For tests and tiny images only: memory grows with pixels times Gaussians.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from geolab.splats.rasterize.compose import Drawn, Given, camera, compose
from geolab.splats.rasterize.projection import ALPHA_MIN, Ellipses, Limits

ALPHA_MAX = 0.999
OPAQUE = 1e-4  # transmittance at which a pixel is done; the Gaussian that would reach it is not drawn


def rasterize(given: Given, *, limits: Limits, camera_model: str, **look: Any) -> Drawn:
    """As `geolab.splats.rasterize.rasterize`."""
    seen_by = camera(camera_model, given.viewmats, given.Ks, given.width, given.height)
    return compose(rasterize_2d, seen_by, given, limits=limits, **look)


def rasterize_2d(
    ellipses: Ellipses,
    colors: Tensor,
    width: int,
    height: int,
    *,
    backgrounds: Tensor | None = None,
    median_depth: bool = False,
    weights: bool = False,
    absgrad: bool = False,
) -> Drawn:
    """Images [C, H, W, D] of colors [C, N, D], alphas [C, H, W, 1], and what was asked for besides."""
    drawn = [
        _draw(ellipses, colors[i], i, width, height, None if backgrounds is None else backgrounds[i], absgrad)
        for i in range(len(colors))
    ]
    images = torch.stack([d[0] for d in drawn])
    extras: dict[str, Any] = {}
    if median_depth:
        extras["median_depth"] = torch.stack([d[2] for d in drawn])
    if weights:
        extras["weights"] = torch.stack([d[3] for d in drawn]).sum(dim=0)
    return images, torch.stack([d[1] for d in drawn]), extras


def _draw(
    ellipses: Ellipses,
    colors: Tensor,
    camera: int,
    width: int,
    height: int,
    background: Tensor | None,
    absgrad: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """One image [H, W, D], its alpha [H, W, 1], median depth [H, W], weights [N]."""
    shown = ellipses.visible[camera].nonzero()[:, 0]
    order = shown[ellipses.depths[camera, shown].argsort(stable=True)]  # [n], front to back
    alpha = _alphas(ellipses, camera, order, width, height, absgrad)  # [P, n]
    after = (1 - alpha).cumprod(dim=1)  # transmittance behind each
    alpha = torch.where(after > OPAQUE, alpha, 0.0)
    through = torch.cat([alpha.new_ones(len(alpha), 1), (1 - alpha).cumprod(dim=1)], dim=1)  # [P, n + 1]
    share = alpha * through[:, :-1]  # [P, n]
    left = through[:, -1:]  # [P, 1]
    image = share @ colors[order]  # [P, D]
    if background is not None:
        image = image + left * background
    with torch.no_grad():
        weights = share.new_zeros(len(colors)).index_add(0, order, share.sum(dim=0))
        median = _median(through[:, 1:], ellipses.depths[camera, order])
    return (
        image.unflatten(0, (height, width)),
        (1 - left).unflatten(0, (height, width)),
        median.unflatten(0, (height, width)),
        weights,
    )


def _alphas(ellipses: Ellipses, camera: int, order: Tensor, width: int, height: int, absgrad: bool) -> Tensor:
    """Opacity of each Gaussian at each pixel [P, n], 0 where too faint to be drawn."""
    means2d = ellipses.means2d
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    pixels = torch.stack([columns, rows], dim=-1).flatten(0, 1).to(means2d) + 0.5  # [P, 2]
    places = means2d[camera, order].expand(len(pixels), -1, -1)  # [P, n, 2]
    if absgrad and places.requires_grad:
        places.register_hook(lambda grad: _keep_absgrad(means2d, grad, camera, order))
    dx, dy = (places - pixels[:, None]).unbind(-1)  # [P, n]
    a, b, c = ellipses.conics[camera, order].unbind(-1)
    sigma = 0.5 * (a * dx * dx + c * dy * dy) + b * dx * dy
    alpha = (ellipses.opacities[camera, order] * (-sigma).exp()).clamp(max=ALPHA_MAX)
    return torch.where((sigma >= 0) & (alpha >= ALPHA_MIN), alpha, 0.0)


def _keep_absgrad(means2d: Tensor, grad: Tensor, camera: int, order: Tensor) -> None:
    """As gsplat: `means2d.absgrad` [C, N, 2], the sum over pixels of the absolute gradients (AbsGS, 2024)."""
    kept = getattr(means2d, "absgrad", None)
    kept = torch.zeros_like(means2d) if kept is None else kept
    kept[camera, order] += grad.abs().sum(dim=0)
    means2d.absgrad = kept  # pyright: ignore[reportAttributeAccessIssue]


def _median(after: Tensor, depths: Tensor) -> Tensor:
    """Depth [P] of the Gaussian behind which at most half of the light is left; nan where more always is."""
    reached = after <= 0.5
    if reached.shape[1] == 0:
        return after.new_full((len(after),), torch.nan)
    first = reached.to(torch.uint8).argmax(dim=1)
    return torch.where(reached.any(dim=1), depths[first], torch.nan)
