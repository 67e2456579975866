"""Projection and colour in torch, pixels by a back end: the way for any camera that is a Projection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from geolab.splats.rasterize import harmonics
from geolab.splats.rasterize.projection import (
    Limits,
    Orthographic,
    Pinhole,
    Projection,
    covariances,
    ellipses,
)

Drawn = tuple[Tensor, Tensor, dict[str, Any]]


@dataclass(frozen=True)
class Given:
    """What is drawn, from where, how large: the first arguments of `geolab.splats.rasterize.rasterize`."""

    means: Tensor
    quats: Tensor
    scales: Tensor
    opacities: Tensor
    colors: Tensor
    viewmats: Tensor
    Ks: Tensor
    width: int
    height: int


Draw = Callable[..., Drawn]  # rasterize_2d of a back end


def camera(model: str, viewmats: Tensor, Ks: Tensor, width: int, height: int) -> Projection:
    """The projection of camera_model "pinhole" or "ortho"."""
    if model == "ortho":
        return Orthographic(viewmats, Ks)
    return Pinhole(viewmats, Ks, width, height)


def compose(
    draw: Draw,
    projection: Projection,
    given: Given,
    *,
    limits: Limits,
    sh_degree: int | None,
    backgrounds: Tensor | None,
    render_mode: str,
    rasterize_mode: str,
    **asked: bool,
) -> Drawn:
    """Images, alphas and meta, as `geolab.splats.rasterize.rasterize` tells."""
    linear, colors, size = projection(given.means, limits.near), given.colors, (given.width, given.height)
    shapes = ellipses(
        linear, covariances(given.quats, given.scales), given.opacities, size, limits, blend=rasterize_mode
    )
    count = len(linear.depths)
    if sh_degree is not None:
        visible = shapes.visible[..., None]
        ahead = torch.where(visible, linear.directions, torch.ones_like(linear.directions))
        colors = harmonics.colours(sh_degree, ahead, colors)  # [C, N, 3]
    elif colors.dim() == 2:
        colors = colors.expand(count, -1, -1)
    channels, back = _channels(render_mode, colors, linear.depths, backgrounds)
    images, alphas, extras = draw(shapes, channels, *size, backgrounds=back, **asked)
    if render_mode.endswith("ED"):
        depth = images[..., -1:] / alphas.clamp(min=1e-10)
        images = torch.cat([images[..., :-1], depth], dim=-1)
    meta = {"means2d": shapes.means2d, "radii": shapes.radii, "depths": shapes.depths} | extras
    return images, alphas, meta


def _channels(
    mode: str, colors: Tensor, depths: Tensor, backgrounds: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """What is blended [C, N, D] and behind it [C, D]: colours, depths (none behind), or both."""
    if mode == "RGB":
        return colors, backgrounds
    depth = depths[..., None]
    behind = None if backgrounds is None else backgrounds.new_zeros(len(backgrounds), 1)
    if mode in ("D", "ED"):
        return depth, behind
    if backgrounds is not None and behind is not None:
        behind = torch.cat([backgrounds, behind], dim=-1)
    return torch.cat([colors, depth], dim=-1), behind
