"""Splats: models in 3-D at their place on Earth, what was made of them, and films along a path one sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets as widgets

from geolab.apps import parts
from geolab.apps.splats import shelf
from geolab.apps.splats.model import Shown, load

if TYPE_CHECKING:
    from geolab.apps.shell import Page
    from geolab.apps.splats.model import Loaded


class Room(widgets.VBox):
    """The chosen model, or the models there are."""

    def __init__(self, page: Page):
        self.page = page
        self._chooser, self._model = parts.stack(parts.skeleton()), parts.stack()
        super().__init__([self._chooser, self._model])
        self.add_class("geolab-splats")
        page.aside(lambda: shelf.models(page.settings), self._listed)
        if wanted := page.asked["model"] or page.asked["item"]:
            self.open_model(wanted)

    def _listed(self, rows: list[shelf.Row]) -> None:
        if not rows:
            train = parts.link("Train one from photos", self.page.link("training", kind="splats"))
            self._chooser.children = (
                parts.empty("There is no model of splats in this workspace yet.", train),
            )
            return
        cards = parts.Cards(rows, on_open=self.open_model, label="Models of splats")
        fold = parts.Fold(f"Models ({len(rows)})", cards, opened=not self._model.children)
        self._chooser.children = (fold,)
        if not self._model.children:
            self.open_model(rows[0]["id"])
            fold.opened = len(rows) > 1

    def open_model(self, ref: str) -> None:
        """Show a model: an item, a file, or "latest"."""
        self.page.remember(model=ref, item="")
        self._model.children = (parts.skeleton(6),)
        self.page.aside(lambda: load(ref, self.page.settings), self._show)

    def _show(self, loaded: Loaded | Exception) -> None:
        if isinstance(loaded, Exception):
            words = f"{loaded}" or "The model can't be read."
            self._model.children = (parts.empty(words, parts.link("See the data", self.page.link("data"))),)
            return
        self._model.children = (Shown(self.page, loaded),)


def build(page: Page) -> widgets.Widget:
    """The page."""
    return Room(page)
