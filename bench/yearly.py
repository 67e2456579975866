"""How near composites of the sample archive come to the truth, and how well each method finds its changes.

    python bench/yearly.py [FOLDER] [--cells 12] [--years 2021-2024]

FOLDER holds an archive of `geolab town FOLDER --satellite`; without it one is written. Composites are made
over the archive's own STAC API on loopback. F1 counts pixels against the exact masks: for each cell over all
years, and pooled. Fields where another crop grows are no change in the truth, and no training-free method
can know that. "best" is what a threshold chosen on the truth would reach.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio

from geolab.change import classic, metrics
from geolab.change.metrics import Confusion
from geolab.ingest import acquire
from geolab.raster import cells
from geolab.service.archive.aside import aside
from geolab.town import satellite


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Composites and change of the sample archive against its truth"
    )
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--cells", type=int, default=12)
    parser.add_argument("--years", default="2021-2024")
    given = parser.parse_args()
    first, last = (int(year) for year in given.years.split("-"))
    years = range(first, last + 1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = (
            given.folder or satellite.write(Path(scratch, "archive"), years=years, cells=given.cells).folder
        )
        made = composites(folder, years, Path(scratch))
        report_composites(folder, made)
        report_change(folder, made, years)


def composites(folder: Path, years: range, scratch: Path) -> dict[tuple[str, int], acquire.Acquired]:
    found, began = {}, time.perf_counter()
    with aside(folder) as api:
        for cell in cells.read(folder / "grid.gpkg"):
            for year in years:
                request = acquire.Request(cell=cell, api=api, year=year, max_cloud=80, min_looks=1)
                *_, step = acquire.steps(request, scratch / f"{cell.id}-{year}")
                found[cell.id, year] = step.acquired
    seconds = (time.perf_counter() - began) / len(found)
    print(f"{len(found)} composites, {seconds:.1f} s each")
    return found


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as source:
        return source.read()


def report_composites(folder: Path, made: dict[tuple[str, int], acquire.Acquired]) -> None:
    squares = worst = 0.0
    count = few = 0
    for (cell, year), one in made.items():
        known = read(one.looks)[0] >= 3
        apart = read(one.composite)[:, known] - read(folder / "truth" / f"{cell}-{year}.tif")[:, known]
        squares, worst = squares + float((apart**2).sum()), max(worst, float(np.abs(apart).max(initial=0)))
        count, few = count + apart.size, few + int((~known).sum())
    noise = satellite.Errors().noise
    print(f"seen clear 3 times or more: {count // 5:,} pixels, less: {few:,}")
    print(
        f"error of those: RMSE {np.sqrt(squares / count):.5f}, largest {worst:.5f} (noise of a look {noise})"
    )


def report_change(folder: Path, made: dict[tuple[str, int], acquire.Acquired], years: range) -> None:
    ids = sorted({cell for cell, _ in made})
    print(f"\n{'F1 of a cell':16}" + "".join(f"{name:>12}" for name in classic.METHODS) + f"{'truth px':>12}")
    totals = {name: Confusion() for name in (*classic.METHODS, *(f"{m} best" for m in classic.METHODS))}
    for cell in ids:
        counts = {name: Confusion() for name in totals}
        for year in list(years)[:-1]:
            for name, one in scored(folder, made, cell, year).items():
                counts[name] += one
        totals = {name: totals[name] + one for name, one in counts.items()}
        truth = counts["cva"].tp + counts["cva"].fn
        print(f"{cell:16}" + "".join(f"{counts[m].f1:12.3f}" for m in classic.METHODS) + f"{truth:12,}")
    for name, one in totals.items():
        print(f"{name:16} F1 {one.f1:.3f}  precision {one.precision:.3f}  recall {one.recall:.3f}")


def scored(
    folder: Path, made: dict[tuple[str, int], acquire.Acquired], cell: str, year: int
) -> dict[str, Confusion]:
    before, after = (read(made[cell, y].composite) for y in (year, year + 1))
    truth = read(folder / "truth" / f"{cell}-{year}-{year + 1}-change.tif")[0]
    found = {}
    for method in classic.METHODS:
        fitted = classic.fit(method, [(before, after)])
        curve = metrics.pr_curve(fitted.score(fitted.statistic(before, after)), truth)
        found[method] = curve.confusion(0.5)
        some = curve.changed.sum() > 0
        found[f"{method} best"] = curve.confusion(metrics.best_threshold(curve) if some else 1.0)
    return found


if __name__ == "__main__":
    main()
