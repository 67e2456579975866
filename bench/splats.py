"""Speed of drawing Gaussians: against the arithmetic, against the dense reference, on one thread and on two.

python bench/splats.py [--quick] [--backend cuda] [--train SECONDS] [--both STEPS]

A pair is a Gaussian and a pixel that it is blended into (opacity there 1/255 or more, light left); pairs are
counted by a plain loop. Bounds, measured in the same run on one thread: what the arithmetic of a pair costs
at the rate of multiply-adds that this machine reaches; and what it costs in a compiled loop over rows of
pixels in the nearest cache, without tiles, lists, masks or anything else. Prints for each size: pairs,
memory, milliseconds of an image alone, forward (keeping what gradients need), backward and both; processor
time, which other work disturbs less, for a pair and beside the bounds; and what two threads gain.
--train: also the time of a training step, on photos of the sample town (0: not). --both: trains on the CPU
and on CUDA and compares what they reach.
"""

from __future__ import annotations

import argparse
import importlib
import math
import os
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numba import njit

from geolab import town
from geolab.splats.rasterize import choose, rasterize
from geolab.splats.rasterize.compose import camera
from geolab.splats.rasterize.projection import Limits, covariances, ellipses

import torch  # isort: skip - after geolab.splats, which sets how its threads wait

