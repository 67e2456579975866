"""What a detection was and made: its run, its two images, its probability, its own threshold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geolab import catalog, jobs
from geolab.errors import BadInput, NotFound
from geolab.maps import origin
from geolab.settings import Settings

if TYPE_CHECKING:
    from geolab.jobs.listing import View

Item = Mapping[str, Any]
NOTEBOOK, CUT = "04_detect_change", "12_threshold"
METHODS = {
    "cva": "The length of the spectral change; Otsu's threshold. Quick; light and season count as change.",
    "irmad": "Change beyond what light and season explain everywhere alike; Otsu's threshold.",
    "pca_kmeans": "The texture around each pixel, in two clusters. Calm in noise, coarse at edges.",
}
SHORT = {"cva": "CVA", "irmad": "IR-MAD", "pca_kmeans": "PCA and k-means"}
MOST_RUNS = 200


@dataclass(frozen=True)
class Detection:
    """A detection that succeeded. before, after, item: None where they are files and not items.

    probability: path or URI; item: of the probability, for its tiles. threshold: the method's own, 0..1.
    """

    run_id: str
    parameters: Mapping[str, Any]
    results: Mapping[str, Any]
    folder: Path
    before: Item | None
    after: Item | None
    item: Item | None

    @property
    def probability(self) -> str:
        return str(self.results["probability"])

    @property
    def threshold(self) -> float:
        return float(self.results["threshold"])

    @property
    def method(self) -> str:
        return str(self.parameters["method"])

    @property
    def how(self) -> str:
        """The method in words: CVA, or the model's name."""
        return method_name(self.parameters)

    @property
    def names(self) -> tuple[str, str]:
        """What to call both dates: a day, else a title, else what was asked for."""
        one, two = (
            label(item, str(self.parameters[name]))
            for name, item in (("before", self.before), ("after", self.after))
        )
        return (one, two) if one != two else (f"before, {one}", f"after, {two}")

    def file(self, result: str) -> str:
        """The address of a result's file in the run's folder; "" where there is none."""
        return file_url(self.run_id, self.folder, self.results.get(result))


def method_name(parameters: Mapping[str, Any]) -> str:
    """The method of a run's parameters, in words."""
    if parameters.get("method") == "model":
        return f"model {parameters.get('model')}"
    return SHORT.get(str(parameters.get("method")), str(parameters.get("method")))


def label(item: Item | None, otherwise: str) -> str:
    """The day of an image, or its title."""
    return (origin.day(item) or origin.title(item)) if item else otherwise.rsplit("/", 1)[-1]


def file_url(run_id: str, folder: Path, path: Any) -> str:
    """The address of a file inside a run's folder; "" for anything else."""
    if not isinstance(path, str) or not Path(path).is_relative_to(folder):
        return ""
    return origin.run_file_url(run_id, Path(path).relative_to(folder).as_posix())


def of(view: View, settings: Settings) -> Detection:
    """The detection of a run. Raises BadInput unless it is one that succeeded."""
    if view.notebook != NOTEBOOK:
        raise BadInput("run", found=f"{view.run_id}, of {view.notebook}", expected=f"a run of {NOTEBOOK}")
    if view.report is None:
        raise BadInput("run", found=f"{view.run_id}, {view.state}", expected="one that succeeded")
    opened = catalog.open_catalog(settings)
    images = {
        one["parameter"]: found(opened, one["item_id"], one["collection"])
        for one in view.report["inputs"]
        if one.get("item_id")
    }
    return Detection(
        run_id=view.run_id,
        parameters=view.parameters,
        results=view.report["results"],
        folder=view.folder,
        before=images.get("before"),
        after=images.get("after"),
        item=product(view, "probability"),
    )


def product(view: View, result: str) -> Item | None:
    """The item of one of a run's results; None for one that lies nowhere on Earth."""
    items = (view.report or {}).get("outputs", ())
    return next((i for i in items if i["properties"].get("geolab:result") == result), None)


def found(opened: catalog.Catalog, item_id: str, collection: str | None) -> Item | None:
    """An item, or None if it was deleted since."""
    try:
        return opened.get(item_id, collection or None)
    except NotFound:
        return None


def others(mine: Detection, settings: Settings) -> list[View]:
    """Other detections of the same pair that succeeded, newest first."""
    pair = [mine.parameters[name] for name in ("before", "after")]
    listed = jobs.runs("succeeded", notebook=NOTEBOOK, limit=MOST_RUNS, settings=settings)
    same = [v for v in listed if [v.parameters.get(n) for n in ("before", "after")] == pair]
    return [view for view in same if view.run_id != mine.run_id]


def cuts(mine: Detection, settings: Settings) -> list[View]:
    """Runs that cut this detection at other thresholds, newest first."""
    listed = jobs.runs(notebook=CUT, limit=MOST_RUNS, settings=settings)
    return [view for view in listed if view.parameters.get("probability") == cut_source(mine)]


def cut_source(mine: Detection) -> str:
    """What a cut is told to read: the probability's item, else its file."""
    return f"{mine.item['collection']}/{mine.item['id']}" if mine.item else mine.probability


def band_count(item: Item) -> int:
    """How many bands an image says it has; 0 where it does not say."""
    return len(item.get("assets", {}).get("data", {}).get("bands") or ())
