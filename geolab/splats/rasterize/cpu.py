"""The CPU back end: tiles of pixels on the threads of this process, with analytic gradients.

Images and gradients are the same, bit for bit, from run to run and for any number of threads.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from geolab.errors import BadInput
from geolab.splats.rasterize.compose import Drawn, Given
from geolab.splats.rasterize.cpu_blend import Asked, blended
from geolab.splats.rasterize.cpu_project import Lens, projected
from geolab.splats.rasterize.kernels.tiles import CHANNELS
from geolab.splats.rasterize.projection import Ellipses, Limits

Extras = dict[str, Any]


def rasterize(
    given: Given,
    *,
    limits: Limits,
    sh_degree: int | None,
    backgrounds: Tensor | None,
    render_mode: str,
    rasterize_mode: str,
    camera_model: str,
    **asked: bool,
) -> Drawn:
    """Images, alphas and meta, as `geolab.splats.rasterize.rasterize` tells."""
    means, colors, Ks, width, height = given.means, given.colors, given.Ks, given.width, given.height
    if Ks.requires_grad:
        raise BadInput(
            "Ks",
            found="requires_grad",
            expected="intrinsics that are fixed: the CPU has no gradient for them",
        )
    threads = torch.get_num_threads()
    if render_mode in ("D", "ED"):
        colors, backgrounds, sh_degree = means[:, :0], None, None
    lens = Lens(
        width, height, limits, camera_model == "ortho", rasterize_mode == "antialiased", sh_degree, threads
    )  # fmt: skip
    eyes = torch.linalg.inv(given.viewmats)[:, :3, 3]
    found = [
        projected(means, given.quats, given.scales, given.opacities, colors, view, K, eye, lens)
        for view, K, eye in zip(given.viewmats, Ks, eyes, strict=True)
    ]
    means2d, conics, depths, opaque, seen, radii = (torch.stack(t) for t in zip(*found, strict=True))
    ellipses = Ellipses(means2d, conics, depths, opaque, radii)
    if sh_degree is not None:
        colors = seen
    elif colors.dim() == 2:
        colors = colors.expand(len(Ks), -1, -1)
    images, alphas, extras = _drawn(
        ellipses, colors, width, height, backgrounds, with_depth=render_mode != "RGB",
        threads=threads, **asked,
    )  # fmt: skip
    if render_mode.endswith("ED"):
        depth = images[..., -1:] / alphas.clamp(min=1e-10)
        images = torch.cat([images[..., :-1], depth], dim=-1)
    return images, alphas, {"means2d": means2d, "radii": radii, "depths": depths} | extras


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
) -> Drawn:
    """Images [C, H, W, D] of colors [C, N, D], alphas [C, H, W, 1], and what was asked for besides.

    weights: meta's "weights" [N]; median_depth: "median_depth" [C, H, W]; absgrad: sets `means2d.absgrad`
    [C, N, 2] in the backward pass, as gsplat does.
    """
    return _drawn(
        ellipses, colors, width, height, backgrounds, with_depth=False, median_depth=median_depth,
        weights=weights, absgrad=absgrad, threads=torch.get_num_threads() if threads is None else threads,
    )  # fmt: skip


def _drawn(
    ellipses: Ellipses,
    colors: Tensor,
    width: int,
    height: int,
    backgrounds: Tensor | None,
    *,
    with_depth: bool,
    median_depth: bool,
    weights: bool,
    absgrad: bool,
    threads: int,
) -> Drawn:
    """As rasterize_2d; with_depth: depths [C, N] are one more channel, the last, of no background."""
    images, alphas, medians, sums = [], [], [], []
    for i in range(len(colors)):
        parts = []
        for first, last in _portions(colors.shape[-1], with_depth):
            asked = Asked(
                width, height, threads, with_depth=with_depth and last > colors.shape[-1],
                median_depth=median_depth and not parts, weights=weights and not parts,
                absgrad_of=(ellipses.means2d, i) if absgrad else None,
            )  # fmt: skip
            parts.append(
                blended(
                    ellipses.means2d[i], ellipses.conics[i], ellipses.opacities[i], colors[i, :, first:last],
                    ellipses.depths[i], ellipses.radii[i],
                    None if backgrounds is None else backgrounds[i, first:last], asked,
                )
            )  # fmt: skip
        images.append(torch.cat([p[0] for p in parts], dim=-1) if len(parts) > 1 else parts[0][0])
        alphas.append(parts[0][1])
        medians.append(parts[0][2])
        sums.append(parts[0][3])
    extras: Extras = {}
    if median_depth:
        extras["median_depth"] = torch.stack(medians)
    if weights:
        extras["weights"] = torch.stack(sums).sum(dim=0)
    return torch.stack(images), torch.stack(alphas), extras


def _portions(channels: int, with_depth: bool) -> list[tuple[int, int]]:
    """Ranges of channels to blend together; depth counts as the one after the last."""
    total = channels + with_depth
    return [(first, min(total, first + CHANNELS)) for first in range(0, max(total, 1), CHANNELS)]