SIZES = ((5_000, 128, 2.0), (20_000, 256, 1.5), (100_000, 512, 1.5))  # Gaussians, side px, sigma px
# exponent 4, power of two 10, clamp and thresholds 4, light and share 2, three colours 6
FORWARD_OPS = 26
# all up to alpha 18, undoing light 4, three colours 12, alpha 6, exponent 4, nine sums 14
BACKWARD_OPS = 58
ROW = 64  # pixels of the loop that stands for the bound


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", type=int, default=len(SIZES), help="how many of the sizes to draw")
    parser.add_argument("--quick", action="store_true", help="the two smaller sizes, fewer repeats")
    parser.add_argument("--backend", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--train", type=float, default=20.0, metavar="SECONDS", help="of training")
    parser.add_argument("--both", type=int, default=0, metavar="STEPS", help="train on CPU and CUDA, compare")
    told = parser.parse_args()
    choice = choose(told.backend)
    cores = len(os.sched_getaffinity(0))
    print(f"{cores} cores, load {os.getloadavg()[0]:.1f}, torch {torch.__version__}")
    print(f"back end {choice.name}: {choice.reason}")
    torch.set_num_threads(1)
    bound = bounds()
    for size in SIZES[: min(told.sizes, 2) if told.quick else told.sizes]:
        measure(size, told.backend, bound, cores, repeats=3 if told.quick else 7)
    against_reference(told.backend)
    torch.set_num_threads(cores)
    if told.train > 0:
        step_time(told.backend, told.train)
    if told.both:
        both(told.both)


# ---------------------------------------------------------------- what is drawn


@dataclass(frozen=True)
class Case:
    """Leaves to learn, and what else `rasterize` is given."""

    leaves: dict[str, torch.Tensor]
    words: dict[str, Any]

    def draw(self, backend: str) -> tuple[torch.Tensor, torch.Tensor, dict[str, Any]]:
        return rasterize(**self.leaves, **self.words, backend=backend)


def case(n: int, side: int, sigma_px: float, device: str = "cpu") -> Case:
    """n Gaussians in a slab of 2 x 2 x 0.4 m that fills a tilted view, colours of degree 1."""
    random = torch.Generator().manual_seed(0)
    f, away, tilt = 1.2 * side, 2.6, 0.5
    places = (torch.rand(n, 3, generator=random) - 0.5) * torch.tensor([2.0, 2.0, 0.4])
    view = torch.eye(4)
    view[1:3, 1:3] = torch.tensor([[math.cos(tilt), -math.sin(tilt)], [math.sin(tilt), math.cos(tilt)]])
    view[2, 3] = away
    leaves = {
        "means": places,
        "scales": torch.exp(0.4 * torch.randn(n, 3, generator=random)) * sigma_px * away / f,
        "quats": torch.randn(n, 4, generator=random),
        "opacities": torch.rand(n, generator=random) * 0.8 + 0.1,
        "colors": torch.randn(n, 4, 3, generator=random) * 0.3,
    }
    K = torch.tensor([[f, 0, side / 2], [0, f, side / 2], [0, 0, 1]])
    words = {"viewmats": view[None].to(device), "Ks": K[None].to(device), "width": side, "height": side}
    ready = {name: t.to(device).requires_grad_() for name, t in leaves.items()}
    return Case(ready, words | {"sh_degree": 1, "backgrounds": torch.zeros(1, 3, device=device)})


@torch.no_grad()
def pairs(drawn: Case) -> tuple[int, int]:
    """How many pairs are blended, and how many would be if light never ended."""
    of = {name: t.detach().cpu() for name, t in drawn.leaves.items()}
    size = drawn.words["width"], drawn.words["height"]
    view, K = drawn.words["viewmats"].cpu(), drawn.words["Ks"].cpu()
    linear = camera("pinhole", view, K, *size)(of["means"], 0.01)
    shapes = ellipses(
        linear, covariances(of["quats"], of["scales"]), of["opacities"], size, Limits(), blend="classic"
    )
    order = torch.argsort(shapes.depths[0], stable=True)
    order = order[shapes.visible[0, order]]
    parts = (shapes.means2d[0], shapes.conics[0], shapes.opacities[0], shapes.radii[0])
    return _count(*(t[order].double().numpy() for t in parts), *size)


@njit(cache=True)
def _count(means2d, conics, opacities, radii, width, height):
    light = np.ones((height, width))
    blended = shown = 0
    for g in range(len(means2d)):
        x, y = means2d[g]
        a, b, c = conics[g]
        for row in range(max(0, int(y - radii[g, 1] - 1)), min(height, int(y + radii[g, 1] + 2))):
            for column in range(max(0, int(x - radii[g, 0] - 1)), min(width, int(x + radii[g, 0] + 2))):
                dx, dy = column + 0.5 - x, row + 0.5 - y
                alpha = min(0.999, opacities[g] * math.exp(-0.5 * (a * dx * dx + c * dy * dy) - b * dx * dy))
                if alpha < 1 / 255:
                    continue
                shown += 1
                after = light[row, column] * (1 - alpha)
                if after <= 1e-4:
                    light[row, column] = 0  # whoever comes next finds no light
                else:
                    blended += 1
                    light[row, column] = after
    return blended, shown


# ---------------------------------------------------------------- bounds


@dataclass(frozen=True)
class Bound:
    """Nanoseconds a pair on one thread: of operations at this machine's rate, and of a bare loop."""

    forward_peak: float
    backward_peak: float
    forward_loop: float


def bounds() -> Bound:
    lines = np.ones(16 * 24, np.float32)
    steps = 100_000
    peak_s = clock(lambda: _multiply_add(lines, np.float32(0.999), np.float32(0.001), steps))
    gflops = 2 * 16 * steps * len(lines) / peak_s / 1e9
    gain = 2 * peak_s / clock(lambda: _twice(lines, steps))
    rng = np.random.default_rng(0)
    records = rng.uniform(0.01, 0.05, (2_000, 8)).astype(np.float32)
    state = np.ones((4, ROW), np.float32)
    loop_s = clock(lambda: _rows(records, state))
    loop_ns = 1e9 * loop_s / (len(records) * ROW)
    peaks = FORWARD_OPS / gflops, BACKWARD_OPS / gflops
    print(
        f"one thread: {gflops:.0f} GFLOP/s in multiply-adds of single precision, two {gain:.2f} times as many"
    )
    print("bounds for a pair:")
    print(f"  operations at that rate: forward {FORWARD_OPS}, {peaks[0]:.2f} ns", end="; ")
    print(f"backward {BACKWARD_OPS}, {peaks[1]:.2f} ns")
    print(f"  a bare loop over rows of {ROW} pixels: forward {loop_ns:.2f} ns")
    return Bound(*peaks, loop_ns)


def _twice(lines, steps):
    """The same on two threads at once, each with lines of its own."""
    told = np.float32(0.999), np.float32(0.001), steps
    both = [threading.Thread(target=_multiply_add, args=(lines.copy(), *told)) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()


@njit(fastmath=True, error_model="numpy", nogil=True)
def _multiply_add(lines, c, d, steps):
    for _ in range(steps):
        for i in range(lines.shape[0]):
            x = lines[i]
            x = x * c + d
            x = x * c + d
            x = x * c + d
            x = x * c + d
            x = x * c + d
            x = x * c + d
            x = x * c + d
            x = x * c + d
            x = x * c + d
            x = x * c + d
            x = x * c + d
            x = x * c + d
            x = x * c + d
            x = x * c + d
            x = x * c + d
            x = x * c + d
            lines[i] = x


@njit(fastmath=True, error_model="numpy")
def _rows(records, state):
    """Blends each record into a row of pixels, as if it covered all of it: red, green, blue, light."""
    one, least, most, end = np.float32(1), np.float32(1 / 255), np.float32(0.999), np.float32(1e-4)
    for k in range(records.shape[0]):
        mx, qa, low = records[k, 0], records[k, 1], -records[k, 2]
        red, green, blue = records[k, 3], records[k, 4], records[k, 5]
        for x in range(state.shape[1]):
            u = np.float32(x) - mx
            power = low - qa * u * u
            whole = np.int32(power) - np.int32(1)
            r = power - np.float32(whole)
            p = np.float32(1.8775767e-3)
            p = p * r + np.float32(8.9893397e-3)
            p = p * r + np.float32(5.5826318e-2)
            p = p * r + np.float32(2.4015361e-1)
            p = p * r + np.float32(6.9315308e-1)
            p = p * r + np.float32(9.9999994e-1)
            alpha = min(most, p / np.float32(np.int32(1) << (-whole & np.int32(15))))
            light = state[3, x]
            after = light * (one - alpha)
            share = alpha * light if (alpha >= least and after > end) else np.float32(0)
            state[0, x] += share * red
            state[1, x] += share * green
            state[2, x] += share * blue
            state[3, x] = light - share


# ---------------------------------------------------------------- what is measured


def against_reference(backend: str) -> None:
    """A small image drawn by the dense twin too, forward and backward."""
    small = case(1_000, 48, 2.0, _device(backend))
    own, dense = clock(lambda: both_ways(small, backend)), clock(lambda: both_ways(small, "reference"), 2)
    print(f"1,000 Gaussians at 48 x 48, forward and backward: {1e3 * own:.1f} ms;", end=" ")
    print(f"dense reference {1e3 * dense:.0f} ms, {dense / own:.0f} times as long")


def measure(size: tuple[int, int, float], backend: str, bound: Bound, cores: int, repeats: int) -> None:
    n, side, sigma_px = size
    drawn = case(n, side, sigma_px, _device(backend))
    memory_mb = peak_mb(lambda: both_ways(drawn, backend))
    blended, shown = pairs(drawn)
    print(f"{n:,} Gaussians at {side} x {side}: {blended / 1e6:.2f} M pairs", end=" ")
    print(f"({shown / 1e6:.2f} M if light never ended), memory at most {memory_mb:.0f} MB more")
    whole_peak = bound.forward_peak + bound.backward_peak
    works = (_plain, _forward, both_ways)
    alone: list[float] = []
    for threads in (1, 2) if backend == "cpu" and cores > 1 else (1,):
        torch.set_num_threads(threads)
        image, forward, whole = (clock(partial(work, drawn, backend), repeats) for work in works)
        print(f"  {threads} thread{'s' * (threads > 1)}: image {1e3 * image:.1f} ms", end=", ")
        print(f"forward {1e3 * forward:.1f}, backward {1e3 * (whole - forward):.1f}", end=", ")
        print(f"both {1e3 * whole:.1f} ms", end="; ")
        if alone:
            print(f"gain {alone[0] / image:.2f} and {alone[1] / whole:.2f}")
            continue
        alone = [image, whole]
        cpu = [
            clock(partial(work, drawn, backend), repeats, time.process_time) for work in (_plain, both_ways)
        ]
        print(f"of the processor {1e3 * cpu[0]:.1f} and {1e3 * cpu[1]:.1f} ms")
        a_pair = [1e9 * seconds / blended for seconds in cpu]
        print(
            f"    a pair: image {a_pair[0]:.2f} ns, {a_pair[0] / bound.forward_loop:.1f} x the bare loop",
            end=", ",
        )
        print(f"{a_pair[0] / bound.forward_peak:.0f} x its operations", end="; ")
        print(f"both {a_pair[1]:.2f} ns, {a_pair[1] / whole_peak:.0f} x its operations")


@torch.no_grad()
def _plain(drawn: Case, backend: str) -> None:
    drawn.draw(backend)
    _settle(backend)


def _forward(drawn: Case, backend: str) -> None:
    """An image that remembers for its gradients."""
    drawn.draw(backend)
    _settle(backend)


def both_ways(drawn: Case, backend: str) -> None:
    image, _, _ = drawn.draw(backend)
    image.square().mean().backward()
    for leaf in drawn.leaves.values():
        leaf.grad = None
    _settle(backend)


def _device(backend: str) -> str:
    return "cuda" if backend == "cuda" else "cpu"


def _settle(backend: str) -> None:
    if backend == "cuda":
        torch.cuda.synchronize()


def clock(
    work: Callable[[], object], repeats: int = 5, now: Callable[[], float] = time.perf_counter
) -> float:
    """Seconds of the quickest of a few runs, after one that compiles."""
    work()
    times = []
    for _ in range(repeats):
        began = now()
        work()
        times.append(now() - began)
    return min(times)


def peak_mb(work: Callable[[], object]) -> float:
    """By how much the work raised the memory of this process at most, looked at every half millisecond."""
    process, done = psutil.Process(), threading.Event()
    first = highest = process.memory_info().rss

    def watch() -> None:
        nonlocal highest
        while not done.wait(0.0005):
            highest = max(highest, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    work()
    done.set()
    watcher.join()
    return (max(highest, process.memory_info().rss) - first) / 2**20


# ---------------------------------------------------------------- training


def _town(folder: Path) -> Any:
    """A sample town of 512 px with 24 photos, as a scene; None and a word if training is not there."""
    try:
        opened, trainer = (importlib.import_module(f"geolab.splats.{part}") for part in ("scene", "train"))
    except ImportError as error:
        print(f"training skipped: {error}")
        return None
    town.write(folder, size_px=512, photos=24)
    return opened.open_scene(folder), trainer


def step_time(backend: str, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        made = _town(Path(scratch) / "town")
        if made is None:
            return
        scene, trainer = made
        config = trainer.TrainConfig(
            steps=10_000, cap=20_000, image_px=256, coarse_levels=0, start="random", backend=backend
        )
        began = time.perf_counter()
        marks, many = [], 0
        for step in trainer.train(scene, config=config):
            marks.append(time.perf_counter())
            many = step.gaussians
            if marks[-1] - marks[0] > seconds:
                break
        a_step = (marks[-1] - marks[0]) / max(len(marks) - 1, 1)
        print(f"training, photos of 256 px, {many:,} Gaussians: {1e3 * a_step:.0f} ms a step", end="; ")
        print(f"{marks[0] - began:.1f} s to begin")


def both(steps: int) -> None:
    """The same scene trained on both back ends: held-out PSNR, and how far apart (aim: 0.3 dB)."""
    with tempfile.TemporaryDirectory() as scratch:
        made = _town(Path(scratch) / "town")
        if made is None:
            return
        scene, trainer = made
        reached = {}
        for backend in ("cpu", "cuda"):
            config = trainer.TrainConfig(
                steps=steps, cap=20_000, image_px=320, start="random", backend=backend
            )
            began = time.perf_counter()
            *_, last = trainer.train(scene, config=config)
            found = trainer.evaluate(last.model.gaussians, scene, image_px=320, backend=backend)
            reached[backend] = found.psnr
            print(f"{backend}: {steps:,} steps in {time.perf_counter() - began:.0f} s", end=", ")
            print(f"{found.psnr:.2f} dB on views held out")
        apart = abs(reached["cpu"] - reached["cuda"])
        print(f"apart: {apart:.2f} dB, {'within' if apart <= 0.3 else 'MORE THAN'} 0.3 dB")


if __name__ == "__main__":
    main()
