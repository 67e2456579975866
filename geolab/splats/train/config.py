"""How to train: every setting, its unit, and what makes no sense."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from geolab.errors import BadInput

StrategyName = Literal["mcmc", "default"]
StartName = Literal["depth", "points", "random"]


@dataclass(frozen=True)
class TrainConfig:
    """The settings of a training; the defaults suit a laptop without a GPU.

    Rates are two to ten times the paper's: from a dense start a thousand steps do then. Shares are of the
    whole training, so that it can be made longer or shorter by `steps` alone.
    `TrainConfig.paper()` gives gsplat's published values, for a GPU.
    """

    steps: int = 2000
    strategy: StrategyName = "mcmc"
    cap: int = 50_000  # most Gaussians
    image_px: int = 640  # longest side of the photos in training; 0: as they are
    sh_degree: int = 1  # of the colours, 0..3; one more in every sh_share of the training
    seed: int = 0
    minutes: float = 0.0  # a budget that ends training early; 0: none
    backend: str = "auto"  # auto, cuda, cpu or reference
    exposure: bool = True  # learn a 3x4 affine correction of every photo's colours
    random_background: bool = False  # a new colour behind the model in every step

    start: StartName = "depth"  # measured in the photos; or from the scene's points; or at random
    start_points: int = 30_000  # Gaussians of a start that is not from points
    depth_px: int = 320  # longest side of the photos in which depth is measured
    start_opacity: float = 0.0  # 0..1; 0: the strategy's own, mcmc 0.5, default 0.1
    start_scale: float = 1.0  # of the distance to the nearest neighbours

    coarse_levels: int = 0  # halvings of the image that training begins with, for a start of few points
    coarse_share: float = 0.2  # share of the steps spent below the full size
    sh_share: float = 0.2

    refine_from: float = 0.05  # shares between which Gaussians are moved, added and removed
    refine_until: float = 0.8
    refine_every: int = 50  # steps
    growth: float = 1.15  # mcmc: most Gaussians after one refinement, by those before

    lr_means: float = 5e-4  # times the scene's extent
    lr_means_final: float = 0.01  # share of it at the end, reached exponentially
    lr_scales: float = 4e-2
    lr_quats: float = 1e-2
    lr_opacities: float = 5e-2
    lr_sh: float = 1e-2  # of the constant colour; a twentieth for the others
    lr_exposure: float = 3e-4
    lr_final: float = 0.3  # share of the rates of scales, quats, opacities and sh at the end, exponentially

    dssim_share: float = 0.2
    noise: float = 5e5  # mcmc: of the positions, times their learning rate
    exposure_reg: float = 0.1  # times the squared difference of a photo's correction from none
    alpha_reg: float = 0.02  # of the light that passes through the model: what photos show is opaque
    opacity_reg: float = 0.01  # mcmc
    scale_reg: float = 0.01  # mcmc; times the mean scale by the scene's extent
    reset_every: int = 3000  # default: steps between resets of the opacities
    antialiased: bool = False

    validations: int = 4  # evenly spread over the steps, the last at the end; checkpoints likewise
    threads: int = 0  # of the CPU; 0: as many as torch has

    @classmethod
    def paper(cls, **changes: object) -> TrainConfig:
        """Values of gsplat 1.5's simple_trainer with MCMC, for a GPU: a million Gaussians, 30,000 steps."""
        told: dict[str, object] = {
            "steps": 30_000, "cap": 1_000_000, "image_px": 1600, "sh_degree": 3, "start": "points",
            "start_scale": 0.1, "sh_share": 1 / 30, "lr_means": 1.6e-4, "lr_scales": 5e-3, "lr_quats": 1e-3,
            "lr_sh": 2.5e-3, "lr_final": 1.0, "lr_exposure": 1e-3, "exposure_reg": 0.0, "alpha_reg": 0.0,
            "coarse_levels": 0, "refine_from": 500 / 30_000,
            "refine_until": 25_000 / 30_000, "refine_every": 100, "growth": 1.05, "validations": 4,
        }  # fmt: skip
        return cls(**(told | changes))  # pyright: ignore[reportArgumentType]

    def __post_init__(self) -> None:
        expected = {
            "steps": (self.steps >= 1, "at least 1"),
            "strategy": (self.strategy in ("mcmc", "default"), "mcmc or default"),
            "cap": (self.cap >= 16, "at least 16"),
            "image_px": (self.image_px == 0 or self.image_px >= 32, "0, or at least 32"),
            "sh_degree": (self.sh_degree in (0, 1, 2, 3), "0, 1, 2 or 3"),
            "seed": (self.seed >= 0, "0 or more"),
            "minutes": (0 <= self.minutes < math.inf, "0 or more"),
            "start": (self.start in ("depth", "points", "random"), "depth, points or random"),
            "start_points": (self.start_points >= 16, "at least 16"),
            "depth_px": (self.depth_px >= 32, "at least 32"),
            "start_opacity": (0 <= self.start_opacity < 1, "0 to 1"),
            "start_scale": (0 < self.start_scale < math.inf, "more than 0"),
            "coarse_levels": (0 <= self.coarse_levels <= 6, "0 to 6"),
            "coarse_share": (0 <= self.coarse_share <= 1, "0 to 1"),
            "sh_share": (0 < self.sh_share <= 1, "more than 0, at most 1"),
            "refine_from": (0 <= self.refine_from <= 1, "0 to 1"),
            "refine_until": (0 <= self.refine_until <= 1, "0 to 1"),
            "refine_every": (self.refine_every >= 1, "at least 1"),
            "reset_every": (self.reset_every >= 1, "at least 1"),
            "growth": (1 <= self.growth <= 2, "1 to 2"),
            "lr_means_final": (0 < self.lr_means_final <= 1, "more than 0, at most 1"),
            "lr_final": (0 < self.lr_final <= 1, "more than 0, at most 1"),
            "dssim_share": (0 <= self.dssim_share <= 1, "0 to 1"),
            "validations": (self.validations >= 1, "at least 1"),
            "threads": (self.threads >= 0, "0 or more"),
        }
        rates = ("lr_means", "lr_scales", "lr_quats", "lr_opacities", "lr_sh", "lr_exposure")
        expected |= {name: (0 <= getattr(self, name) <= 1, "0 to 1") for name in rates}
        weights = ("noise", "alpha_reg", "exposure_reg", "opacity_reg", "scale_reg")
        expected |= {name: (0 <= getattr(self, name) < math.inf, "0 or more") for name in weights}
        for name, (good, wanted) in expected.items():
            if not good:
                raise BadInput(name, found=repr(getattr(self, name)), expected=wanted)
