"""Training: it learns, it repeats itself, and it survives being killed."""

from __future__ import annotations

import dataclasses
import itertools
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from geolab.change import evaluate, pairs
from geolab.change.model import Model
from geolab.change.pairs import PairSet
from geolab.change.train import Step, TrainConfig, rate, train
from geolab.errors import BadInput, FileRejected

SHORT = TrainConfig(epochs=2, tile_px=32, batch=4, device="cpu", threads=1)


@pytest.fixture
def small(tmp_path: Path, write_pairs: Callable[..., Path]) -> PairSet:
    return pairs.open_pairs(write_pairs(tmp_path / "pairs", count=10, shape=(96, 64)))


def finished(steps: list[Step]) -> Model:
    made = steps[-1].model
    assert made is not None
    return made


def same_weights(one: Model, two: Model) -> bool:
    a, b = one.network.state_dict(), two.network.state_dict()
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.slow
def test_a_trained_model_beats_cva_where_tint_and_noise_differ_too(small: PairSet) -> None:
    config = TrainConfig(epochs=4, tile_px=64, batch=8, device="cpu")
    steps = list(train(small, config=config))
    judged = evaluate.evaluate(finished(steps), small.test)
    baseline = evaluate.evaluate_classic(small.test, train=small.train)
    assert judged.confusion.pixels == small.test.labelled == baseline.best.confusion.pixels
    assert steps[-1].loss < steps[0].loss / 2
    assert judged.confusion.iou > 0.8


