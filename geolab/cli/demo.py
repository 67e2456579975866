"""The command demo: the four notebooks as jobs on the sample world, then what came of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from geolab import catalog, jobs
from geolab.cli import output
from geolab.cli.work import execute
from geolab.settings import Settings

if TYPE_CHECKING:
    from geolab.jobs import Outcome

COLLECTION = "demo-town"
TOWN_PX = 2048
TRAIN_MINUTES = 2.5


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
    )


def run(settings: Settings, *, quiet: bool) -> Iterator[tuple[Stage, Outcome, float]]:
    """Each stage with its outcome and the seconds it took; ends after the first that fails."""
    model = ""
    for stage in stages():
        started = time.monotonic()
        detects = stage.notebook == "04_detect_change"
        parameters = stage.parameters | (_pair(settings) | {"model": model} if detects else {})
        outcome = execute(stage.notebook, parameters, settings=settings, quiet=quiet)
        model = outcome.results.get("model", model)
        yield stage, outcome, time.monotonic() - started
        if outcome.state != "succeeded":
            return


def _pair(settings: Settings) -> dict[str, str]:
    """The town's two dates as parameters."""
    search = catalog.Search(
        collections=(COLLECTION,), filter="\"geolab:role\" = 'image'", sortby=("+datetime",)
    )
    before, after = (i["id"] for i in catalog.open_catalog(settings).search(search).items)
    return {"before": before, "after": after}


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
    trained, found = outcomes["03_train_change"].results, outcomes["04_detect_change"].results
    print("\nOn a part of the town that neither has seen:")
    rows = [
        (name, *(f"{trained[prefix + m]:.3f}" for m in ("iou", "f1", "precision", "recall")))
        for name, prefix in (("network", ""), ("CVA, best threshold", "cva_"))
    ]
    output.table(["", "IoU", "F1", "precision", "recall"], rows, numbers=["IoU", "F1", "precision", "recall"])
    area, share = found["changed_m2"], found["changed_share"]
    print(f"\n{area:,.0f} m² changed, {share:.1%} of the town, in {found['polygon_count']:,} places.\n")
    rows = [
        ("change mask", found["mask"]),
        ("probability", found["probability"]),
        ("polygons", found["polygons"]),
        ("model", f"{trained['model']} in the registry"),
        ("workspace", settings.home),
        *((name, outcome.folder / "notebook.ipynb") for name, outcome in outcomes.items() if outcome.folder),
    ]
    output.table(["where things are", ""], rows)
    print("\nnext: make lab, then open notebooks/02_explore.ipynb")
