"""When Gaussians come, go and move: MCMC or clone-and-split, told of every step, deciding by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from geolab.splats.train import densify, mcmc, schedule
from geolab.splats.train.adam import Learnt
from geolab.splats.train.config import TrainConfig
from geolab.splats.train.schedule import NOISE, REFINE


class Strategy(Protocol):
    """What a training asks of a strategy."""

    def before(self, meta: Mapping[str, Any]) -> None:
        """Between the forward and the backward pass."""
        ...

    def regulariser(self, leaves: Mapping[str, Tensor]) -> Tensor | float:
        """What is added to the loss."""
        ...

    def after(self, learnt: Learnt, meta: Mapping[str, Any], *, step: int, progress: float) -> None:
        """After the step of Adam; progress: before this step."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """What it has to remember, for a checkpoint."""
        ...

    def restore(self, tensors: Mapping[str, Tensor]) -> None: ...


def strategy(config: TrainConfig, *, extent: float, count: int, device: torch.device) -> Strategy:
    """The strategy that the configuration names. extent: of the scene; count: Gaussians it begins with."""
    return Chain(config, extent) if config.strategy == "mcmc" else Growth(config, extent, count, device)


def _due(config: TrainConfig, step: int, progress: float) -> bool:
    return config.refine_from <= progress < config.refine_until and step % config.refine_every == 0


class Chain:
    """Markov chain: the dead move to the living up to the cap, the faint are shaken in every step."""

    def __init__(self, config: TrainConfig, extent: float):
        self.config, self.extent = config, extent

    def before(self, meta: Mapping[str, Any]) -> None:
        pass

    def regulariser(self, leaves: Mapping[str, Tensor]) -> Tensor | float:
        config = self.config
        opacity = config.opacity_reg * leaves["opacities"].sigmoid().mean()
        return opacity + config.scale_reg / self.extent * leaves["scales"].exp().mean()

    def after(self, learnt: Learnt, meta: Mapping[str, Any], *, step: int, progress: float) -> None:
        del meta
        config = self.config
        if _due(config, step, progress):
            generator = schedule.generator(config.seed, step, REFINE)
            mcmc.refine(learnt, cap=config.cap, growth=config.growth, generator=generator)
        # gsplat trains in scenes of extent 1: its noise, a length, is a variance times a number
        rate = config.noise * schedule.means_rate(config, progress, extent=1.0) / self.extent
        mcmc.explore(learnt, rate=rate, generator=schedule.generator(config.seed, step, NOISE))

    def tensors(self) -> dict[str, Tensor]:
        return {}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        pass


class Growth:
    """Clone and split where the image pulls, remove the faint, make all faint now and then."""

    def __init__(self, config: TrainConfig, extent: float, count: int, device: torch.device):
        self.config, self.extent = config, extent
        self.pull = densify.Pull(count, device)

    def before(self, meta: Mapping[str, Any]) -> None:
        meta["means2d"].retain_grad()

    def regulariser(self, leaves: Mapping[str, Tensor]) -> Tensor | float:
        del leaves
        return 0.0

    def after(self, learnt: Learnt, meta: Mapping[str, Any], *, step: int, progress: float) -> None:
        config = self.config
        if progress >= config.refine_until:
            return
        self.pull.add(meta)
        if _due(config, step, progress):
            self.pull = densify.refine(
                learnt, self.pull, extent=self.extent, cap=config.cap,
                generator=schedule.generator(config.seed, step, REFINE),
                prune_large=step > config.reset_every,
            )  # fmt: skip
        if step % config.reset_every == 0:
            densify.reset_opacities(learnt)

    def tensors(self) -> dict[str, Tensor]:
        return {"total": self.pull.total, "seen": self.pull.seen}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        self.pull = densify.Pull(len(tensors["total"]), tensors["total"].device)
        self.pull.total, self.pull.seen = tensors["total"], tensors["seen"]
