"""Projection of Gaussians to one camera's ellipses on the CPU, as a function torch can differentiate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from geolab.splats.rasterize.cpu_blend import array
from geolab.splats.rasterize.kernels import colour, project, tiles
from geolab.splats.rasterize.kernels.pool import evenly, share
from geolab.splats.rasterize.kernels.simd import LANES
from geolab.splats.rasterize.projection import Limits


@dataclass(frozen=True)
class Lens:
    """Image size in pixels, what is drawn, and how. sh_degree: None where colours are not asked for."""

    width: int
    height: int
    limits: Limits
    ortho: bool
    antialiased: bool
    sh_degree: int | None
    threads: int


def projected(
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    opacities: Tensor,
    sh: Tensor,
    view: Tensor,
    K: Tensor,
    eye: Tensor,
    lens: Lens,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """means2d [N, 2], conics [N, 3], depths [N], opacities [N], colours [N, 3] (or none), radii [N, 2] int32.

    view: world to camera [4, 4]; eye: the camera's position [3]; sh [N, K, 3], read if lens.sh_degree is one.
    Rows of what can't be seen are zeros (radii), true (depths), or mean nothing.
    """
    found: Any = _Project.apply(means, quats, scales, opacities, sh, view, K, eye, lens)
    return found


class _Project(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        means: Tensor,
        quats: Tensor,
        scales: Tensor,
        opacities: Tensor,
        sh: Tensor,
        view: Tensor,
        K: Tensor,
        eye: Tensor,
        lens: Lens,
    ) -> Any:
        flat = tuple(array(t).reshape(-1) for t in (means, quats, scales, opacities, view))
        n, number, limits = len(means), flat[0].dtype, lens.limits
        focal = array(K)[[0, 1, 0, 1], [0, 1, 2, 2]]
        means2d, conics, depths = np.zeros((n, 2), number), np.zeros((n, 3), number), np.zeros(n, number)
        opaque, radii = np.zeros(n, number), np.zeros((n, 2), np.int32)

        def work(first: int, last: int) -> None:
            project.forward(
                first, last, *flat, focal, lens.width, lens.height, limits.near, limits.far, limits.clip,
                limits.eps2d, lens.ortho, lens.antialiased, means2d.reshape(-1), depths, conics.reshape(-1),
                opaque, radii.reshape(-1),
            )  # fmt: skip

        share(work, evenly(n, lens.threads, 4096), lens.threads)
        visible = np.empty(n + LANES, np.int32)
        count = tiles.seen(radii, visible)
        degree = lens.sh_degree
        colors = np.zeros((n, 3) if degree is not None else (0, 3), number)
        if degree is not None:
            coefficients, place = array(sh).reshape(-1), array(eye)

            def shade(first: int, last: int) -> None:
                colour.forward(
                    first,
                    last,
                    visible,
                    flat[0],
                    place,
                    coefficients,
                    sh.shape[1],
                    degree,
                    colors.reshape(-1),
                )

            share(shade, evenly(count, lens.threads, 4096), lens.threads)
            ctx.coefficients, ctx.place = coefficients, place
        ctx.lens, ctx.flat, ctx.focal, ctx.visible, ctx.count = lens, flat, focal, visible, count
        ctx.colors, ctx.shape = colors, sh.shape
        found = tuple(torch.from_numpy(a) for a in (means2d, conics, depths, opaque, colors, radii))
        ctx.mark_non_differentiable(found[5])
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        lens, flat, visible, count = ctx.lens, ctx.flat, ctx.visible, ctx.count
        d_means2d, d_conics, d_depths, d_opaque, d_colors = (array(g).reshape(-1) for g in gradients[:5])
        number, n = flat[0].dtype, len(flat[3])
        found = tuple(np.zeros(len(f), number) for f in flat[:4])
        d_sh = np.zeros(ctx.shape if lens.sh_degree is not None else 0, number)
        pieces = -(-count // project.CHUNK)
        pose = np.zeros(pieces * LANES if ctx.needs_input_grad[5] else 0, number)
        d_eye = np.zeros(pieces * LANES if ctx.needs_input_grad[7] else 0, number)

        def work(first: int, last: int) -> None:
            for piece in range(first, last):
                start, stop = piece * project.CHUNK, min(count, (piece + 1) * project.CHUNK)
                project.backward(
                    start, stop, visible, *flat, ctx.focal, lens.width, lens.height, lens.limits.eps2d,
                    lens.ortho, lens.antialiased, d_means2d, d_depths, d_conics, d_opaque, *found, pose,
                )  # fmt: skip
                if lens.sh_degree is not None:
                    colour.backward(
                        start, stop, visible, flat[0], ctx.place, ctx.coefficients, ctx.shape[1],
                        lens.sh_degree, ctx.colors.reshape(-1), d_colors, found[0], d_sh.reshape(-1),
                        project.CHUNK, d_eye,
                    )  # fmt: skip

        share(work, evenly(pieces, lens.threads, 2), lens.threads)
        shaped = [torch.from_numpy(a) for a in found]
        shaped[:3] = [a.view(n, k) for a, k in zip(shaped[:3], (3, 4, 3), strict=True)]
        return (
            *shaped,
            torch.from_numpy(d_sh) if lens.sh_degree is not None else None,
            _view_gradient(pose) if ctx.needs_input_grad[5] else None,
            None,
            torch.from_numpy(d_eye.reshape(-1, LANES).sum(axis=0)[:3]) if ctx.needs_input_grad[7] else None,
            None,
        )


def _view_gradient(pose: Any) -> Tensor:
    """[4, 4] of the pieces' sums."""
    total = torch.from_numpy(pose.reshape(-1, LANES).sum(axis=0))
    gradient = total.new_zeros(4, 4)
    gradient[:3, :3], gradient[:3, 3] = total[:9].view(3, 3), total[9:12]
    return gradient
