"""Memory and throughput of change detection on scenes of several sizes.

    python bench/detect.py                          # 4,096 and 16,384 px, the small model
    python bench/detect.py --size 2048 4096 --method cva
    python bench/detect.py --size 4096 --model large --layout deflate

For every size, each in a process of its own (so that peak memory is its own):

    detect  geolab.change.detect.scene, from files to COGs and polygons
    bare    the same model on the same number of tiles of the same shapes, from memory, nothing else
    loop    the plain way: for each window read both dates, predict, write

It prints seconds, Mpx/s and peak memory, then detect's throughput over bare's and over loop's, and
the peak memory of each size over that of the first. Ratios compare runs of one invocation, one
after the other, each repeated --repeat times of which the fastest counts: a machine that others
use changes speed from minute to minute.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.windows import Window
from scipy.ndimage import zoom

BANDS = 4
BLOCK_PX = 1024
LAYOUTS = {
    "deflate": {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate", "zlevel": 1},
    "plain": {"tiled": True, "blockxsize": 512, "blockysize": 512},
    "strips": {},
}


def main() -> None:
    options = _options()
    if options.part:
        print(json.dumps(PARTS[options.part](options)))
        return
    with tempfile.TemporaryDirectory(prefix="bench-detect-", dir=options.dir) as folder:
        results = {side: _measure(side, Path(folder), options) for side in options.size}
    first = options.size[0]
    for side in options.size[1:]:
        ratio = results[side]["detect"]["peak_mb"] / results[first]["detect"]["peak_mb"]
        print(f"peak memory of detect, {side} px over {first} px: {ratio:.2f}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", type=int, nargs="+", default=[4096, 16384], help="sides of the scenes, px")
    parser.add_argument("--method", default="model", choices=["model", "cva", "irmad", "pca_kmeans"])
    parser.add_argument("--model", default="small", choices=["small", "large"], help="size of the model")
    parser.add_argument(
        "--layout",
        default="plain",
        choices=LAYOUTS,
        help="of the input files: tiles as they are, deflated tiles, strips",
    )
    parser.add_argument("--tile", type=int, default=512, help="tile_px")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument(
        "--share", type=float, default=0.0001, help="of the pixels that the model calls changed"
    )
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--dir", default=None, help="where the scenes are made (0.3 kB a thousand px)")
    parser.add_argument("--skip-loop", action="store_true", help="leave the plain loop out")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    return parser.parse_args()


def _measure(side: int, folder: Path, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    place = folder / str(side)
    place.mkdir()
    _run("make", side, place, options)
    parts = ["detect"]
    if options.method == "model":
        parts += ["bare"] if options.skip_loop else ["bare", "loop"]
    runs = {part: [] for part in parts}
    for _ in range(options.repeat):
        for part in parts:
            runs[part].append(_run(part, side, place, options))
    best = {part: min(found, key=lambda one: one["seconds"]) for part, found in runs.items()}
    for part, found in best.items():
        speed = side**2 / 1e6 / found["seconds"]
        print(
            f"{side:6d} px  {part:6s} {found['seconds']:7.1f} s  {speed:6.2f} Mpx/s"
            f"  cpu {found['cpu_s']:7.1f} s  peak {found['peak_mb']:5.0f} MB"
            + "".join(f"  {name} {value}" for name, value in found.get("facts", {}).items())
        )
    for part in parts[1:]:
        ratio = best[part]["seconds"] / best["detect"]["seconds"]
        print(f"{side:6d} px  throughput of detect over {part}: {ratio:.3f}")
    for path in place.glob("*.tif"):
        path.unlink()
    return best


def _run(part: str, side: int, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, __file__, "--part", part, "--folder", str(folder), "--size", str(side)]
    for name in ("method", "model", "layout", "tile", "workers", "share"):
        command += [f"--{name}", str(getattr(options, name))]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


# ---------------------------------------------------------------- parts, each in its own process


def make(options: argparse.Namespace) -> dict[str, Any]:
    """A pair of textured scenes with changed blocks, before.tif and after.tif, [4, side, side] uint8."""
    side = options.size[0]
    profile = {
        "driver": "GTiff", "width": side, "height": side, "count": BANDS, "dtype": "uint8",
        "crs": "EPSG:32633", "transform": rasterio.Affine(0.5, 0, 500_000, 0, -0.5, 5_200_000),
        "photometric": "MINISBLACK", "BIGTIFF": "IF_SAFER", **LAYOUTS[options.layout],
    }  # fmt: skip
    folder = Path(options.folder)
    with (
        rasterio.open(folder / "before.tif", "w", **profile) as before,
        rasterio.open(folder / "after.tif", "w", **profile) as after,
    ):
        for row in range(0, side, BLOCK_PX):
            blocks = [_ground(row, column) for column in range(0, side, BLOCK_PX)]
            for number, target in enumerate((before, after)):
                rows = np.concatenate([block[number] for block in blocks], axis=2)[:, : side - row, :side]
                target.write(rows, window=Window(0, row, side, rows.shape[1]))
    return {}


def _ground(row: int, column: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([row, column])
    coarse = zoom(rng.normal(0, 1, (BANDS, BLOCK_PX // 32, BLOCK_PX // 32)), (1, 32, 32), order=1)
    before = 120 + 20 * coarse
    after = before * 0.95 + 8 + rng.normal(0, 1, before.shape)
    for _ in range(40):
        top, left = rng.integers(0, BLOCK_PX - 40, 2)
        after[:, top : top + rng.integers(8, 40), left : left + rng.integers(8, 40)] += 60
    return tuple(np.clip(date, 1, 255).astype(np.uint8) for date in (before, after))


def detect_scene(options: argparse.Namespace) -> dict[str, Any]:
    from geolab.change import detect

    folder = Path(options.folder)
    model = _model(options) if options.method == "model" else None
    start = time.perf_counter()
    found = detect.scene(
        folder / "before.tif", folder / "after.tif", folder / "out", method=options.method, model=model,
        tile_px=options.tile, workers=options.workers,
    )  # fmt: skip
    return _figures(start, polygons=found.polygon_count, share=round(found.changed_share, 4))


def bare(options: argparse.Namespace) -> dict[str, Any]:
    """The model alone: as many tiles as the scene has, of the same shapes, from memory."""
    from geolab.change import export

    model = _model(options)
    predict = export.predictor(model, device="cpu")
    tiles = [tile.read_shape for tile in _tiling(model, options)]
    memory = {shape: _tile(shape) for shape in set(tiles)}
    predict(*memory[tiles[0]])
    start = time.perf_counter()
    with ThreadPoolExecutor(options.workers) as pool:
        deque(pool.map(lambda shape: predict(*memory[shape]) is None, tiles), maxlen=0)
    return _figures(start)


def loop(options: argparse.Namespace) -> dict[str, Any]:
    """What one would write at first: the windows one after the other, onnxruntime on all cores."""
    import onnxruntime

    from geolab.change import export

    model = _model(options)
    folder = Path(options.folder)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.workers
    session = onnxruntime.InferenceSession(
        export.onnx_bytes(model), settings, providers=["CPUExecutionProvider"]
    )
    tiling = _tiling(model, options)
    start = time.perf_counter()
    with (
        rasterio.open(folder / "before.tif") as before,
        rasterio.open(folder / "after.tif") as after,
        rasterio.open(
            folder / "loop.tif", "w", driver="GTiff", width=before.width, height=before.height, count=1,
            dtype="uint8", crs=before.crs, transform=before.transform, tiled=True, compress="deflate",
        ) as target,
    ):  # fmt: skip
        for tile in tiling:
            rows, cols = tile.read_rows, tile.read_cols
            window = Window(cols.start, rows.start, cols.size, rows.size)
            feed = {
                name: model.preprocessing.apply(date.read(window=window, boundless=True).astype("float32"))[
                    None
                ]
                for name, date in (("before", before), ("after", after))
            }
            core = tile.core(np.asarray(session.run(None, feed)[0])[0])
            place = Window(tile.cols.start, tile.rows.start, tile.cols.size, tile.rows.size)
            target.write((core * 254).astype("uint8"), 1, window=place)
    return _figures(start)


def _model(options: argparse.Namespace) -> Any:
    from geolab.change import model

    scaling = model.Preprocessing(tuple(f"band_{i}" for i in range(1, 5)), (120.0,) * 4, (25.0,) * 4)
    made = model.untrained(scaling, size=options.model, seed=1)
    return _sensitive(made, options.share)


def _sensitive(made: Any, share: float) -> Any:
    """The network with its last layer scaled and shifted, so that about this share is above 0.5.

    Random weights give salt and pepper, of which a few per cent would be a polygon each; trained
    networks give some hundred patches a megapixel at most.
    """
    import torch

    last = [m for m in made.network.modules() if isinstance(m, torch.nn.Conv2d)][-1]
    with torch.no_grad():
        dates = [made.preprocessing.apply(date[:, :512, :512])[None] for date in _ground(0, 0)]
        logits = made.network(*(torch.from_numpy(date) for date in dates))
        scale = 3 / logits.std()
        last.weight *= scale
        last.bias.copy_(last.bias * scale - torch.quantile(logits * scale, 1 - share))
    return made


def _tiling(model: Any, options: argparse.Namespace) -> Any:
    from geolab.change.windows import Tiling

    side = options.size[0]
    return Tiling(side, side, options.tile, halo_px=model.halo_px, multiple_px=model.multiple_px)


def _tile(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    dates = (rng.normal(0, 1, (1, BANDS, *shape)).astype(np.float32) for _ in range(2))
    return tuple(dates)


def _figures(start: float, **facts: float) -> dict[str, Any]:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": time.perf_counter() - start,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / 1024,
        "facts": facts,
    }


PARTS = {"make": make, "detect": detect_scene, "bare": bare, "loop": loop}

if __name__ == "__main__":
    main()
