"""Another method's run of the same pair beside this one: where they agree, on the map and in hectares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from geolab import jobs
from geolab.apps import parts
from geolab.apps.change import detection, words
from geolab.apps.change.layers import Scene
from geolab.change import threshold as thresholds
from geolab.change.threshold import Joint

if TYPE_CHECKING:
    from geolab.apps.change.detection import Detection
    from geolab.apps.shell import Page
    from geolab.jobs.listing import View

NONE = "No other"


class Compare(widgets.VBox):
    """A choice of the other runs of this pair."""

    def __init__(self, page: Page, scene: Scene, threshold: float):
        self.page, self.scene, self.threshold = page, scene, threshold
        self.runs: dict[str, str] = {}
        self.other: Detection | None = None
        self.joint: Joint | None = None
        self.choice = widgets.Dropdown(options=[NONE], description="Other run", layout={"width": "auto"})
        self.said = parts.stack(parts.skeleton())
        super().__init__([self.choice, self.said])
        self.add_class("geolab-box")
        self.add_class("geolab-stack")
        self.choice.observe(page.guard(self._chosen), "value")
        page.aside(lambda: detection.others(scene.mine, page.settings), self._listed)

    def at(self, threshold: float) -> None:
        """Compare at this threshold of the run that is shown."""
        self.threshold = threshold
        self._show()

    def _listed(self, views: list[View]) -> None:
        self.runs = {_title(number, view): view.run_id for number, view in enumerate(views, 1)}
        if not self.runs:
            self.choice.layout.display = "none"
            text = "There is no other run of this pair. Run it with another method, and compare them here."
            mine = self.scene.mine
            href = self.page.link("change", before=mine.parameters["before"], after=mine.parameters["after"])
            self.said.children = (parts.empty(text, parts.link("Run another method", href)),)
            return
        self.choice.options = [NONE, *self.runs]
        self.said.children = (
            parts.text(
                "The other run's change lies right of the handle on the map, this one's left.", soft=True
            ),
        )

    def _chosen(self, _: Any) -> None:
        self.other, self.joint, self.scene.other = None, None, None
        run_id = self.runs.get(str(self.choice.value))
        self.said.children = (parts.skeleton(2),) if run_id else ()
        if run_id is None:
            self.scene.draw()
            return
        settings = self.page.settings
        self.page.aside(
            lambda: detection.of(jobs.show(run_id, settings=settings), settings),
            lambda found: self._found(run_id, found),
        )

    def _found(self, run_id: str, found: Detection) -> None:
        if self.runs.get(str(self.choice.value)) != run_id:
            return  # another was chosen meanwhile
        self.other = found
        if found.item:
            self.scene.other = (found.item, found.threshold, found.how)
        self.scene.draw()
        mine = self.scene.mine.probability
        self.page.aside(lambda: thresholds.joint(mine, found.probability), self._counted)

    def _counted(self, joint: Joint) -> None:
        self.joint = joint
        self._show()

    def _show(self) -> None:
        if self.joint is None or self.other is None:
            return
        found = self.joint.agreement(self.threshold, self.other.threshold)

        def told(value: float) -> str:
            return words.amount(value, located=self.joint.located) if self.joint else ""

        union = found.both + found.first_only + found.second_only
        facts = {
            f"{self.scene.mine.how} at {words.level(self.threshold)} only": told(found.first_only),
            f"{self.other.how} at {words.level(self.other.threshold)} only": told(found.second_only),
            "Both": told(found.both)
            + (f", {words.share(found.both / union)} of the two together" if union else ""),
        }
        self.said.children = (
            parts.text("Left of the handle on the map: this run. Right: the other one.", soft=True),
            parts.facts(facts),
            parts.link("Open the other run", self.page.link("change", run=self.other.run_id)),
        )


def _title(number: int, view: View) -> str:
    """How a run is called in the list; the number tells two of one method apart."""
    when = view.created[:16].replace("T", " ")
    return f"{number}. {detection.method_name(view.parameters)}, {when}"
