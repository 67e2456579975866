"""A label over the same grid: precision, recall, F1 at the slider's threshold; how true the numbers are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from geolab import catalog
from geolab.apps import parts
from geolab.apps.change import words
from geolab.apps.change.detection import Detection, Item, band_count
from geolab.catalog import locate
from geolab.change import metrics
from geolab.change import threshold as thresholds
from geolab.change.metrics import PrCurve
from geolab.change.threshold import Coding
from geolab.errors import GeolabError
from geolab.maps import origin

if TYPE_CHECKING:
    from geolab.apps.shell import Page

NONE = "Choose a label"
LABELS = "\"geolab:role\" IN ('label', 'image') OR \"geolab:role\" IS NULL"
MOST = 100


class Truth(widgets.VBox):
    """on_threshold(t): the reader wants to go to a threshold."""

    def __init__(self, page: Page, mine: Detection, threshold: float, on_threshold: Callable[[float], None]):
        self.page, self.mine, self.threshold, self.on_threshold = page, mine, threshold, on_threshold
        self.curve: PrCurve | None = None
        self.labels: dict[str, Item] = {}
        self.choice = widgets.Dropdown(options=[NONE], description="Label", layout={"width": "auto"})
        self.coding = widgets.VBox([])
        self.said = parts.stack(parts.skeleton())
        super().__init__([self.choice, self.coding, self.said])
        self.add_class("geolab-box")
        self.add_class("geolab-stack")
        self.choice.observe(page.guard(self._chosen), "value")
        page.aside(self._search, self._listed)

    def at(self, threshold: float) -> None:
        """Show the scores at this threshold."""
        self.threshold = threshold
        if self.curve is not None:
            self._show(self.curve)

    # ------------------------------------------------------------ which label

    def _search(self) -> Sequence[Item]:
        if self.mine.item is None:
            return []
        search = catalog.Search(bbox=self.mine.item["bbox"], filter=LABELS, limit=MOST)
        found = catalog.open_catalog(self.page.settings).search(search).items
        known = [item for item in found if _is_label(item) or band_count(item) == 1]
        return sorted(known, key=_is_label, reverse=True)

    def _listed(self, items: Sequence[Item]) -> None:
        self.labels = {f"{number}. {origin.name(item)}": item for number, item in enumerate(items, 1)}
        if not self.labels:
            self.choice.layout.display = "none"
            text = (
                "There is no label over this place. Ingest one (a raster on the grid of the earlier image, 1 "
                "changed, 0 not, its tag GEOLAB_ROLE=label), and it can be chosen here."
            )
            self.said.children = (parts.empty(text),)
            return
        self.choice.options = [NONE, *self.labels]
        self.said.children = ()
        best = next((name for name, item in self.labels.items() if self._is_of_pair(item)), None)
        if best:
            self.choice.value = best

    def _is_of_pair(self, label: Item) -> bool:
        """Whether a label says that it compares exactly these two dates."""
        dates = [item and item["properties"].get("datetime") for item in (self.mine.before, self.mine.after)]
        told = [label["properties"].get(name) for name in ("start_datetime", "end_datetime")]
        return None not in told and told == dates

    # ------------------------------------------------------------ what it says

    def _chosen(self, _: Any = None) -> None:
        self.curve, self.coding.children = None, ()
        label = self.labels.get(str(self.choice.value))
        if label is None:
            self.said.children = ()
            return
        uri = locate(f"{label['collection']}/{label['id']}", catalog.open_catalog(self.page.settings))
        self.said.children = (parts.skeleton(2),)
        self.page.aside(
            lambda: _tried(lambda: thresholds.values_of(uri)), lambda values: self._coded(uri, values)
        )

    def _coded(self, uri: str, values: dict[int, int] | GeolabError) -> None:
        if isinstance(values, GeolabError):
            self.said.children = (parts.text(str(values)),)
            return
        plain = thresholds.coding_of(values)
        if plain is None:
            self._ask(uri, values)
        else:
            self._score(uri, plain)

    def _ask(self, uri: str, values: dict[int, int]) -> None:
        """Let the reader say what the values of an unusual label mean."""
        options = [(f"{value} ({count:,} px)", value) for value, count in values.items()]
        changed, unchanged = (
            widgets.Dropdown(
                options=options, description=name, value=options[at][1], layout={"width": "auto"}
            )
            for name, at in (("Changed is", -1), ("Unchanged is", min(1, len(options) - 1)))
        )

        def compare() -> None:
            self._score(uri, Coding(int(changed.value or 0), int(unchanged.value or 0)))

        self.said.children = (parts.text("Say what its values mean; all others are taken as unlabelled."),)
        self.coding.children = (parts.row(changed, unchanged, parts.button("Compare", compare)),)

    def _score(self, uri: str, coding: Coding) -> None:
        self.said.children = (parts.skeleton(2),)
        probability = self.mine.probability
        self.page.aside(lambda: _tried(lambda: thresholds.against(probability, uri, coding)), self._compared)

    def _compared(self, curve: PrCurve | GeolabError) -> None:
        if isinstance(curve, GeolabError):
            self.said.children = (parts.text(str(curve)),)
            return
        self.curve = curve
        self._show(curve)

    def _show(self, curve: PrCurve) -> None:
        found = curve.confusion(self.threshold)
        facts = parts.facts(
            {
                f"At {words.level(self.threshold)}": f"F1 {found.f1:.3f}",
                "Precision": f"{found.precision:.3f} of what is marked did change",
                "Recall": f"{found.recall:.3f} of what did change is marked",
                "Labelled": f"{found.pixels:,} pixels, {found.tp + found.fn:,} of them changed",
            }
        )
        if not curve.changed.any():
            self.said.children = (facts, parts.text("No labelled pixel inside the map changed.", soft=True))
            return
        best = metrics.best_threshold(curve)
        top = curve.confusion(best).f1
        go = parts.button(f"Best here: {words.level(best)}, F1 {top:.3f}", lambda: self.on_threshold(best))
        warn = (
            "A threshold chosen on the very label it is scored by flatters itself; use another place to tell."
        )
        self.said.children = (facts, parts.row(go), parts.text(warn, soft=True), self._reliability(curve))

    def _reliability(self, curve: PrCurve) -> widgets.Widget:
        points = [(mean, true) for mean, true, _ in thresholds.reliability(curve)]
        chart = parts.Curves(
            {"share that did change": points, "if calibrated": [(0, 0), (1, 1)]},
            x_title="probability" if self.mine.method == "model" else "score",
            y_title="changed, 0..1",
            height_px=180,
        )
        return parts.fold("How true the numbers are", chart)


def _is_label(item: Item) -> bool:
    """Whether an item says that it is a label; images of one band may be some that do not say it."""
    return origin.role(item) == "label"


def _tried(work: Callable[[], Any]) -> Any:
    """What the work gives, or the error that a reader can understand, to be said beside the label."""
    try:
        return work()
    except GeolabError as error:
        return error
