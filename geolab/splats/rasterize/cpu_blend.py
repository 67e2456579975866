"""Blending of one camera's ellipses on the CPU, as a function torch can differentiate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geolab.splats.rasterize.kernels import blend, blend_back, tiles
from geolab.splats.rasterize.kernels.pool import evenly, share
from geolab.splats.rasterize.kernels.simd import LANES

Array = NDArray[Any]

MANY = 4096  # Gaussians, from which on lists are made by several threads


def array(tensor: Tensor) -> Array:
    """The tensor's numbers, contiguous; a view where they are so already."""
    return tensor.detach().contiguous().numpy()


@dataclass(frozen=True)
class Asked:
    """What to draw, and besides the image: see `blended`."""

    width: int
    height: int
    threads: int
    with_depth: bool = False
    median_depth: bool = False
    weights: bool = False
    absgrad_of: tuple[Tensor, int] | None = (
        None  # means2d [C, N, 2] that gets `absgrad`, and the camera's number
    )


@dataclass(frozen=True)
class Lists:
    """What each tile draws (see tiles.py). order: Gaussians by depth; records: of them, in that order."""

    order: Array
    records: Array
    starts: Array
    entries: Array
    slots: Array
    first_slots: Array


def listed(
    asked: Asked, means2d: Array, conics: Array, opacities: Array, depths: Array, colors: Array, radii: Array
) -> Lists:
    """The tiles' lists of Gaussians whose radii are not 0."""
    visible = np.empty(len(radii) + LANES, np.int32)
    count = tiles.seen(radii, visible)
    bits = np.uint32 if depths.itemsize == 4 else np.uint64
    order, spare = np.empty(count, np.int32), np.empty(count, np.int32)
    tiles.sort(depths.view(bits), visible, order, spare, np.empty(count, bits), np.empty(count, bits))
    records = np.empty((count, tiles.RECORD), depths.dtype)
    boxes = np.empty((count, 4), np.int32)

    def pack(first: int, last: int) -> None:
        tiles.pack(
            first, last, order, means2d, conics, opacities, depths, colors, asked.with_depth,
            asked.width, asked.height, records, boxes,
        )  # fmt: skip

    share(pack, evenly(count, asked.threads, 4096), asked.threads)
    first_slots = np.empty(count + 1, np.int32)
    tiles.places(boxes, first_slots)
    starts, entries, slots = _filled(asked, boxes, first_slots)
    return Lists(order, records.reshape(-1), starts, entries, slots, first_slots)


