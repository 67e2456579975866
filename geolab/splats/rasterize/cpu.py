"""The CPU back end: tiles of pixels on the threads of this process, with analytic gradients.

Images and gradients are the same, bit for bit, from run to run and for any number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from geolab.splats.rasterize.compose import camera, compose
from geolab.splats.rasterize.kernels import blend, tiles
from geolab.splats.rasterize.kernels.pool import share
from geolab.splats.rasterize.kernels.simd import LANES
from geolab.splats.rasterize.projection import Ellipses, Limits

Extras = dict[str, Any]


def rasterize(
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    opacities: Tensor,
    colors: Tensor,
    viewmats: Tensor,
    Ks: Tensor,
    width: int,
    height: int,
    *,
    near_plane: float = 0.01,
    far_plane: float = 1e10,
    radius_clip: float = 0.0,
    eps2d: float = 0.3,
    sh_degree: int | None = None,
    backgrounds: Tensor | None = None,
    render_mode: str = "RGB",
    rasterize_mode: str = "classic",
    camera_model: str = "pinhole",
    median_depth: bool = False,
    weights: bool = False,
    absgrad: bool = False,
    threads: int | None = None,
) -> tuple[Tensor, Tensor, Extras]:
    """Images, alphas and meta, as `geolab.splats.rasterize.rasterize` tells.

    threads: as many as torch uses, for None.
    """

    def draw(*args: Any, **kwargs: Any) -> tuple[Tensor, Tensor, Extras]:
        return rasterize_2d(*args, threads=threads, **kwargs)

    return compose(
        draw, camera(camera_model, viewmats, Ks, width, height), means, quats, scales, opacities, colors,
        width, height, limits=Limits(near_plane, far_plane, radius_clip, eps2d), sh_degree=sh_degree,
        backgrounds=backgrounds, render_mode=render_mode, rasterize_mode=rasterize_mode,
        median_depth=median_depth, weights=weights, absgrad=absgrad,
    )  # fmt: skip


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
    threads: int | None = None,
) -> tuple[Tensor, Tensor, Extras]:
    """Images [C, H, W, D] of colors [C, N, D], alphas [C, H, W, 1], and what was asked for besides.

    weights: meta's "weights" [N]; median_depth: "median_depth" [C, H, W]; absgrad: sets `means2d.absgrad`
    [C, N, 2] in the backward pass, as gsplat does.
    """
    threads = torch.get_num_threads() if threads is None else threads
    images, alphas, extras = [], [], []
    sheets = colors.shape[-1]
    for i in range(len(colors)):
        parts = []
        for c in range(0, max(sheets, 1), tiles.CHANNELS):
            back = None if backgrounds is None else backgrounds[i, c : c + tiles.CHANNELS]
            some = colors[i, :, c : c + tiles.CHANNELS]
            asked = (median_depth and c == 0, weights and c == 0)
            parts.append(
                Blend.apply(
                    ellipses.means2d, ellipses.conics[i], ellipses.opacities[i], some,
                    back, ellipses.depths[i], ellipses.radii[i], width, height, i, asked, absgrad, threads,
                )
            )  # fmt: skip
        images.append(torch.cat([p[0] for p in parts], dim=-1) if len(parts) > 1 else parts[0][0])
        alphas.append(parts[0][1])
        extras.append(parts[0][2:])
    more: Extras = {}
    if median_depth:
        more["median_depth"] = torch.stack([e[0] for e in extras])
    if weights:
        more["weights"] = torch.stack([e[1] for e in extras]).sum(dim=0)
    return torch.stack(images), torch.stack(alphas), more


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()


class Blend(torch.autograd.Function):
    """One camera's image of at most four channels."""

    @staticmethod
    def forward(
        ctx,
        means2d,
        conics,
        opacities,
        colors,
        back,
        depths,
        radii,
        width,
        height,
        view,
        asked,
        absgrad,
        threads,
    ):
        number = _array(means2d).dtype
        visible = np.flatnonzero((_array(radii) > 0).all(axis=-1))
        depth = _array(depths)
        order = visible[np.argsort(depth[visible], kind="stable")].astype(np.int32)
        records = np.empty((len(order), tiles.RECORD), number)
        boxes = np.empty((len(order), 4), np.int32)
        inputs = (_array(means2d[view]), _array(conics), _array(opacities), depth, _array(colors))
        total = tiles.pack(order, *inputs, width, height, records, boxes)
        records = records.reshape(-1)
        tiles_x, tiles_y = -(-width // LANES), -(-height // tiles.TILE)
        count = tiles_x * tiles_y
        starts = np.empty(count + 1, np.int32)
        first_slots = np.empty(len(order) + 1, np.int32)
        entries, slots = np.empty(total, np.int32), np.empty(total, np.int32)
        tiles.fill(boxes, tiles_x, tiles_y, starts, first_slots, entries, slots)
        keep = any(ctx.needs_input_grad)
        image = np.empty((height, width, colors.shape[1]), number)
        alphas = np.empty((height, width), number)
        through = np.empty((height, width) if keep else (0, 0), number)
        reached = np.empty((height, width) if keep else (0, 0), np.int32)
        median = np.empty((height, width) if asked[0] else (0, 0), number)
        shares = np.empty(total if asked[1] else 0, number)
        background = tuple(np.zeros(colors.shape[1], number) if back is None else _array(back))

        def work(first: int, last: int) -> None:
            blend.forward(
                first, last, starts, entries, slots, records, background, width, height, keep,
                asked[0], asked[1], image, alphas, through, reached, median, shares,
            )  # fmt: skip

        share(work, count, threads)
        weights = np.zeros(len(depth) if asked[1] else 0, number)
        if asked[1]:
            blend.weigh(order, first_slots, shares, weights)
        ctx.kept = (
            starts,
            entries,
            slots,
            first_slots,
            records,
            background,
            through,
            reached,
            order,
            inputs[2],
            inputs[1],
        )
        ctx.where = (means2d, view, absgrad, threads, back is not None)
        extras = torch.from_numpy(median), torch.from_numpy(weights)
        ctx.mark_non_differentiable(*extras)
        return torch.from_numpy(image), torch.from_numpy(alphas)[..., None], *extras

    @staticmethod
    def backward(ctx, d_image, d_alpha, *_):  # pyright: ignore[reportIncompatibleMethodOverride]
        (
            starts,
            entries,
            slots,
            first_slots,
            records,
            background,
            through,
            reached,
            order,
            opacities,
            conics,
        ) = ctx.kept
        means2d, view, absgrad, threads, has_back = ctx.where
        number = records.dtype
        height, width = through.shape
        d_image = _array(d_image)
        d_alphas = _array(d_alpha)[..., 0]
        gradients = np.empty(len(entries) * blend.SUMS, number)

        def work(first: int, last: int) -> None:
            blend.backward(
                first, last, starts, entries, slots, records, background, width, height, absgrad,
                through, reached, d_image, d_alphas, gradients,
            )  # fmt: skip

        share(work, len(starts) - 1, threads)
        n = len(opacities)
        d_means2d = np.zeros(means2d.shape, number)
        d_conics, d_opacities = np.zeros((n, 3), number), np.zeros(n, number)
        d_colors = np.zeros((n, d_image.shape[2]), number)
        absolute = np.zeros((n, 2) if absgrad else (0, 2), number)
        blend.gather(
            0, len(order), order, first_slots, gradients, opacities, conics,
            d_colors, d_opacities, d_means2d[view], d_conics, absolute,
        )  # fmt: skip
        if absgrad:
            kept = getattr(means2d, "absgrad", None)
            kept = torch.zeros_like(means2d) if kept is None else kept
            kept[view] += torch.from_numpy(absolute)
            means2d.absgrad = kept
        d_back = None
        if has_back and ctx.needs_input_grad[4]:
            d_back = (torch.from_numpy(d_image) * torch.from_numpy(through)[..., None]).sum(dim=(0, 1))
        found = (torch.from_numpy(x) for x in (d_means2d, d_conics, d_opacities, d_colors))
        return (*found, d_back, *[None] * 8)
