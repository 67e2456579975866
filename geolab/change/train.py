"""Training, as a generator of steps: the caller logs, draws or stops.

    for step in train(pairs, config=TrainConfig(epochs=40), checkpoint_folder=folder):
        ...
    model = step.model

Every random choice of step k is a function of (seed, k) alone, so a training that was killed
and resumed from its checkpoint is, on the CPU, bit for bit the one that was not. With a budget
in minutes the learning rate follows the clock too: then a resumed training is as good, not equal.
"""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from geolab import checkpoint
from geolab.change import metrics
from geolab.change.augment import vary
from geolab.change.evaluate import curve
from geolab.change.export import Device, predictor
from geolab.change.learner import Learner
from geolab.change.losses import LOSSES
from geolab.change.model import Model, untrained
from geolab.change.network import MULTIPLE_PX
from geolab.change.pairs import PairSet, Sample, preprocessing
from geolab.change.state import State
from geolab.errors import BadInput

WARMUP = 0.04  # share of the training in which the learning rate rises
FINAL_RATE = 0.01  # of the learning rate, at the end of the cosine
LEAST_STEPS = 16  # in an epoch, however small the training part

Batch = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class TrainConfig:
    """How to train."""

    size: str = "small"  # small (0.5 M parameters) or large (2 M)
    epochs: int = 40  # an epoch sees as many windows as would cover the training part
    minutes: float = 0.0  # a budget that ends training early; 0: none
    tile_px: int = 128  # side of the training windows, pixels
    batch: int = 16  # pairs of windows in a step
    loss: str = "bce_dice"  # bce_dice or focal
    lr: float = 3e-3  # the highest learning rate
    weight_decay: float = 1e-2
    patience: int = 0  # epochs without a better IoU on validation that end the training; 0: never
    changed_share: float = 0.5  # share of windows that are laid around a changed pixel
    seed: int = 0
    device: Device = "auto"
    threads: int = 0  # of the CPU; 0: as many as torch has

    def __post_init__(self) -> None:
        expected = {
            "epochs": (self.epochs >= 1, "at least 1"),
            "minutes": (0 <= self.minutes < math.inf, "0 or more"),
            "tile_px": (self.tile_px >= 32 and self.tile_px % MULTIPLE_PX == 0, "32, 40, 48, ..."),
            "batch": (self.batch >= 2, "at least 2"),
            "loss": (self.loss in LOSSES, " or ".join(LOSSES)),
            "lr": (0 < self.lr < 1, "between 0 and 1"),
            "weight_decay": (0 <= self.weight_decay < 1, "0 to 1"),
            "patience": (self.patience >= 0, "0 or more"),
            "changed_share": (0 <= self.changed_share <= 1, "0 to 1"),
            "seed": (self.seed >= 0, "0 or more"),
            "threads": (self.threads >= 0, "0 or more"),
        }
        for name, (good, wanted) in expected.items():
            if not good:
                raise BadInput(name, found=repr(getattr(self, name)), expected=wanted)


@dataclass(frozen=True)
class Validation:
    """Scores on the validation part, at the threshold that is best there."""

    iou: float
    f1: float
    precision: float
    recall: float
    threshold: float
    best: bool  # better than every one before


@dataclass(frozen=True)
class Step:
    """What one step did; `validation` comes at the end of an epoch, `model` with the last step.

    step, epoch: count from 1. progress: 0..1 of the steps or of the budget, whichever is further.
    model: the weights that were best on validation, with the threshold chosen there.
    """

    step: int
    epoch: int
    loss: float
    lr: float
    pairs_per_s: float
    progress: float
    validation: Validation | None = None
    model: Model | None = field(default=None, repr=False)


def train(
    pairs: PairSet, *, config: TrainConfig, checkpoint_folder: Path | None = None, resume: bool = True
) -> Iterator[Step]:
    """The steps of a training; the last one carries the model.

    checkpoint_folder: where `checkpoint.safetensors` is replaced after every epoch and, with
    `resume`, taken up again. Raises BadInput when it belongs to another training.
    """
    path = None if checkpoint_folder is None else Path(checkpoint_folder, checkpoint.NAME)
    training = _Training(pairs, config)
    if path is not None and resume and path.is_file():
        training.restore(path)
    threads = torch.get_num_threads()
    torch.set_num_threads(training.state.threads)
    try:
        yield from training.steps(path)
    finally:
        torch.set_num_threads(threads)


def rate(progress: float) -> float:
    """The share of the highest learning rate at a point 0..1 of the training: a rise, then half a cosine."""
    if progress < WARMUP:
        return 0.01 + 0.99 * progress / WARMUP
    along = (progress - WARMUP) / (1 - WARMUP)
    return FINAL_RATE + (1 - FINAL_RATE) * (1 + math.cos(math.pi * along)) / 2


