"""Boxes that open: a fold, and tabs. Plain buttons, so that they work by keyboard."""

from __future__ import annotations

from collections.abc import Mapping

import ipywidgets as widgets

from geolab.apps import faults
from geolab.apps.parts.plain import Widget, box, html
from geolab.maps.origin import safe


def fold(title: str, *children: Widget | str, opened: bool = False) -> widgets.Widget:
    """A title that shows and hides what is below it; texts only become one that needs no kernel."""
    if children and all(isinstance(one, str) for one in children):
        body = "".join(f"<pre>{safe(one)}</pre>" for one in children)
        begin = "<details open>" if opened else "<details>"
        return html(f"{begin}<summary>{safe(title)}</summary>{body}</details>", "geolab-details")
    return Fold(title, *children, opened=opened)


class Fold(widgets.VBox):
    """A fold of widgets. opened: whether they are shown."""

    def __init__(self, title: str, *children: Widget | str, opened: bool = False):
        self._inside = box(children, "geolab-fold-inside")
        self._head = widgets.ToggleButton(value=opened, description=title, layout={"width": "auto"})
        self._head.add_class("geolab-fold-head")
        super().__init__([])
        self.add_class("geolab-fold")
        self._head.observe(lambda _: faults.call(self._show), "value")
        self._show()

    @property
    def opened(self) -> bool:
        return bool(self._head.value)

    @opened.setter
    def opened(self, value: bool) -> None:
        self._head.value = value

    def inside(self, *children: Widget | str) -> None:
        """Put other widgets into it."""
        self._inside.children = box(children).children

    def _show(self) -> None:
        self.children = (self._head, self._inside) if self._head.value else (self._head,)


class Tabs(widgets.VBox):
    """One of several widgets at a time. chosen: the title of the one that is shown."""

    def __init__(self, tabs: Mapping[str, Widget], chosen: str = ""):
        self._tabs = dict(tabs)
        self._choice = widgets.ToggleButtons(options=list(self._tabs), layout={"width": "auto"})
        self._choice.style.button_width = "auto"
        self._choice.add_class("geolab-tabs-head")
        self._place = box([], "geolab-tabs-inside")
        super().__init__([self._choice, self._place])
        self.add_class("geolab-tabs")
        if chosen in self._tabs:
            self._choice.value = chosen
        self._choice.observe(lambda _: faults.call(self._show), "value")
        self._show()

    @property
    def chosen(self) -> str:
        return str(self._choice.value or "")

    @chosen.setter
    def chosen(self, title: str) -> None:
        self._choice.value = title

    def on_change(self, do: object) -> None:
        """Call `do(title)` when another tab is shown."""
        self._choice.observe(lambda change: faults.call(do, change["new"]), "value")  # type: ignore[arg-type]

    def _show(self) -> None:
        shown = self._tabs.get(self.chosen)
        self._place.children = () if shown is None else (shown,)


def tabs(titles: Mapping[str, Widget], chosen: str = "") -> Tabs:
    """Widgets of which one is shown at a time, by their titles."""
    return Tabs(titles, chosen)
