"""What a training tells: of every step, of the views that were held out, and at the end the model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from geolab.splats.frame import Frame
from geolab.splats.gaussians import Gaussians


@dataclass(frozen=True)
class Validation:
    """Scores on the views that were held out, means over them; see `Scores`."""

    psnr: float
    psnr_corrected: float
    ssim: float
    lpips: float | None
    gaussians: int
    memory_mb: float  # most so far; of the process, on CUDA of torch


@dataclass(frozen=True)
class Model:
    """What was learnt: Gaussians in the frame of the scene, and how they were made.

    metrics: psnr, ssim, ... of the last validation. facts: settings, start, time, history, versions of the
    rasterizer. warnings: one line each, those of the scene among them.
    """

    gaussians: Gaussians
    frame: Frame | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Step:
    """What one step did; `validation` comes now and then, `model` with the last step.

    step: counts from 1. progress: 0..1 of the steps or of the budget, whichever is further. its_per_s: steps
    a second, over the last ones. image_px: longest side in this step.
    """

    step: int
    loss: float
    gaussians: int
    its_per_s: float
    progress: float
    image_px: int
    validation: Validation | None = None
    model: Model | None = field(default=None, repr=False)
