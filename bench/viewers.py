"""Many pages that turn one model of splats, drawn by the machine's one model server.

    python bench/viewers.py [--viewers 20] [--gaussians 100000]

The bound is what one process draws of the same views one after the other, without anybody waiting: pictures
a second through the server over that is the ratio. A viewer asks for its next picture when it has its last.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from geolab import modelserver
from geolab.errors import Superseded
from geolab.splats import io
from geolab.viewer import fallback, poses

SECONDS = 15.0
SIZE = (320, 180)  # of a picture while the view moves


def terrain(count: int):
    place = Path(__file__).parents[1] / "tests" / "viewer" / "terrain.py"
    spec = importlib.util.spec_from_file_location("hills", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.terrain(count, sh_degree=1)


def view(step: int, viewer: int):
    orbit = {"target": [0.0, 0.0, 3.0], "distance": 120.0, "azimuth": 0.1 * step + viewer, "elevation": 0.7}
    return poses.orbit_camera(orbit, *SIZE)


def alone(model) -> float:
    """Pictures a second, drawn here one after the other."""
    fallback.draw_camera(model, view(0, 0), quality=70)
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < SECONDS / 3:
        fallback.draw_camera(model, view(count, 0), quality=70)
        count += 1
    return count / (time.perf_counter() - began)


def together(uri: str, at: Path, viewers: int) -> tuple[float, np.ndarray, int]:
    """Pictures a second of all viewers, milliseconds that each waited, the longest line."""
    end, waits, places = time.perf_counter() + SECONDS, [], [0]

    def turn(number: int) -> None:
        step = 0
        while time.perf_counter() < end:
            began = time.perf_counter()
            try:
                modelserver.render(uri, view(step, number), client=f"viewer {number}", quality=70,
                                   background=fallback.color(""), places=places.append, at=at)  # fmt: skip
            except Superseded:
                continue
            waits.append((time.perf_counter() - began) * 1e3)
            step += 1

    threads = [threading.Thread(target=turn, args=(number,)) for number in range(viewers)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(waits) / (time.perf_counter() - began), np.array(waits), max(places)


def main(viewers: int, gaussians: int) -> None:
    model = terrain(gaussians)
    with tempfile.TemporaryDirectory() as folder:
        file = io.write(Path(folder) / "model.ply", model)
        bound = alone(model)
        print(f"{gaussians:,} Gaussians at {SIZE[0]} x {SIZE[1]}: {bound:.1f} pictures/s drawn alone")
        with modelserver.stay(Path(folder) / "s", grace_s=0.5) as kept:
            modelserver.render(str(file), view(0, 0), at=kept.address)
            for count in dict.fromkeys((1, viewers)):
                before = modelserver.status(kept.address)
                rate, waits, line = together(str(file), kept.address, count)
                p50, p95 = np.percentile(waits, [50, 95])
                told = modelserver.status(kept.address)
                done, batches = (told[name] - before[name] for name in ("done", "batches"))
                print(
                    f"{count} viewers: {rate:.1f} pictures/s, {rate / bound:.2f} of the bound; each waits "
                    f"{p50:.0f} ms (p95 {p95:.0f} ms), {line} before it at most; "
                    f"{done / batches:.1f} a batch, process {told['peak_mb']} MB"
                )


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--viewers", type=int, default=20)
    options.add_argument("--gaussians", type=int, default=100_000)
    given = options.parse_args()
    main(given.viewers, given.gaussians)
