"""Gaussians as samples of a Markov chain: the dead move to the living, the living explore.

Kheradmand et al., 3D Gaussian Splatting as Markov Chain Monte Carlo (2024), with the constants of gsplat
1.5's MCMCStrategy, in torch for any device. Every random choice comes from the generator that is handed in.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from geolab.splats.train.adam import Learnt

DEAD = 0.005  # opacity at or below which a Gaussian is moved
MOST_COPIES = 51  # gsplat's table of binomials
STEEPNESS, CENTRE = 100.0, 0.995  # of the noise's fall with opacity
STILL = 0.12  # opacity above which that fall has left less than a 10,000th of the noise


def relocated(opacities: Tensor, scales: Tensor, copies: Tensor) -> tuple[Tensor, Tensor]:
    """Opacity [N] and scales [N, 3] that each of so many copies [N] takes, so that together they look alike.

    Equation 9 of the paper. The sums over binomials of its denominator are one, by the hockey-stick identity.
    """
    most = MOST_COPIES
    n = copies.clamp(1, most)
    shared = 1 - (1 - opacities.double()).pow(1 / n)  # [N]
    table = torch.zeros(most + 1, most, dtype=torch.float64)
    for i in range(1, most + 1):
        for k in range(i):
            table[i, k] = math.comb(i, k + 1) * (-1) ** k / math.sqrt(k + 1)
    powers = shared[:, None] ** torch.arange(1, most + 1, device=shared.device)
    total = (table.to(shared.device)[n] * powers).sum(1)
    factor = opacities.double() / total
    return shared.to(opacities.dtype), (scales.double() * factor[:, None]).to(scales.dtype)


def refine(learnt: Learnt, *, cap: int, growth: float, generator: torch.Generator) -> tuple[int, int]:
    """Move the dead to the living and add Gaussians up to the cap; how many of each."""
    moved = _revive(learnt, generator)
    added = max(0, min(cap, int(growth * len(learnt))) - len(learnt))
    if added:
        chosen = _draw(learnt["opacities"].sigmoid(), added, generator)
        _thin(learnt, chosen)
        learnt.append(learnt.rows(chosen))
    return moved, added


def _revive(learnt: Learnt, generator: torch.Generator) -> int:
    opacities = learnt["opacities"].sigmoid()
    dead = opacities <= DEAD
    count = int(dead.sum())
    if count == 0 or count == len(learnt):
        return 0
    alive = (~dead).nonzero().flatten()
    chosen = alive[_draw(opacities[alive], count, generator)]
    _thin(learnt, chosen)
    learnt.write(dead.nonzero().flatten(), learnt.rows(chosen))
    learnt.forget(chosen)
    return count


def _draw(weights: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Indices with probability by weight, on the weights' device, from a generator of the CPU."""
    total = weights.double().cpu().cumsum(0)
    places = torch.rand(count, dtype=torch.float64, generator=generator) * total[-1]
    return torch.searchsorted(total, places).clamp_max(len(weights) - 1).to(weights.device)


def _thin(learnt: Learnt, chosen: Tensor) -> None:
    """Give the chosen rows the opacity and scales they share with their copies."""
    copies = torch.bincount(chosen, minlength=len(learnt))[chosen] + 1
    opacity, scales = relocated(learnt["opacities"][chosen].sigmoid(), learnt["scales"][chosen].exp(), copies)
    opacity = opacity.clamp(DEAD, 1 - torch.finfo(torch.float32).eps)
    learnt.write(chosen, {"opacities": opacity.logit(), "scales": scales.log()})


def explore(learnt: Learnt, *, rate: float, generator: torch.Generator) -> None:
    """Shake the positions of faint Gaussians along their own shape.

    rate: the positions' learning rate times the noise's weight. Gaussians whose noise has fallen below a
    10,000th are left out.
    """
    opacities = learnt["opacities"].sigmoid()
    faint = (opacities < STILL).nonzero().flatten()
    if len(faint) == 0:
        return
    fall = torch.sigmoid(STEEPNESS * ((1 - opacities[faint]) - CENTRE))
    drawn = torch.randn(len(faint), 3, generator=generator).to(fall.device)
    turn = rotations(learnt["quats"][faint])
    spread = learnt["scales"][faint].exp().square()
    noise = drawn * (fall * rate)[:, None]
    shaken = torch.einsum("nij,nj,nkj,nk->ni", turn, spread, turn, noise)
    learnt["means"][faint] += shaken


def rotations(quats: Tensor) -> Tensor:
    """Matrices [N, 3, 3] of quaternions [N, 4], w first, of any length but zero."""
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    rows = (
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    )  # fmt: skip
    return torch.stack(rows, -1).reshape(-1, 3, 3)
