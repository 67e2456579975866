"""Speed of training and of inference: pairs of windows per second, megapixels per second.

python bench/train.py [PAIRS] [--seconds 20] [--device cuda]

PAIRS: a folder A/ B/ label/; without it, a sample town is made. Prints, for both sizes: parameters,
what the network sees, training pairs/s, the time to prepare a batch beside that to learn from it, and
inference with onnxruntime beside torch.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np

from geolab import town
from geolab.change import export, pairs
from geolab.change.export import Device
from geolab.change.train import TrainConfig, _Training, train

import torch  # isort: skip - after geolab.change, which sets how its threads wait

TILE_PX, BATCH = 640, 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("pairs", nargs="?")
    parser.add_argument("--seconds", type=float, default=20.0, help="of training, for each size")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="to train on")
    arguments = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    print(f"{cores} cores, load {os.getloadavg()[0]:.1f}, torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as scratch:
        found = pairs.open_pairs(arguments.pairs or sample(Path(scratch)))
        for size in ("small", "large"):
            measure(size, found, arguments.seconds, cores, arguments.device)


def sample(folder: Path) -> Path:
    """A sample town of 1024 px as A/ B/ label/."""
    made = town.write(folder / "town", photos=0)
    for name, path in (("A", made.before), ("B", made.after), ("label", made.change)):
        (folder / name).mkdir()
        path.rename(folder / name / "town.tif")
    return folder


def measure(size: str, found: pairs.PairSet, seconds: float, cores: int, device: Device) -> None:
    config = TrainConfig(size=size, epochs=10_000, device=device)
    training = _Training(found, config)
    network = training.start.network
    print(f"{size}: {sum(p.numel() for p in network.parameters()) / 1e6:.2f} M parameters,", end=" ")
    print(f"halo {training.start.halo_px} px, multiples of {training.start.multiple_px} px")
    prepare_s = clock(lambda: training.batch(1))
    batch = training.batch(1)
    learn_s = clock(lambda: training.learner.step(1, *batch, lr=1e-4))
    print(
        f"  a batch of {config.batch}: {1e3 * prepare_s:.0f} ms to prepare, {1e3 * learn_s:.0f} ms to learn"
    )
    began, steps = time.perf_counter(), 0
    for _ in islice(train(found, config=config), 10_000):
        steps += 1
        if time.perf_counter() - began > seconds:
            break
    passed = time.perf_counter() - began
    print(f"  training: {steps * config.batch / passed:.1f} pairs/s, validation included")
    rng = np.random.default_rng(0)
    dates = rng.standard_normal((2, BATCH, len(found.bands), TILE_PX, TILE_PX)).astype(np.float32)
    eager = export.TorchPredictor(training.start, torch.device("cpu"))
    served = export.predictor(training.start, device="cpu", workers=cores)
    megapixels = BATCH * TILE_PX**2 / 1e6
    eager_s, served_s = clock(lambda: eager(*dates)), clock(lambda: served(*dates))
    print(
        f"  onnxruntime {megapixels / served_s:.2f} Mpx/s, torch {megapixels / eager_s:.2f} Mpx/s,", end=" "
    )
    difference = np.abs(eager(*dates) - served(*dates)).max()
    print(f"ratio {eager_s / served_s:.1f}, largest difference {difference:.1e}")


def clock(work: Callable[[], object], repeats: int = 5) -> float:
    """Seconds of the quickest of a few runs."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


if __name__ == "__main__":
    main()
