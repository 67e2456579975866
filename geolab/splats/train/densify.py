"""Gaussians that clone and split where the image pulls at them: the densification of 3DGS.

Kerbl et al. (2023) with the constants and the order of gsplat 1.5's DefaultStrategy, in torch for any device.
Beside gsplat's there is a cap: when more would be added, those with the largest gradients are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from geolab.splats.train.adam import Learnt
from geolab.splats.train.mcmc import rotations

PRUNE_OPACITY = 0.005
GROW_GRADIENT = 0.0002  # mean length of the gradient by the position in an image of side 2
GROW_SCALE, PRUNE_SCALE = 0.01, 0.1  # of the extent
SPLIT_SHRINK = 1.6
RESET_OPACITY = 2 * PRUNE_OPACITY


class Pull:
    """How strongly the image pulls at each Gaussian: gradients summed and how often it was seen [N]."""

    def __init__(self, count: int, device: torch.device):
        self.total = torch.zeros(count, device=device)
        self.seen = torch.zeros(count, device=device)

    def add(self, meta: Mapping[str, Any]) -> None:
        """Add a view, after its backward pass."""
        grad = meta["means2d"].grad.detach()  # [C, N, 2]
        half = grad.new_tensor([meta["width"] / 2, meta["height"] / 2]) * meta["n_cameras"]
        visible = (meta["radii"] > 0).all(-1)
        self.total += torch.where(visible, (grad * half).norm(dim=-1), 0.0).sum(0)
        self.seen += visible.sum(0)

    @property
    def mean(self) -> Tensor:
        return self.total / self.seen.clamp_min(1)


def refine(
    learnt: Learnt, pull: Pull, *, extent: float, cap: int, generator: torch.Generator, prune_large: bool
) -> Pull:
    """Clone small and split large Gaussians that are pulled at, then remove the faint; a new Pull.

    prune_large: also remove those larger than a tenth of the extent, as after the first reset.
    """
    high = _within_cap(pull.mean, cap - len(learnt))
    small = learnt["scales"].exp().amax(1) <= GROW_SCALE * extent
    cloned = (high & small).nonzero().flatten()
    split = high & ~small
    learnt.append(learnt.rows(cloned))
    split = torch.cat([split, split.new_zeros(len(cloned))])
    if split.any():
        _split(learnt, split, generator)
    faint = learnt["opacities"].sigmoid() < PRUNE_OPACITY
    if prune_large:
        faint |= learnt["scales"].exp().amax(1) > PRUNE_SCALE * extent
    if faint.any() and not faint.all():
        learnt.keep(~faint)
    return Pull(len(learnt), faint.device)


def _within_cap(mean: Tensor, room: int) -> Tensor:
    high = mean > GROW_GRADIENT
    if int(high.sum()) <= room:
        return high
    chosen = torch.zeros_like(high)
    if room > 0:
        chosen[mean.topk(room).indices] = True
    return chosen


def _split(learnt: Learnt, split: Tensor, generator: torch.Generator) -> None:
    """Put two smaller Gaussians, drawn from each, in its place."""
    rows = learnt.rows(split.nonzero().flatten())
    scales = rows["scales"].exp()
    drawn = torch.randn(2, len(scales), 3, generator=generator).to(scales.device)
    offsets = torch.einsum("nij,nj,bnj->bni", rotations(rows["quats"]), scales, drawn)
    parts = {name: torch.cat([row, row]) for name, row in rows.items()}
    parts["means"] = (rows["means"] + offsets).reshape(-1, 3)
    parts["scales"] = (scales / SPLIT_SHRINK).log().repeat(2, 1)
    learnt.keep(~split)
    learnt.append(parts)


def reset_opacities(learnt: Learnt) -> None:
    """Make everything faint, so that what is not needed stays so."""
    most = torch.logit(torch.tensor(RESET_OPACITY)).item()
    learnt["opacities"].clamp_(max=most)
    learnt.forget(slice(None), ("opacities",))
