"""What changes on the way: rates, the size of the images, the degree of the colours, the order of views.

Everything is a function of the progress 0..1 or of (seed, step).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from geolab.splats.train.config import TrainConfig

NOISE, REFINE, BACKGROUND = range(3)  # purposes of random numbers


def rates(config: TrainConfig, progress: float, *, extent: float, coefficients: int) -> dict[str, Any]:
    """Learning rates by name; for the colours one to a coefficient: those of higher degree move less."""
    left = config.lr_final**progress
    colours = torch.full((coefficients, 3), config.lr_sh / 20 * left)
    colours[0] = config.lr_sh * left
    return {
        "means": means_rate(config, progress, extent=extent),
        "quats": config.lr_quats * left,
        "scales": config.lr_scales * left,
        "opacities": config.lr_opacities * left,
        "sh": colours.flatten(),
    }


def means_rate(config: TrainConfig, progress: float, *, extent: float) -> float:
    """Of the positions: it falls exponentially."""
    return config.lr_means * extent * config.lr_means_final**progress


def level(config: TrainConfig, progress: float, *, levels: int) -> int:
    """How often the images are halved: the coarse part of the training is shared out evenly."""
    if progress >= config.coarse_share:
        return 0
    return levels - int(progress / config.coarse_share * levels)


def degree(config: TrainConfig, progress: float) -> int:
    """Of the spherical harmonics."""
    return min(config.sh_degree, int(progress / config.sh_share))


def view(seed: int, step: int, *, views: int) -> int:
    """The view of a step from 1: in every round each one once, in an order of its own."""
    turn, place = divmod(step - 1, views)
    return int(np.random.default_rng((seed, 10, turn)).permutation(views)[place])


def generator(seed: int, step: int, purpose: int) -> torch.Generator:
    """Random numbers of one step for one purpose, on the CPU."""
    state = np.random.SeedSequence((seed, 11, step, purpose)).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> 1))