class _Training:
    """One training: its pairs, its learner, and where it stands."""

    def __init__(self, pairs: PairSet, config: TrainConfig):
        self.pairs, self.config = pairs, config
        device = _device(config.device)
        self.start = untrained(preprocessing(pairs), size=config.size, seed=config.seed)
        self.learner = Learner(
            self.start.network, loss=LOSSES[config.loss], weight_decay=config.weight_decay, device=device
        )
        self.best = self._average()
        windows = pairs.train.pixels / config.tile_px**2
        self.epoch_steps = max(LEAST_STEPS, math.ceil(windows / config.batch))
        told = asdict(config) | {"device": device.type, "pairs": pairs.manifest}
        identity = sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
        self.state = State(identity, threads=config.threads or torch.get_num_threads())

    def restore(self, path: Path) -> None:
        self.state, tensors = checkpoint.read(path, State, identity=self.state.identity, learns_from="pairs")
        self.learner.restore(tensors, self.state.scaler)
        self.best = {k.removeprefix("best."): v for k, v in tensors.items() if k.startswith("best.")}

    def save(self, path: Path) -> None:
        self.state.scaler = self.learner.scaler_state()
        kept = self.learner.tensors() | {f"best.{k}": v for k, v in self.best.items()}
        checkpoint.write(path, self.state, kept)

    def steps(self, path: Path | None) -> Iterator[Step]:
        """Every step from where the training stands."""
        state = self.state
        began = time.monotonic() - state.elapsed_s
        # one thread prepares the next batch while torch works on this one
        with ThreadPoolExecutor(1, thread_name_prefix="geolab-batches") as pool:
            coming = pool.submit(self.batch, state.step + 1)
            while not state.finished:
                step, coming = self._advance(coming, pool)
                state.elapsed_s = time.monotonic() - began
                if state.step % self.epoch_steps == 0 or self.progress() >= 1:
                    step = dataclasses.replace(step, validation=self.validate())
                    state.elapsed_s = time.monotonic() - began
                    state.finished = self.progress() >= 1 or self._stalled()
                    state.last = asdict(step) | ({"progress": 1.0} if state.finished else {})
                    if path is not None:
                        self.save(path)
                if not state.finished:
                    yield step
        yield self._last_step()

    def _advance(self, coming: Future[Batch], pool: ThreadPoolExecutor) -> tuple[Step, Future[Batch]]:
        begin = time.monotonic()
        batch, coming = coming.result(), pool.submit(self.batch, self.state.step + 2)
        lr = self.config.lr * rate(self.progress())
        self.state.step += 1
        loss = self.learner.step(self.state.step, *batch, lr=lr)
        if not math.isfinite(loss):
            raise BadInput("training", found=f"a loss of {loss}", expected="a finite one", remedy="lower lr")
        speed = self.config.batch / (time.monotonic() - begin)
        epoch = 1 + (self.state.step - 1) // self.epoch_steps
        return Step(self.state.step, epoch, loss, lr, speed, self.progress()), coming

    def progress(self) -> float:
        """0..1 of the steps or of the budget, whichever is further."""
        by_steps = self.state.step / (self.config.epochs * self.epoch_steps)
        by_clock = self.state.elapsed_s / (self.config.minutes * 60) if self.config.minutes else 0.0
        return min(1.0, max(by_steps, by_clock))

    def batch(self, number: int) -> Batch:
        """The windows of step `number`, a function of it and of the seed alone."""
        samples = [self._sample(number, index) for index in range(self.config.batch)]
        stacked = zip(*((s.before, s.after, s.label) for s in samples), strict=True)
        before, after, label = (torch.from_numpy(np.stack(arrays)) for arrays in stacked)
        return before, after, label

    def _sample(self, number: int, index: int) -> Sample:
        rng = np.random.default_rng((self.config.seed, number, index))
        config = self.config
        raw = self.pairs.train.draw(rng, tile_px=config.tile_px, changed_share=config.changed_share)
        scale = self.start.preprocessing.apply
        return vary(Sample(scale(raw.before), scale(raw.after), raw.label), rng)

    def validate(self) -> Validation:
        """Scores of the averaged weights; they are kept if they are the best so far."""
        model = self._model(self._average(), 0.5)
        predict = predictor(model, device=self.config.device, workers=self.state.threads)
        found = curve(model, self.pairs.val, predict=predict)
        threshold = metrics.best_threshold(found)
        scores = found.confusion(threshold)
        best = scores.iou > self.state.best_iou
        if best:
            self.best = self._average()
            self.state.best_iou, self.state.best_step = scores.iou, self.state.step
            self.state.threshold = threshold
        self.state.since_best = 0 if best else self.state.since_best + 1
        result = Validation(scores.iou, scores.f1, scores.precision, scores.recall, threshold, best)
        self.state.history.append({"step": self.state.step} | asdict(result))
        return result

    def _stalled(self) -> bool:
        return 0 < self.config.patience <= self.state.since_best

    def _average(self) -> dict[str, Tensor]:
        return {k: v.detach().cpu().clone() for k, v in self.learner.average.state_dict().items()}

    def _model(self, weights: dict[str, Tensor], threshold: float) -> Model:
        model = untrained(self.start.preprocessing, size=self.config.size)
        model.network.load_state_dict(weights)
        return dataclasses.replace(model, threshold=threshold)

    def _last_step(self) -> Step:
        told: dict[str, Any] = dict(self.state.last)
        scores = dict(told.pop("validation"))
        model = dataclasses.replace(
            self._model(self.best, self.state.threshold),
            metrics={"val_iou": self.state.best_iou},
            facts={
                "training": asdict(self.config),
                "steps": self.state.step,
                "best_step": self.state.best_step,
                "seconds": round(self.state.elapsed_s, 1),
                "history": self.state.history,
                "pairs": self.pairs.manifest,
            },
        )
        return Step(**{**told, "validation": Validation(**scores), "model": model})


def _device(name: Device) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise BadInput("device", found="cuda, but torch sees no GPU here", expected="cpu or auto")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
