"""Scores of the training-free methods on Nanjing's labels, beside published ones.

    python bench/classic_nanjing.py [FOLDER]

FOLDER holds t1_*.tif, t2_*.tif and label.tif (0 unlabelled, 1 unchanged, 2 changed); without
it, cd_landsat_nanjing below GEOLAB_TEST_DATA. The threshold is each method's own, never chosen
on the labels; "best F1" is what choosing it on them would give, and AP needs no threshold.
Every method also runs on `after` normalised by pseudo-invariant pixels ("+ PIF").
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
import rasterio

from geolab.change import classic, coregister, metrics, radiometry

REFERENCE = {"cva": (0.739, 0.678), "irmad": (0.798, 0.753)}
"""F1 and kappa with Otsu's threshold, of the authors of the labels."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Classic change detection on the Nanjing pair")
    parser.add_argument("folder", nargs="?", type=Path, default=_default_folder())
    folder = parser.parse_args().folder
    before, after = (_read(folder, name).astype(np.float32) for name in ("t1_*.tif", "t2_*.tif"))
    truth = np.array([255, 0, 1], np.uint8)[_read(folder, "label.tif")[0]]
    normalisation = radiometry.fit(before, after)
    normalised = normalisation.apply(after)
    print(coregister.shift(before, after).describe())
    print(f"{normalisation.pixels} pseudo-invariant pixels; gains {normalisation.gain.round(3)}")
    columns = ("F1", "kappa", "IoU", "precision", "recall", "AP", "best F1", "fit s", "apply s")
    print(f"{'':18}" + "".join(f"{name:>11}" for name in columns))
    for method in classic.METHODS:
        _row(method, method, before, after, truth)
        _row(f"{method} + PIF", method, before, normalised, truth)
        if method in REFERENCE:
            print(f"{'  reference':18}" + "".join(f"{value:11.3f}" for value in REFERENCE[method]))


def _row(label: str, method: str, before: np.ndarray, after: np.ndarray, truth: np.ndarray) -> None:
    start = time.perf_counter()
    fitted = classic.fit(method, [(before, after)])
    fit_s = time.perf_counter() - start
    levels = metrics.quantise(fitted.score(fitted.statistic(before, after)))
    apply_s = time.perf_counter() - start - fit_s
    curve = metrics.pr_curve(levels, truth, ignore=255)
    at = curve.confusion(0.5)
    best = curve.confusion(metrics.best_threshold(curve))
    values = (at.f1, at.kappa, at.iou, at.precision, at.recall, curve.average_precision, best.f1)
    print(f"{label:18}" + "".join(f"{value:11.3f}" for value in (*values, fit_s, apply_s)))


def _read(folder: Path, name: str) -> np.ndarray:
    found = sorted(folder.glob(name))
    if not found:
        raise SystemExit(f"no {name} in {folder}: give the folder of the Nanjing pair")
    with rasterio.open(found[0]) as source:
        return source.read()


def _default_folder() -> Path:
    beside = Path(__file__).parents[2] / "shared" / "data"
    return Path(os.environ.get("GEOLAB_TEST_DATA") or beside) / "cd_landsat_nanjing"


if __name__ == "__main__":
    main()
