"""How change is found: a classic method or a trained model, never both; and the form that runs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from geolab import modelserver
from geolab.apps import parts
from geolab.apps.change.detection import METHODS, NOTEBOOK, SHORT
from geolab.apps.change.glimpse import Glimpse
from geolab.apps.form import Form

if TYPE_CHECKING:
    from geolab.apps.shell import Page

CLASSIC, TRAINED = "Classic method", "Trained model"
HIDDEN = ("before", "after", "method", "model", "align", "normalise")
ADVANCED = ("tile_px",)
SWITCHES = {
    "align": ("Align", "Warp the later image onto the grid of the earlier one where they differ."),
    "normalise": ("Normalise", "Fit the later image's brightness to the earlier one's first."),
}


class How(widgets.VBox):
    """The choice and the form. on_run(run_id): a run was asked for, or found done before.

    on_align(align): whether the later image may be warped was changed.
    """

    def __init__(self, page: Page, on_run: Callable[[str], None], on_align: Callable[[bool], None]):
        self.page, self.on_align = page, on_align
        method = str(page.asked["method"])
        self.kind = widgets.ToggleButtons(
            options=[CLASSIC, TRAINED], value=TRAINED if method == "model" else CLASSIC
        )
        self.kind.add_class("geolab-tabs-head")
        self.kind.style.button_width = "auto"
        self.classic = widgets.ToggleButtons(
            options=[(text, name) for name, text in SHORT.items()],
            value=method if method in METHODS else "cva",
        )
        self.classic.style.button_width = "auto"
        self.model: Any = None
        self.place = parts.stack()
        values = {"threshold": page.asked["threshold"]}
        self.form = Form(page, NOTEBOOK, values=values, hidden=HIDDEN, advanced=ADVANCED, on_submitted=on_run)
        self.switches = [self._switch(name, *said) for name, said in SWITCHES.items()]
        self.glimpse = Glimpse(page, lambda: (self.method, self.model_name))
        super().__init__([self.kind, self.place])
        self.add_class("geolab-box")
        self.add_class("geolab-stack")
        self.kind.observe(page.guard(self._turned), "value")
        self.classic.observe(page.guard(self._chosen), "value")
        self._turned()

    @property
    def method(self) -> str:
        return "model" if self.kind.value == TRAINED else str(self.classic.value)

    @property
    def model_name(self) -> str:
        """The model's name@alias; "" for a classic method."""
        return str(self.model.value or "") if self.kind.value == TRAINED and self.model else ""

    def pair(self, before: str, after: str) -> None:
        """Take these images."""
        self.form.put(before=before, after=after)
        self.glimpse.refs = (before, after)

    def _switch(self, name: str, title: str, text: str) -> widgets.Widget:
        box = widgets.Checkbox(
            value=name == "align", description=title, indent=False, layout={"width": "auto"}
        )

        def changed(change: Any) -> None:
            self.form.put(**{name: bool(change["new"])})
            if name == "align":
                self.on_align(bool(change["new"]))

        box.observe(self.page.guard(changed), "value")
        return parts.box([box, parts.text(text, soft=True)], "geolab-switch")

    def _turned(self, _: Any = None) -> None:
        if self.kind.value == TRAINED and self.model is None:
            from geolab.apps import pickers

            self.model = pickers.ModelPicker(self.page, value=str(self.page.asked["model"] or ""))
            self.model.observe(self.page.guard(self._chosen), "value")
        self._chosen()

    def _chosen(self, _: Any = None) -> None:
        self.form.put(method=self.method, model=self.model_name)
        trained = self.kind.value == TRAINED
        if trained and not self.model_name:
            self.place.children = (self.model, parts.text("Choose a model to go on.", soft=True))
        elif trained:
            self.place.children = (self.model, *self.switches, *self._first(), self.form)
        else:
            said = parts.text(METHODS[self.method], soft=True)
            self.place.children = (self.classic, said, *self.switches, *self._first(), self.form)

    def _first(self) -> list[widgets.Widget]:
        """The look at a part, where a model server draws for pages."""
        return [self.glimpse] if modelserver.address() is not None else []