def _filled(asked: Asked, boxes: Array, first_slots: Array) -> tuple[Array, Array, Array]:
    """starts, entries and slots of the lists: see tiles.fill."""
    tiles_x, tiles_y = -(-asked.width // LANES), -(-asked.height // tiles.TILE)
    starts = np.zeros(tiles_x * tiles_y + 1, np.int32)
    entries, slots = (np.empty(first_slots[-1], np.int32) for _ in range(2))
    pieces = asked.threads if len(boxes) >= MANY else 1  # each of them looks at every box
    bands = [tiles_y * i // pieces for i in range(pieces + 1)]
    share(lambda first, last: tiles.tally(first, last, boxes, tiles_x, starts), bands, asked.threads)
    np.cumsum(starts, out=starts)

    def fill(first: int, last: int) -> None:
        tiles.fill(first, last, boxes, tiles_x, starts, first_slots, entries, slots)

    share(fill, bands, asked.threads)
    return starts, entries, slots


def _tiles(lists: Lists, threads: int) -> list[int]:
    """Cuts of the tiles into pieces with about as many entries each."""
    cuts = evenly(len(lists.entries) + len(lists.starts), threads, 2048)
    weights = lists.starts + np.arange(len(lists.starts))
    return [0, *np.searchsorted(weights, cuts[1:-1]).tolist(), len(lists.starts) - 1]


def blended(
    means2d: Tensor,
    conics: Tensor,
    opacities: Tensor,
    colors: Tensor,
    depths: Tensor,
    radii: Tensor,
    background: Tensor | None,
    asked: Asked,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Image [H, W, D], alphas [H, W, 1]; median depth [H, W] and weights [N], empty if not asked for.

    means2d [N, 2], conics [N, 3], opacities [N], colors [N, D], depths [N] (asked.with_depth: one more
    channel, of no background), radii [N, 2] int32, background [D] or None for black. D up to tiles.CHANNELS.
    """
    found: Any = _Blend.apply(means2d, conics, opacities, colors, depths, background, radii, asked)
    return found


class _Blend(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        means2d: Tensor,
        conics: Tensor,
        opacities: Tensor,
        colors: Tensor,
        depths: Tensor,
        background: Tensor | None,
        radii: Tensor,
        asked: Asked,
    ) -> Any:
        ellipses = tuple(array(t) for t in (means2d, conics, opacities, depths, colors, radii))
        lists = listed(asked, *ellipses)
        number, shape = ellipses[0].dtype, (asked.height, asked.width)
        channels = colors.shape[1] + asked.with_depth
        back = np.zeros(channels, number)
        if background is not None:
            back[: colors.shape[1]] = array(background)
        keep = any(ctx.needs_input_grad)
        image, alphas = np.empty((*shape, channels), number), np.empty(shape, number)
        kept = shape if keep else (0, 0)
        through, reached = np.empty(kept, number), np.empty(kept, np.int32)
        median = np.empty(shape if asked.median_depth else (0, 0), number)
        shares = np.empty(len(lists.entries) if asked.weights else 0, number)

        def work(first: int, last: int) -> None:
            blend.forward(
                first, last, lists.starts, lists.entries, lists.slots, lists.records, tuple(back),
                asked.width, asked.height, keep, asked.median_depth, asked.weights,
                image, alphas, through, reached, median, shares,
            )  # fmt: skip

        share(work, _tiles(lists, asked.threads), asked.threads)
        weights = np.zeros(len(depths) if asked.weights else 0, number)
        if asked.weights:
            blend.weigh(lists.order, lists.first_slots, shares, weights)
        if keep:
            ctx.asked, ctx.lists, ctx.ellipses, ctx.back = asked, lists, ellipses, back
            ctx.through, ctx.reached = through, reached
        extras = torch.from_numpy(median), torch.from_numpy(weights)
        ctx.mark_non_differentiable(*extras)
        return torch.from_numpy(image), torch.from_numpy(alphas)[..., None], *extras

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        asked, lists, through = ctx.asked, ctx.lists, ctx.through
        _, conics, opacities, _, colors, _ = ctx.ellipses
        d_image, d_alphas = array(gradients[0]), array(gradients[1])[..., 0]
        number, n = conics.dtype, len(conics)
        of_slots = np.empty(len(lists.entries) * blend_back.SUMS, number)
        absolute = asked.absgrad_of is not None

        def work(first: int, last: int) -> None:
            blend_back.backward(
                first, last, lists.starts, lists.entries, lists.slots, lists.records, tuple(ctx.back),
                asked.width, asked.height, absolute, through, ctx.reached, d_image, d_alphas, of_slots,
            )  # fmt: skip

        share(work, _tiles(lists, asked.threads), asked.threads)
        d_means2d, d_conics, d_opacities, d_colors = (
            np.zeros(s, number) for s in ((n, 2), (n, 3), n, colors.shape)
        )
        d_depths = np.zeros(n if asked.with_depth else 0, number)
        d_absolute = np.zeros((n if absolute else 0, 2), number)

        def gather(first: int, last: int) -> None:
            blend_back.gather(
                first, last, lists.order, lists.first_slots, of_slots, opacities, conics,
                d_colors, d_opacities, d_depths, d_means2d, d_conics, d_absolute,
            )  # fmt: skip

        share(gather, evenly(len(lists.order), asked.threads, 4096), asked.threads)
        if asked.absgrad_of is not None:
            means2d, camera = asked.absgrad_of
            _add_absgrad(means2d, camera, torch.from_numpy(d_absolute))
        d_back = None
        if ctx.needs_input_grad[5]:
            passed = d_image[..., : colors.shape[1]] * through[..., None]
            d_back = torch.from_numpy(passed).sum(dim=(0, 1))
        found = tuple(torch.from_numpy(d) for d in (d_means2d, d_conics, d_opacities, d_colors, d_depths))
        return (*found[:4], found[4] if asked.with_depth else None, d_back, None, None)


def _add_absgrad(means2d: Tensor, camera: int, found: Tensor) -> None:
    """As gsplat: `means2d.absgrad` [C, N, 2], sums of absolute gradients (AbsGS, Ye et al., 2024)."""
    kept = getattr(means2d, "absgrad", None)
    kept = torch.zeros_like(means2d) if kept is None else kept
    kept[camera] += found
    means2d.absgrad = kept  # pyright: ignore[reportAttributeAccessIssue]
