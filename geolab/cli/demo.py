"""The command demo: the notebooks as jobs on the sample world, then what came of it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geolab import catalog, jobs
from geolab.cli import output
from geolab.cli.running import execute
from geolab.settings import Settings

if TYPE_CHECKING:
    from geolab.jobs import Outcome

COLLECTION = "demo-town"
TOWN_PX = 2048
TRAIN_MINUTES = 2.5
SPLATS = {"steps": 1000, "image_px": 320, "cap": 40_000, "sh_degree": 0}


@dataclass(frozen=True)
class Stage:
    """One notebook of the path."""

    notebook: str
    what: str
    parameters: dict[str, Any]


def stages() -> tuple[Stage, ...]:
    """The path, in order."""
    return (
        Stage(
            "01_ingest",
            "make the sample town and ingest it",
            {"source": "town", "collection": COLLECTION, "town_px": TOWN_PX},
        ),
        Stage("02_explore", "look at it", {"collection": COLLECTION}),
        Stage(
            "03_train_change",
            f"train a network for {TRAIN_MINUTES:g} minutes",
            {"pairs": COLLECTION, "minutes": TRAIN_MINUTES, "epochs": 1000, "name": "demo"},
        ),
        Stage("04_detect_change", "find what changed", {"method": "model"}),
        Stage(
            "05_train_splats",
            "turn its drone photos into a model in 3-D",
            {"scene": COLLECTION, "name": "demo", **SPLATS},
        ),
        Stage("06_render_splats", "map it from above and film it", {}),
    )


def run(settings: Settings, *, quiet: bool) -> Iterator[tuple[Stage, Outcome, float]]:
    """Each stage with its outcome and the seconds it took; ends after the first that fails."""
    results: dict[str, Any] = {}
    for stage in stages():
        started = time.monotonic()
        parameters = stage.parameters | _from_before(stage.notebook, results, settings)
        outcome = execute(stage.notebook, parameters, settings=settings, quiet=quiet)
        results |= outcome.results
        yield stage, outcome, time.monotonic() - started
        if outcome.state != "succeeded":
            return


def _from_before(notebook: str, results: dict[str, Any], settings: Settings) -> dict[str, str]:
    """The parameters of a notebook that earlier ones have made."""
    if notebook == "04_detect_change":
        return _pair(settings) | {"model": results["model"]}
    return {"splats": results["splats"]} if notebook == "06_render_splats" else {}


def _pair(settings: Settings) -> dict[str, str]:
    """The town's two dates as parameters."""
    before, after = _town(settings, "image")
    return {"before": before, "after": after}


def _town(settings: Settings, role: str) -> tuple[str, str]:
    """The ids of the town's images or surfaces at its two dates."""
    search = catalog.Search(
        collections=(COLLECTION,), filter=f"\"geolab:role\" = '{role}'", sortby=("+datetime",)
    )
    before, after = (i["id"] for i in catalog.open_catalog(settings).search(search).items)
    return before, after


def show(settings: Settings, *, as_json: bool) -> int:
    """Run the path and print it; the exit code."""
    outcomes: dict[str, Outcome] = {}
    for stage, outcome, seconds in run(settings, quiet=as_json):
        outcomes[stage.notebook] = outcome
        if not as_json:
            took = "found, done before" if outcome.reused else output.duration(seconds)
            print(f"{stage.notebook:<18} {outcome.state:<10} {took:<20} {stage.what}", flush=True)
        if outcome.state != "succeeded" and not as_json:
            print(outcome.error)
    if as_json:
        output.print_json({name: jobs.as_json(outcome) for name, outcome in outcomes.items()})
    done = all(o.state == "succeeded" for o in outcomes.values())
    if done and not as_json:
        _summary(settings, outcomes)
    return 0 if done else 1


def _summary(settings: Settings, outcomes: dict[str, Outcome]) -> None:
    results = {name: outcome.results for name, outcome in outcomes.items()}
    found, splats, mapped = (results[n] for n in ("04_detect_change", "05_train_splats", "06_render_splats"))
    _about_change(results["03_train_change"], found)
    _about_splats(settings, splats, mapped)
    rows = [
        ("change mask", found["mask"]),
        ("polygons", found["polygons"]),
        ("network", f"{results['03_train_change']['model']} in the registry"),
        ("model in 3-D", splats["splats"]),
        *((name, mapped[name]) for name in ("orthophoto", "dsm", "video")),
        ("workspace", settings.home),
        *((name, outcome.folder / "notebook.ipynb") for name, outcome in outcomes.items() if outcome.folder),
    ]
    output.table(["where things are", ""], rows)
    print("\nnext: make lab, then open notebooks/02_explore.ipynb")


def _about_change(trained: dict[str, Any], found: dict[str, Any]) -> None:
    print("\nOn a part of the town that neither has seen:")
    rows = [
        (name, *(f"{trained[prefix + m]:.3f}" for m in ("iou", "f1", "precision", "recall")))
        for name, prefix in (("network", ""), ("CVA, best threshold", "cva_"))
    ]
    output.table(["", "IoU", "F1", "precision", "recall"], rows, numbers=["IoU", "F1", "precision", "recall"])
    area, share = found["changed_m2"], found["changed_share"]
    print(f"\n{area:,.0f} m² changed, {share:.1%} of the town, in {found['polygon_count']:,} places.\n")


def _about_splats(settings: Settings, trained: dict[str, Any], mapped: dict[str, Any]) -> None:
    psnr, ssim, gsd_m = trained["psnr"], trained["ssim"], mapped["gsd_m"]
    print(f"In 3-D, by {trained['gaussians']:,} Gaussians:")
    heights, apart_m, apart_px = against_truth(settings, mapped["orthophoto"], mapped["dsm"])
    rows = [
        ("photos it has never seen", f"PSNR {psnr:.1f} dB, SSIM {ssim:.3f}"),
        (
            "heights of the surface",
            f"{heights:.2f} m off on average, {heights / gsd_m:.1f} pixels of {gsd_m:g} m",
        ),
        ("orthophoto", f"{apart_m:.2f} m beside the town's own, {apart_px:.1f} of its pixels"),
    ]
    output.table(["", "against what is known exactly"], rows)
    print()


def against_truth(settings: Settings, orthophoto: str, dsm: str) -> tuple[float, float, float]:
    """What the sample world tells of products.

    Mean absolute error of the heights, m; how far the orthophoto lies off the town's own, m and its pixels.
    """
    from geolab import raster
    from geolab.change import sampling
    from geolab.splats.compare import compare_dsm

    own, exact = (catalog.locate(_town(settings, role)[1], settings) for role in ("image", "dsm"))
    with tempfile.TemporaryDirectory() as folder:
        there = raster.align(own, like=orthophoto, out=Path(folder) / "town.tif")
        apart_px = sampling.shift_of(raster.read_info(there), raster.read_info(orthophoto)).length_px
    apart_m = apart_px * raster.gsd_m(raster.read_info(orthophoto))
    return compare_dsm(dsm, exact).mae, apart_m, apart_m / raster.gsd_m(raster.read_info(own))
