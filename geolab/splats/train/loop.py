"""Training, as a generator of steps: the caller logs, draws or stops.

    for step in train(scene, config=TrainConfig(steps=2000), checkpoint_folder=folder):
        ...
    model = step.model

Every random choice of step k is a function of (seed, k) alone, so a training that was killed and resumed from
its checkpoint is, on the CPU, bit for bit the one that was not. With a budget in minutes the schedules follow
the clock too: then a resumed training is as good, not equal.
"""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from geolab import checkpoint
from geolab.errors import BadInput
from geolab.splats import rasterize
from geolab.splats.gaussians import SH_DEGREES, Gaussians
from geolab.splats.train import begin, exposure, schedule
from geolab.splats.train.adam import Learnt
from geolab.splats.train.config import TrainConfig
from geolab.splats.train.losses import Judge, transparency
from geolab.splats.train.memory import peak_mb
from geolab.splats.train.photos import Picture, open_album
from geolab.splats.train.results import Model, Step, Validation
from geolab.splats.train.schedule import BACKGROUND
from geolab.splats.train.scores import score
from geolab.splats.train.state import State
from geolab.splats.train.strategy import strategy
from geolab.splats.views import Scene

COEFFICIENTS = {degree: count for count, degree in SH_DEGREES.items()}


def train(
    scene: Scene,
    *,
    config: TrainConfig,
    checkpoint_folder: Path | None = None,
    resume: bool = True,
    initial: Gaussians | None = None,
) -> Iterator[Step]:
    """The steps of a training; the last one carries the model.

    checkpoint_folder: where `checkpoint.safetensors` is replaced at every validation and, with `resume`,
    taken up again. initial: Gaussians to begin with, in place of config.start.
    Raises BadInput for a scene that can't be learnt from, a checkpoint of another training, and a loss that
    is no number; FileRejected for photos.
    """
    path = None if checkpoint_folder is None else Path(checkpoint_folder, checkpoint.NAME)
    threads = torch.get_num_threads()
    torch.set_num_threads(config.threads or threads)
    try:
        training = Training(scene, config, initial)
        if path is not None and resume and path.is_file():
            training.restore(path)
        yield from training.steps(path)
    finally:
        torch.set_num_threads(threads)


