"""The threshold, live: a slider, what changes at it, how much of that is in doubt."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from geolab import display, maps
from geolab.apps import parts
from geolab.apps.change import words
from geolab.apps.change.layers import Scene
from geolab.change import threshold as thresholds
from geolab.change.threshold import Distribution

if TYPE_CHECKING:
    from geolab.apps.shell import Page

STEP = 0.005
TALLEST = 5  # times what changed at the run's threshold: beyond, the curve would be all that is seen
LAYERS = {"change": "Change", "probability": "Probability", "polygons": "Polygons"}


class Live(widgets.VBox):
    """The controls beside the map. on_threshold: called with each new threshold.

    counted: the distribution, None until it is counted.
    """

    def __init__(self, page: Page, scene: Scene, start: float):
        self.page, self.scene, self.counted = page, scene, None
        self.on_threshold: list[Callable[[float], None]] = []
        self.slider = _slider("At", start, 1.0, ".3f")
        self.margin = _slider("Doubt ±", 0.0, 0.3, ".3f")
        self.said = parts.stack(parts.skeleton(2))
        self.curve = parts.Curves(x_title="threshold", height_px=150, empty="Counting ...")
        own = parts.button(
            f"The run's own, {words.level(scene.mine.threshold)}",
            self.reset,
            hint="Back to the run's threshold",
        )
        shown = [self._switch(name, title) for name, title in LAYERS.items()]
        super().__init__([self.slider, self.said, self.margin, parts.row(own), self.curve, parts.row(*shown)])
        self.add_class("geolab-box")
        self.add_class("geolab-stack")
        for each in (self.slider, self.margin):
            each.observe(page.guard(self._moved), "value")
        self._look()
        page.aside(self._count, self._counted)
        if scene.mine.before and scene.mine.after:
            page.aside(self._stretch, self._stretched)

    @property
    def threshold(self) -> float:
        return float(self.slider.value)

    def reset(self) -> None:
        """Go back to the run's threshold."""
        self.slider.value = self.scene.mine.threshold

    def set(self, threshold: float) -> None:
        """Go to a threshold."""
        self.slider.value = threshold

    def _switch(self, name: str, title: str) -> widgets.Checkbox:
        box = widgets.Checkbox(
            value=self.scene.shown[name], description=title, indent=False, layout={"width": "auto"}
        )

        def changed(change: Any) -> None:
            self.scene.shown[name] = bool(change["new"])
            self.scene.draw()

        box.observe(self.page.guard(changed), "value")
        return box

    # ------------------------------------------------------------ counting, once

    def _count(self) -> Distribution:
        return thresholds.distribution(self.scene.mine.probability)

    def _counted(self, counted: Distribution) -> None:
        self.counted = counted
        most = TALLEST * counted.changed(self.scene.mine.threshold) or counted.valid
        factor, self.curve.y_title = words.unit(min(most, counted.valid), located=counted.located)
        points = [(at, amount) for at, amount in counted.curve() if amount <= most]
        self.curve.series = {"area": [(at, factor * amount) for at, amount in points]}
        self._say()

    def _stretch(self) -> display.Limits:
        assert self.scene.mine.before
        assert self.scene.mine.after
        return maps.shared_limits(self.scene.mine.before, self.scene.mine.after)

    def _stretched(self, limits: display.Limits) -> None:
        self.scene.limits = limits
        self.scene.draw()

    # ------------------------------------------------------------ as it moves

    def _moved(self, _: Any) -> None:
        self._look()
        for do in self.on_threshold:
            do(self.threshold)

    def _look(self) -> None:
        self.scene.threshold, self.scene.margin = self.threshold, float(self.margin.value)
        self.scene.draw()
        own = self.scene.mine.threshold
        marks = {"the run's": own}
        if abs(self.threshold - own) > STEP / 2:
            marks[" "] = self.threshold  # where the slider is: no word, it would lie on the other
        self.curve.marks = marks
        self._say()

    def _say(self) -> None:
        if self.counted is None:
            return
        found, at = self.counted, self.threshold
        told = words.amount(found.changed(at), located=found.located)
        whole = words.amount(found.valid, located=found.located)
        lines = [
            parts.html(f'<p class="geolab-big">{told} changed</p>'),
            parts.text(
                f"{words.share(found.share(at))} of the {whole} that are valid at both dates", soft=True
            ),
        ]
        if self.margin.value > 0:
            lines.append(parts.text(self._doubt(found, at)))
        self.said.children = tuple(lines)

    def _doubt(self, found: Distribution, at: float) -> str:
        split = found.doubt(at, float(self.margin.value))
        sure, near = (words.amount(part, located=found.located) for part in (split.certain, split.doubtful))
        return f"{sure} certain, {near} doubtful (within {self.margin.value:.3g} of the threshold)"


def _slider(title: str, value: float, most: float, digits: str) -> widgets.FloatSlider:
    made = widgets.FloatSlider(
        value=value,
        min=0,
        max=most,
        step=STEP,
        description=title,
        readout_format=digits,
        layout={"width": "100%"},
    )
    made.style.description_width = "56px"
    return made
