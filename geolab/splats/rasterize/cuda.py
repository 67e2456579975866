"""The back end on CUDA devices: gsplat 1.5.3, and what it lacks: median depth, weights.

Its colours for spherical harmonics are [N, K, 3] also for degree 0; `packed` is off so that meta keeps
[C, N]; N = 0 divides by zero in its kernels and never gets there.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from geolab.errors import BadInput, MissingExtra
from geolab.splats.rasterize import probe
from geolab.splats.rasterize.compose import Drawn, Given
from geolab.splats.rasterize.projection import Ellipses, Limits

TILE = 16  # pixels
HALF = 0.5  # of the light: median depth lies where it is lost
BATCH = 1  # of TILE^2 Gaussians a tile, of which pairs with pixels are listed at once
ALPHA_MAX = 0.999


@dataclass(frozen=True)
class _Tiles:
    """Which Gaussians touch which tile: offsets [C, th, tw] into ids, as gsplat lists them."""

    offsets: Tensor
    ids: Tensor


def works() -> str:
    """Which gsplat draws on which device. Raises MissingExtra or BadInput with the cause if it does not."""
    found = probe.gsplat()
    if found.missing:
        raise MissingExtra("gsplat", extra="splats", cause=f"{found.cause}; backend='cpu' does without it")
    if found.cause:
        raise BadInput(
            "gsplat", found=found.cause, expected="a build that draws here",
            remedy="mend it (bench/gpu.sh shows what it needs) or take backend='cpu'",
        )  # fmt: skip
    return found.works


def rasterize(
    given: Given,
    *,
    limits: Limits,
    backgrounds: Tensor | None,
    render_mode: str,
    median_depth: bool,
    weights: bool,
    **look: Any,
) -> Drawn:
    """As `geolab.splats.rasterize.rasterize`; float32 only."""
    _single(given.means)
    width, height = given.width, given.height
    if len(given.means) == 0:
        coloured = 3 if look["sh_degree"] is not None else given.colors.shape[-1]
        channels = (coloured if "RGB" in render_mode else 0) + (render_mode != "RGB")
        none = given.means.new_zeros(len(given.viewmats), height, width, channels)
        return _empty(none, backgrounds if "RGB" in render_mode else None, weights, median_depth)
    images, alphas, told = _part("rendering").rasterization(
        **vars(given), near_plane=limits.near, far_plane=limits.far, radius_clip=limits.clip,
        eps2d=limits.eps2d, backgrounds=backgrounds, render_mode=render_mode, packed=False, tile_size=TILE,
        **look,
    )  # fmt: skip
    kept = ("means2d", "radii", "depths", "conics", "opacities")
    shapes = Ellipses(**{name: told[name] for name in kept})
    tiles = _Tiles(told["isect_offsets"], told["flatten_ids"])
    meta = {name: told[name] for name in ("means2d", "radii", "depths")}
    return images, alphas, meta | _extras(shapes, tiles, width, height, median_depth, weights)


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
    """As `reference.rasterize_2d`; float32 only."""
    _single(colors)
    count, n, channels = colors.shape
    if n == 0:
        none = colors.new_zeros(count, height, width, channels)
        return _empty(none, backgrounds, weights, median_depth)
    tiles = _tiles(ellipses, width, height)
    images, alphas = _part("cuda._wrapper").rasterize_to_pixels(
        ellipses.means2d, ellipses.conics, colors, ellipses.opacities, width, height, TILE,
        tiles.offsets, tiles.ids, backgrounds=backgrounds, absgrad=absgrad,
    )  # fmt: skip
    return images, alphas, _extras(ellipses, tiles, width, height, median_depth, weights)


def _part(name: str) -> Any:
    return importlib.import_module(f"gsplat.{name}")


def _single(tensor: Tensor) -> None:
    if tensor.dtype != torch.float32:
        raise BadInput("back end cuda", found=str(tensor.dtype), expected="float32: gsplat knows no other")


def _tiles(ellipses: Ellipses, width: int, height: int) -> _Tiles:
    part = _part("cuda._wrapper")
    wide, high, count = -(-width // TILE), -(-height // TILE), len(ellipses.depths)
    means2d, depths = ellipses.means2d.detach(), ellipses.depths.detach()
    _, keys, ids = part.isect_tiles(means2d, ellipses.radii, depths, TILE, wide, high)
    return _Tiles(part.isect_offset_encode(keys, count, wide, high), ids)


def _empty(images: Tensor, backgrounds: Tensor | None, weights: bool, median_depth: bool) -> Drawn:
    """What no Gaussians look like, written into images [C, H, W, D] of zeros."""
    count = len(images)
    if backgrounds is not None:
        images[..., : backgrounds.shape[-1]] = backgrounds[:, None, None]
    alphas = torch.zeros_like(images[..., :1])
    meta: dict[str, Any] = {
        "means2d": images.new_zeros(count, 0, 2),
        "radii": images.new_zeros(count, 0, 2, dtype=torch.int32),
        "depths": images.new_zeros(count, 0),
    }
    if weights:
        meta["weights"] = images.new_zeros(0)
    if median_depth:
        meta["median_depth"] = torch.full_like(alphas[..., 0], torch.nan)
    return images, alphas, meta


def _extras(
    ellipses: Ellipses, tiles: _Tiles, width: int, height: int, median_depth: bool, weights: bool
) -> dict[str, Any]:
    asked: dict[str, Any] = {}
    if median_depth:
        asked["median_depth"] = _median_depth(ellipses, tiles, width, height)
    if weights:
        asked["weights"] = _weights(ellipses, tiles, width, height)
    return asked


def _weights(ellipses: Ellipses, tiles: _Tiles, width: int, height: int) -> Tensor:
    """[N]: an image is linear in its colours, so weights are the gradient of its sum by the colours."""
    with torch.enable_grad():
        white = torch.ones_like(ellipses.depths)[..., None].requires_grad_()  # [C, N, 1]
        image, _ = _part("cuda._wrapper").rasterize_to_pixels(
            ellipses.means2d.detach(), ellipses.conics.detach(), white, ellipses.opacities.detach(),
            width, height, TILE, tiles.offsets, tiles.ids,
        )  # fmt: skip
        (share,) = torch.autograd.grad(image.sum(), white)
    return share.sum(dim=(0, 2))


@torch.no_grad()
def _median_depth(ellipses: Ellipses, tiles: _Tiles, width: int, height: int) -> Tensor:
    """[C, H, W]: of the Gaussian behind which at most half of the light is left.

    gsplat lists the pairs of pixels and Gaussians front to back, in batches; a pixel that has lost half of
    its light is told to have none left, and is listed no more. No pixel ends opaque before it is half so.
    """
    count, n = ellipses.depths.shape
    median = ellipses.depths.new_full((count * height * width,), torch.nan)
    light = torch.ones(count * height * width, dtype=torch.float64, device=median.device)
    longest = int(
        torch.diff(tiles.offsets.flatten(), append=tiles.offsets.new_tensor([len(tiles.ids)])).max()
    )
    for start in range(0, -(-longest // TILE**2), BATCH):
        going = torch.where(light > HALF, light, 0.0).float().reshape(count, height, width)
        gaussian, pixel, image = _part("cuda._wrapper").rasterize_to_indices_in_range(
            start, start + BATCH, going, ellipses.means2d, ellipses.conics, ellipses.opacities,
            width, height, TILE, tiles.offsets, tiles.ids,
        )  # fmt: skip
        if len(gaussian) == 0:
            continue
        alpha = _alphas(ellipses, gaussian, pixel, image, width)
        ray = image * (height * width) + pixel  # grouped: all pairs of a pixel lie together
        light = _pass(light, median, ray, alpha, ellipses.depths.flatten()[image * n + gaussian])
    return median.reshape(count, height, width)


def _alphas(ellipses: Ellipses, gaussian: Tensor, pixel: Tensor, image: Tensor, width: int) -> Tensor:
    """Of pairs [M], float64."""
    centre = torch.stack([pixel % width, pixel // width], dim=-1) + 0.5
    dx, dy = (ellipses.means2d[image, gaussian].double() - centre).unbind(-1)
    a, b, c = ellipses.conics[image, gaussian].double().unbind(-1)
    sigma = 0.5 * (a * dx * dx + c * dy * dy) + b * dx * dy
    return (ellipses.opacities[image, gaussian] * (-sigma).exp()).clamp(max=ALPHA_MAX)


def _pass(light: Tensor, median: Tensor, ray: Tensor, alpha: Tensor, depth: Tensor) -> Tensor:
    """Light [P] left behind pairs [M], of which each ray's lie together, front to back; fills median [P]."""
    rays, counts = ray.unique_consecutive(return_counts=True)
    passed = (1 - alpha).log().cumsum(0)
    begins = counts.cumsum(0) - counts
    before = torch.where(begins > 0, passed[begins - 1], 0.0)
    after = light[ray] * (passed - before.repeat_interleave(counts)).exp()  # [M]
    half = after <= HALF
    order = torch.arange(len(ray), device=ray.device)
    first = torch.full_like(rays, len(ray)).scatter_reduce(
        0, torch.arange(len(rays), device=ray.device).repeat_interleave(counts),
        torch.where(half, order, len(ray)), "amin",
    )  # fmt: skip
    found = (first < len(ray)) & (light[rays] > HALF)
    median[rays[found]] = depth[first[found]]
    return light.index_copy(0, rays, after[begins + counts - 1])
