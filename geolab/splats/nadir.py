"""A tile of a model seen from straight above: colour, coverage, height and its spread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from rasterio.windows import Window
from torch import Tensor

from geolab.splats.flatten import Flat
from geolab.splats.rasterize import rasterize

Floats = NDArray[np.float64]

SKY_PX = 1.0  # from the camera's plane down to the highest mean


@dataclass(frozen=True)
class Pixels:
    """A tile [y, x]: rgb [y, x, 3] premultiplied by alpha; alpha, coverage 0..1; height, sigma in metres.

    height: of the median surface, NaN where the ray keeps half its light. sigma: the standard deviation
    of the places along the ray where its light is lost, NaN where nothing is there. coverage: alpha or,
    with `observed`, alpha of the observed Gaussians alone.
    """

    rgb: Floats
    alpha: Floats
    coverage: Floats
    height: Floats
    sigma: Floats


def look_down(
    flat: Flat,
    window: Window,
    *,
    times: int = 1,
    observed: Tensor | None = None,
    mode: Literal["classic", "antialiased"] = "classic",
    backend: Any = "auto",
) -> Pixels:
    """The pixels of a window of the grid that is `times` coarser than the one of `flat`.

    observed: [N] bool, for the coverage.
    """
    column, row, width, height = (
        int(v) * times for v in (window.col_off, window.row_off, window.width, window.height)
    )
    near = flat.near(column, row, width, height)
    if not len(near):
        return _empty(height // times, width // times)
    middle = float(flat.up.mean())
    top = float(flat.up.max()) + SKY_PX
    u = (flat.up[near] - middle).float()
    means = torch.stack([flat.columns[near] - column, flat.rows[near] - row, top - flat.up[near]], dim=1)
    counted = torch.ones_like(u) if observed is None else observed[near].to(u)
    colours, alphas, meta = rasterize(
        means.float(), flat.quats[near], flat.scales[near], flat.opacities[near],
        torch.cat([flat.colours[near], torch.stack([u, u * u, counted], dim=1)], dim=1),
        torch.eye(4, device=u.device)[None], torch.eye(3, device=u.device)[None], width, height,
        near_plane=0.01, far_plane=1e10, rasterize_mode=mode, camera_model="ortho", backend=backend,
        median_depth=True,
    )  # fmt: skip
    drawn = _mean(colours[0].double().cpu().numpy(), times)
    alpha = _mean(alphas[0].double().cpu().numpy(), times)[..., 0]
    some = np.where(alpha > 0, alpha, np.nan)
    spread = np.maximum(drawn[..., 4] / some - (drawn[..., 3] / some) ** 2, 0)
    median = top - _median(meta["median_depth"][0].double().cpu().numpy(), times)
    scale = 1 / flat.per_metre
    return Pixels(drawn[..., :3], alpha, drawn[..., 5], median * scale, np.sqrt(spread) * scale)


def _blocks(samples: Floats, times: int) -> Floats:
    """[y, x, times * times, ...] of samples [y * times, x * times, ...]."""
    y, x = samples.shape[0] // times, samples.shape[1] // times
    parts = samples.reshape(y, times, x, times, *samples.shape[2:])
    return np.moveaxis(parts, 2, 1).reshape(y, x, times * times, *samples.shape[2:])


def _mean(samples: Floats, times: int) -> Floats:
    return samples if times == 1 else _blocks(samples, times).mean(axis=2)


def _median(samples: Floats, times: int) -> Floats:
    """The median of each block's samples that are not NaN; NaN where there is none."""
    if times == 1:
        return samples
    blocks = np.sort(_blocks(samples, times), axis=2)  # NaN last
    count = np.isfinite(blocks).sum(axis=2)
    low, high = np.maximum(count - 1, 0) // 2, count // 2
    pick = [
        np.take_along_axis(blocks, i[..., None], axis=2)[..., 0]
        for i in (low, np.minimum(high, times**2 - 1))
    ]
    return np.where(count > 0, (pick[0] + pick[1]) / 2, np.nan)


def _empty(height: int, width: int) -> Pixels:
    zeros, gap = np.zeros((height, width)), np.full((height, width), np.nan)
    return Pixels(np.zeros((height, width, 3)), zeros, zeros, gap, gap)
