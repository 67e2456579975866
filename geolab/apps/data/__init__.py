"""The page Data: what there is, where it lies, how more comes in, and one item in full."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from geolab.apps import parts
from geolab.apps.data.browse import Browser

if TYPE_CHECKING:
    from geolab.apps.shell import Page

TABS = {"catalogue": "Catalogue", "store": "Store", "add": "Add data"}


def build(page: Page) -> widgets.Widget:
    """The page: one item if the address names one, else the catalogue, the store and the way in."""
    return Data(page).widget


class Data:
    """What is shown, and how it changes."""

    def __init__(self, page: Page):
        self.page = page
        self.widget = parts.stack()
        self.browser: Browser | None = None
        self._made: dict[str, widgets.Widget] = {}
        self.tabs: parts.Tabs | None = None
        if page.asked.get("item"):
            page.guard(self._named)()
        if not self.widget.children:
            self.show_all()

    def _named(self) -> None:
        from geolab.apps.data import lineage

        asked = self.page.asked
        self.show_item(
            lineage.found(str(asked.get("collection") or ""), str(asked["item"]), self.page.settings)
        )

    def show_item(self, item: Mapping[str, Any]) -> None:
        """Show one item in full."""
        from geolab.apps.data import item as one  # loads with the first item

        self.page.remember(item=item["id"], collection=item.get("collection") or "")
        self.widget.children = (one.build(self.page, item, self.back),)

    def back(self) -> None:
        """Show the catalogue again, as it was."""
        asked = self.browser.asked.collection if self.browser else self.page.asked.get("collection")
        self.page.remember(item="", collection=asked or "")
        self.page.tell("")
        self.show_all()

    def show_all(self) -> None:
        """Show catalogue, store and the way in."""
        if self.tabs is None:
            self.tabs = self._tabs()
        self.widget.children = (self.tabs,)

    def _tabs(self) -> parts.Tabs:
        browser = self.browser = Browser(self.page, self.show_item, lambda: self._choose("add"))
        self._made = {"catalogue": browser.widget, "store": Lazy(self._store), "add": Lazy(self._adding)}
        asked = "add" if self.page.asked.get("run") else str(self.page.asked.get("tab") or "")
        wanted = asked if asked in TABS else "catalogue"
        tabs = parts.tabs({TABS[name]: widget for name, widget in self._made.items()}, TABS[wanted])
        tabs.on_change(self.page.guard(self._shown))
        self._fill(self._made[wanted])
        return tabs

    def _shown(self, title: str) -> None:
        name = next((name for name, told in TABS.items() if told == title), "catalogue")
        self.page.remember(tab="" if name == "catalogue" else name)
        self._fill(self._made[name])

    def _fill(self, shown: widgets.Widget | None) -> None:
        if isinstance(shown, Lazy):
            self.page.guard(shown.make)()

    def _choose(self, name: str) -> None:
        assert self.tabs is not None
        self.tabs.chosen = TABS[name]

    def _store(self) -> widgets.Widget:
        from geolab.apps.data.storage import Storage

        return Storage(self.page).widget

    def _adding(self) -> widgets.Widget:
        from geolab.apps.data.adding import Adding

        assert self.browser is not None
        return Adding(self.page, self.browser.ask).widget


class Lazy(widgets.VBox):
    """Bones, until what they stand for is first seen."""

    def __init__(self, build: Callable[[], widgets.Widget]):
        self._build: Callable[[], widgets.Widget] | None = build
        super().__init__([parts.skeleton()])

    def make(self) -> None:
        """Make it, once."""
        build, self._build = self._build, None
        if build is not None:
            self.children = (build(),)
