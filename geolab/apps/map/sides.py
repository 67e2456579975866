"""The swipe: two items either side of a handle, in one stretch, each with its name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import ipywidgets as widgets

from geolab import maps
from geolab.apps import parts
from geolab.apps.map.found import Found, key_of
from geolab.errors import BadInput
from geolab.maps import specs
from geolab.maps.chart import Chart
from geolab.maps.layerlist import LayerList
from geolab.maps.origin import day, name, title

if TYPE_CHECKING:
    from geolab.apps.shell import Page
    from geolab.catalog import Item

LEFT, RIGHT = "swipe-left", "swipe-right"


class Sides:
    """The panel. left, right: keys of the two items, "" while there is no swipe."""

    def __init__(self, page: Page, found: Found, chart: Chart, layers: LayerList):
        self.page, self.found, self.chart, self.layers = page, found, chart, layers
        self.left = self.right = ""
        self._left = _choice("Left")
        self._right = _choice("Right")
        self._on = parts.button("Swipe", self._start, primary=True, hint="Show both, either side of a handle")
        self._off = parts.button("End the swipe", self.stop)
        self._off.disabled = True
        self._note = parts.text("", soft=True)
        swap = parts.button("⇄", self._swap, hint="Change sides")
        self.widget = parts.stack(
            parts.text("Two items either side of a handle: drag it, or use the arrow keys.", soft=True),
            self._left, self._right, parts.row(self._on, swap, self._off), self._note,
        )  # fmt: skip

    def offer(self, items: Sequence[Item]) -> None:
        """Offer these items, in the order of time; what was chosen stays if it is among them."""
        drawn = sorted((i for i in items if specs.kind(i)), key=lambda item: specs.kind(item) != "image")
        options = [(name(item)[:80], key_of(item)) for item in drawn]
        keys = [key_of(item) for item in drawn if specs.kind(item) == "image"] or [key for _, key in options]
        for field, usual in ((self._left, 0), (self._right, -1)):
            kept = field.value
            field.options = options or [("No images in view", "")]
            field.value = kept if kept in dict(options).values() else (keys[usual] if keys else "")

    def start(self, left: str, right: str) -> None:
        """Swipe these two."""
        found = [self.found.item(key) for key in (left, right)]
        items = [item for item in found if item is not None and specs.kind(item)]
        if len(items) < 2:
            raise BadInput("swipe", found="no pixels", expected="two items with pixels")
        if left == right:
            raise BadInput("swipe", found=f"{title(items[0])} twice", expected="two different items")
        self._note.value = parts.text("Looking for one stretch for both …", soft=True).value
        self.page.aside(lambda: _limits(items), lambda limits: self._show(items, limits))

    def stop(self) -> None:
        """Take both sides away."""
        self.left = self.right = ""
        self.chart.swipe = {}
        self.layers.drop(LEFT, RIGHT)
        self._off.disabled = True
        self._note.value = ""

    def _start(self) -> None:
        self.start(str(self._left.value), str(self._right.value))

    def _swap(self) -> None:
        self._left.value, self._right.value = self._right.value, self._left.value
        if self.left:
            self._start()

    def _show(self, items: Sequence[Item], limits: tuple) -> None:
        made = [
            {
                **specs.tiles(item, key=key, limits=limits, opacity=1.0),
                "note": f"{side} of the swipe",
                "legend": specs.legend(item),
            }
            for item, key, side in zip(items, (LEFT, RIGHT), ("left", "right"), strict=True)
        ]
        self.left = self.right = ""  # what is taken away now does not end this swipe
        self.layers.drop(LEFT, RIGHT)
        self.chart.swipe = {"left": LEFT, "right": RIGHT, "names": _names(items)}
        self.layers.put(*made)
        self.left, self.right = (key_of(item) for item in items)
        words = (
            "Both in one stretch, 2-98 % of the two together."
            if limits
            else "Each in its own colours: they are not two images of the same bands."
        )
        self._note.value = parts.text(words, soft=True).value
        self._off.disabled = False


def _names(items: Sequence[Item]) -> list[str]:
    """What tells the two apart: their days, else their titles."""
    days = [day(item) for item in items]
    kinds = {specs.kind(item) for item in items}
    return (
        [str(d) for d in days]
        if len(set(days)) == 2 and all(days) and kinds == {"image"}
        else [name(i)[:40] for i in items]
    )


def _limits(items: Sequence[Item]) -> tuple:
    """One stretch for two images; () where their bands have nothing in common."""
    if {specs.kind(item) for item in items} != {"image"}:
        return ()
    try:
        return maps.shared_limits(*items)
    except BadInput:
        return ()


def _choice(label: str) -> widgets.Dropdown:
    return widgets.Dropdown(
        options=[("No images in view", "")],
        description=label,
        layout={"width": "auto"},
        style={"description_width": "48px"},
    )