def test_steps_come_in_order_and_the_last_one_carries_the_model(small: PairSet) -> None:
    steps = list(train(small, config=SHORT))
    assert [s.step for s in steps] == list(range(1, len(steps) + 1))
    assert [s.epoch for s in steps if s.validation] == [1, 2]
    assert [s.progress for s in steps] == sorted(s.progress for s in steps)
    assert steps[-1].progress == 1
    assert all(s.model is None for s in steps[:-1])
    made = finished(steps)
    best = max((s.validation for s in steps if s.validation), key=lambda v: v.iou)
    assert made.threshold == best.threshold
    assert made.metrics["val_iou"] == best.iou
    assert made.facts["pairs"] == small.manifest
    assert [h["step"] for h in made.facts["history"]] == [len(steps) // 2, len(steps)]


def test_the_scores_on_validation_are_those_of_the_model_that_is_kept(small: PairSet) -> None:
    made = finished(list(train(small, config=SHORT)))
    assert evaluate.evaluate(made, small.val, device="cpu").confusion.iou == made.metrics["val_iou"]


def test_one_seed_gives_one_model_bit_for_bit_and_another_seed_another(small: PairSet) -> None:
    config = dataclasses.replace(SHORT, epochs=1)
    one, two = (finished(list(train(small, config=config))) for _ in range(2))
    other = finished(list(train(small, config=dataclasses.replace(config, seed=1))))
    assert same_weights(one, two)
    assert not same_weights(one, other)


def test_a_training_that_was_stopped_goes_on_as_if_it_had_not_been(small: PairSet, tmp_path: Path) -> None:
    whole = list(train(small, config=SHORT))
    stopped = list(itertools.islice(train(small, config=SHORT, checkpoint_folder=tmp_path / "c"), 20))
    rest = list(train(small, config=SHORT, checkpoint_folder=tmp_path / "c"))
    assert rest[0].step < stopped[-1].step + 1, "it goes on from the checkpoint, not from where it broke off"
    losses = {s.step: s.loss for s in whole}
    assert all(s.loss == losses[s.step] for s in stopped + rest)
    assert same_weights(finished(whole), finished(rest))
    assert finished(whole).facts["history"] == finished(rest).facts["history"]


TRAINING = """
import sys
from pathlib import Path
from geolab.change import model, pairs
from geolab.change.train import TrainConfig, train

config = TrainConfig(epochs=4, tile_px=32, batch=4, device="cpu", threads=1)
for step in train(pairs.open_pairs(sys.argv[1]), config=config, checkpoint_folder=Path(sys.argv[2])):
    print(step.step, flush=True)
model.save(step.model, sys.argv[3])
"""


@pytest.mark.slow
def test_a_training_killed_twice_gives_the_same_weights_bit_for_bit(small: PairSet, tmp_path: Path) -> None:
    del small
    folder = tmp_path / "pairs"

    def run(name: str, kill_after: int | None = None) -> None:
        arguments = [str(folder), str(tmp_path / f"check-{name}"), str(tmp_path / f"model-{name}")]
        with subprocess.Popen(
            [sys.executable, "-c", TRAINING, *arguments], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if kill_after is not None and int(line) >= kill_after:
                    process.send_signal(signal.SIGKILL)
                    break
        assert process.returncode == (0 if kill_after is None else -signal.SIGKILL)

    run("whole")
    for kill_after in (19, 45):
        run("killed", kill_after)
        assert not list((tmp_path / "check-killed").glob("*.json")), "one file holds the whole state"
    run("killed")
    whole, killed = (tmp_path / f"model-{name}" / "model.safetensors" for name in ("whole", "killed"))
    assert whole.read_bytes() == killed.read_bytes()


def test_a_finished_training_gives_its_model_again_at_once(small: PairSet, tmp_path: Path) -> None:
    config = dataclasses.replace(SHORT, epochs=1)
    first = list(train(small, config=config, checkpoint_folder=tmp_path / "c"))
    again = list(train(small, config=config, checkpoint_folder=tmp_path / "c"))
    assert len(again) == 1
    assert dataclasses.replace(again[0], model=None) == dataclasses.replace(first[-1], model=None)
    assert same_weights(finished(first), finished(again))
    anew = list(train(small, config=config, checkpoint_folder=tmp_path / "c", resume=False))
    assert len(anew) == len(first)


def test_a_checkpoint_of_another_training_is_refused(small: PairSet, tmp_path: Path) -> None:
    config = dataclasses.replace(SHORT, epochs=1)
    list(train(small, config=config, checkpoint_folder=tmp_path))
    with pytest.raises(BadInput, match="another training"):
        next(train(small, config=dataclasses.replace(config, seed=2), checkpoint_folder=tmp_path))
    (tmp_path / "checkpoint.safetensors").write_bytes(b"\x80\x04 not tensors")
    with pytest.raises(FileRejected, match="no checkpoint of a training"):
        next(train(small, config=config, checkpoint_folder=tmp_path))


def test_a_budget_ends_the_training_early_with_a_model(small: PairSet) -> None:
    began = time.monotonic()
    steps = list(train(small, config=dataclasses.replace(SHORT, epochs=10_000, minutes=0.02)))
    assert time.monotonic() - began < 30
    assert steps[-1].progress == 1
    assert steps[-1].lr < SHORT.lr / 2, "the learning rate has followed the clock"
    assert finished(steps).threshold > 0


def test_training_stops_when_validation_no_longer_improves(small: PairSet) -> None:
    config = dataclasses.replace(SHORT, epochs=50, patience=1, lr=1e-9)
    steps = list(train(small, config=config))
    bests = [s.validation.best for s in steps if s.validation]
    assert bests[-1] is False
    assert all(bests[:-1])
    assert len(bests) < 50


def test_a_caller_that_stops_listening_leaves_torch_as_it_was(small: PairSet) -> None:
    threads = torch.get_num_threads()
    steps = train(small, config=dataclasses.replace(SHORT, threads=threads + 1))
    next(steps)
    assert torch.get_num_threads() == threads + 1
    steps.close()
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("minutes", -1),
        ("tile_px", 100),
        ("loss", "hinge"),
        ("lr", 2),
        ("batch", 1),
        ("seed", -1),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(BadInput, match=f"^{name}: found"):
        dataclasses.replace(SHORT, **{name: value})


def test_an_unknown_size_is_refused(small: PairSet) -> None:
    with pytest.raises(BadInput, match="small or large"):
        next(train(small, config=dataclasses.replace(SHORT, size="vast")))


def test_the_learning_rate_rises_and_then_falls_along_a_cosine() -> None:
    along = np.linspace(0, 1, 201)
    rates = np.array([rate(p) for p in along])
    top = int(rates.argmax())
    assert along[top] == pytest.approx(0.04, abs=0.01)
    assert (np.diff(rates[:top]) > 0).all()
    assert (np.diff(rates[top:]) < 0).all()
    assert rates.max() == pytest.approx(1)
    assert rates[-1] == pytest.approx(0.01)


def test_sparse_labels_are_enough(tmp_path: Path, write_pairs: Callable[..., Path]) -> None:
    """Only a few pixels are labelled; all others, images' nodata among them, count for nothing."""
    import rasterio

    folder = write_pairs(tmp_path, count=10, shape=(96, 64))
    rng = np.random.default_rng(0)
    for path in sorted((folder / "label").iterdir()):
        with rasterio.open(path) as dataset:
            label = dataset.read()
        label[rng.random(label.shape) > 0.05] = 255
        with rasterio.open(path, "w", driver="PNG", count=1, height=96, width=64, dtype="uint8") as dataset:
            dataset.write(label)
    found = pairs.open_pairs(folder)
    steps = list(train(found, config=dataclasses.replace(SHORT, tile_px=64, loss="focal")))
    judged = evaluate.evaluate(finished(steps), found.test)
    assert judged.confusion.pixels == found.test.labelled < found.test.pixels / 10


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_training_on_cuda_learns_in_half_precision(small: PairSet) -> None:
    config = TrainConfig(epochs=4, tile_px=64, batch=8, device="cuda")
    made = finished(list(train(small, config=config)))
    assert evaluate.evaluate(made, small.test, device="cpu").confusion.iou > 0.7