class Training:
    """One training: its photos, what it has learnt, and where it stands."""

    def __init__(self, scene: Scene, config: TrainConfig, initial: Gaussians | None):
        self.scene, self.config = scene, config
        begin.check(scene)
        self.choice, self.device = begin.device(config.backend)
        self.album = open_album(
            scene.training, scene.testing, image_px=config.image_px, levels=config.coarse_levels
        )
        begun = begin.start(scene, config, initial)
        self.warnings = (*scene.warnings, *begun.warnings)
        self.start_facts = begun.facts
        self.extent = begin.extent(scene)
        first = begun.gaussians.to(self.device)
        self.learnt = Learnt({
            "means": first.means, "quats": first.quats, "scales": first.log_scales,
            "opacities": first.logit_opacities, "sh": first.sh,
        })  # fmt: skip
        self.exposures = Learnt({"matrix": exposure.identities(len(scene.training), self.device)})
        self.strategy = strategy(config, extent=self.extent, count=len(first), device=self.device)
        self.judge = Judge(dssim_share=config.dssim_share)
        told = asdict(config) | {
            "device": self.device.type, "backend": self.choice.name, "photos": self.album.digest(),
            "start": begin.digest(first), "extent": self.extent,
        }  # fmt: skip
        identity = sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
        self.state = State(identity, threads=torch.get_num_threads())

    # ------------------------------------------------------------ checkpoint

    def save(self, path: Path) -> None:
        parts = {"gaussians": self.learnt, "exposures": self.exposures, "strategy": self.strategy}
        kept = {f"{part}/{name}": t for part, kept in parts.items() for name, t in kept.tensors().items()}
        checkpoint.write(path, self.state, kept)

    def restore(self, path: Path) -> None:
        self.state, tensors = checkpoint.read(
            path, State, identity=self.state.identity, learns_from="photos or cameras"
        )
        for part, kept in (
            ("gaussians", self.learnt), ("exposures", self.exposures), ("strategy", self.strategy)
        ):  # fmt: skip
            mine = {k.split("/")[1]: t for k, t in tensors.items() if k.startswith(f"{part}/")}
            kept.restore({name: tensor.to(self.device) for name, tensor in mine.items()})
        torch.set_num_threads(self.state.threads)

    # ------------------------------------------------------------ steps

    def steps(self, path: Path | None) -> Iterator[Step]:
        """Every step from where the training stands."""
        state = self.state
        began, last = time.monotonic() - state.elapsed_s, time.monotonic()
        speed = 0.0
        while not state.finished:
            if state.step == 0:
                began = time.monotonic()  # the first step may compile kernels
            step = self.advance()
            now = time.monotonic()
            took, last = now - last, now
            speed = 1 / took if speed == 0 else 0.9 * speed + 0.1 / took
            state.elapsed_s = now - began
            step = dataclasses.replace(step, its_per_s=speed, progress=self.progress())
            if self._due():
                self.check_finite()
                step = dataclasses.replace(step, validation=self.validate())
                state.finished = self.progress() >= 1
                state.elapsed_s = time.monotonic() - began
                state.last = asdict(step)
                if path is not None:
                    self.save(path)
                last = time.monotonic()
            if not state.finished:
                yield step
        yield self._last_step()

    def progress(self) -> float:
        """0..1 of the steps or of the budget, whichever is further."""
        by_steps = self.state.step / self.config.steps
        by_clock = self.state.elapsed_s / (self.config.minutes * 60) if self.config.minutes else 0.0
        return min(1.0, max(by_steps, by_clock))

    def _due(self) -> bool:
        every = max(1, self.config.steps // self.config.validations)
        return self.progress() >= 1 or (
            self.state.step % every == 0 and self.config.steps - self.state.step >= every // 2
        )

    def advance(self) -> Step:
        """One step: a view, its gradient, a step of Adam, and what the strategy does."""
        config, state, progress = self.config, self.state, self.progress()
        state.step += 1
        number = schedule.view(config.seed, state.step, views=len(self.scene.training))
        picture = self._picture(number, progress)
        self._widen(schedule.degree(config, progress))
        leaves = self.learnt.leaves()
        matrix = self.exposures.leaves()["matrix"]
        image, alpha, meta = self._render(leaves, picture)
        loss = self.judge(
            image, picture.colours(), keep=picture.keep, exposure=matrix[number] if config.exposure else None
        )
        total = loss + self.strategy.regulariser(leaves)
        if config.alpha_reg:
            total = total + config.alpha_reg * transparency(alpha, picture.keep)
        found = float(loss.detach())
        if not math.isfinite(found):
            raise _diverged(f"a loss of {found} in step {state.step}")
        self.strategy.before(meta)
        total.backward()
        self._learn(leaves, matrix, meta, number, progress)
        self.strategy.after(self.learnt, meta, step=state.step, progress=progress)
        side = max(picture.shape)
        return Step(state.step, found, len(self.learnt), 0.0, progress, side)

    def check_finite(self) -> None:
        """Raises BadInput if any Gaussian is no number: the rasterizer leaves those out without a word."""
        bad = sum(int((~value.isfinite()).sum()) for value in self.learnt.values.values())
        if bad:
            raise _diverged(f"{bad} values of Gaussians that are no numbers by step {self.state.step}")

    def _picture(self, number: int, progress: float) -> Picture:
        level = schedule.level(self.config, progress, levels=self.album.levels)
        return self.album.training[level][number].to(self.device)

    def _widen(self, degree: int) -> None:
        """Make room for the coefficients of a degree; they begin at zero."""
        if self.learnt["sh"].shape[1] < COEFFICIENTS[degree]:
            self.learnt.widen("sh", COEFFICIENTS[degree])

    def _render(self, leaves: dict[str, Tensor], picture: Picture) -> tuple[Tensor, Tensor, dict[str, Any]]:
        config, (height, width) = self.config, picture.shape
        backgrounds = None
        if config.random_background:
            generator = schedule.generator(config.seed, self.state.step, BACKGROUND)
            backgrounds = torch.rand(1, 3, generator=generator).to(self.device)
        images, alphas, meta = rasterize.rasterize(
            leaves["means"], leaves["quats"], leaves["scales"].exp(), leaves["opacities"].sigmoid(),
            leaves["sh"], picture.world_to_camera[None], picture.K[None], width, height,
            sh_degree=SH_DEGREES[leaves["sh"].shape[1]], backgrounds=backgrounds,
            rasterize_mode="antialiased" if config.antialiased else "classic", backend=self.choice.name,
        )  # fmt: skip
        return images[0], alphas[0, ..., 0], meta

    def _learn(
        self, leaves: dict[str, Tensor], matrix: Tensor, meta: dict[str, Any], number: int, progress: float
    ) -> None:
        count, step = leaves["sh"].shape[1], self.state.step
        rates = schedule.rates(self.config, progress, extent=self.extent, coefficients=count)
        visible = (meta["radii"][0] > 0).all(-1)
        self.learnt.step({k: v.grad for k, v in leaves.items()}, rates, number=step, visible=visible)
        if matrix.grad is not None and self.config.exposure:
            mine = torch.zeros(len(matrix), dtype=torch.bool, device=self.device)
            mine[number] = True
            matrix.grad[number] += exposure.pull(self.exposures["matrix"][number], self.config.exposure_reg)
            rate = {"matrix": self.config.lr_exposure * (1 - 0.9 * progress)}
            self.exposures.step({"matrix": matrix.grad}, rate, number=step, visible=mine)
            exposure.centre(self.exposures["matrix"])

    # ------------------------------------------------------------ results

    def gaussians(self) -> Gaussians:
        names = ("means", "quats", "scales", "opacities", "sh")
        return Gaussians(*(self.learnt[name].detach().clone() for name in names))

    def validate(self) -> Validation | None:
        """Scores on the views held out, if there are any."""
        state = self.state
        state.peak_mb = max(state.peak_mb, peak_mb(self.device))
        if not self.album.testing:
            return None
        scores = score(
            self.gaussians(), self.album.testing, backend=self.choice.name,
            antialiased=self.config.antialiased,
        )  # fmt: skip
        result = Validation(
            scores.psnr, scores.psnr_corrected, scores.ssim, scores.lpips, len(self.learnt), state.peak_mb
        )
        told = asdict(result)
        del told["memory_mb"]
        state.history.append({"step": state.step} | told)
        return result

    def _last_step(self) -> Step:
        told: dict[str, Any] = dict(self.state.last)
        scores = told.pop("validation")
        validation = None if scores is None else Validation(**scores)
        self._widen(self.config.sh_degree)
        facts = {
            "training": asdict(self.config),
            "steps": self.state.step,
            "seconds": round(self.state.elapsed_s, 1),
            "memory_mb": round(self.state.peak_mb, 1),
            "history": self.state.history,
            "start": self.start_facts,
            "extent": self.extent,
            "backend": self.choice.name,
            "views": len(self.scene.training),
            "held_out": [view.name for view in self.scene.testing],
        }
        model = Model(
            self.gaussians().to("cpu"), self.scene.frame,
            {} if scores is None else {k: v for k, v in scores.items() if v is not None},
            facts, self.warnings,
        )  # fmt: skip
        return Step(**{**told, "validation": validation, "model": model})


def _diverged(found: str) -> BadInput:
    return BadInput(
        "training", found=found, expected="finite numbers",
        remedy="lower the learning rates (lr_means, lr_scales), or check the cameras",
    )  # fmt: skip
