"""The page Models: runs beside each other, and the registry with its versions and aliases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets as widgets

from geolab.apps import parts

if TYPE_CHECKING:
    from geolab.apps.models.registry import Registry
    from geolab.apps.models.runs import Runs
    from geolab.apps.shell import Page

TABS = {"registry": "Registered models", "runs": "Training runs"}


def build(page: Page) -> widgets.Widget:
    """The page. MLflow takes seconds to load: bones are shown first, and it is asked in a thread."""
    return Models(page).widget


class Models:
    """Two tabs, each made when it is first seen."""

    def __init__(self, page: Page):
        self.page = page
        self.places = {name: parts.stack(parts.skeleton(5)) for name in TABS}
        self.made: dict[str, Registry | Runs] = {}
        asked = page.asked
        wanted = "runs" if asked.get("run") or asked.get("experiment") else str(asked.get("tab") or "")
        wanted = wanted if wanted in TABS else "registry"
        self.tabs = parts.tabs({TABS[name]: place for name, place in self.places.items()}, TABS[wanted])
        self.tabs.on_change(self._shown)
        self.widget = parts.stack(self.tabs)
        self._make(wanted)

    def _shown(self, title: str) -> None:
        name = next(name for name, told in TABS.items() if told == title)
        self.page.remember(tab="" if name == "registry" else name)
        self._make(name)

    def _make(self, name: str) -> None:
        if name not in self.made:
            place = self.places[name]
            self.made[name] = self._registry(place) if name == "registry" else self._runs(place)

    def _registry(self, place: widgets.Box) -> Registry:
        from geolab.apps.models.registry import Registry

        return Registry(self.page, place)

    def _runs(self, place: widgets.Box) -> Runs:
        from geolab.apps.models.runs import Runs

        return Runs(self.page, place)
