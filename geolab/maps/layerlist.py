"""The layers of a Chart as a list to look at and to change: shown or not, opacity, order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import anywidget
import traitlets as t

from geolab.maps.chart import Chart
from geolab.maps.specs import Spec

STATIC = Path(__file__).with_name("static")
MOST = 40  # layers at once; the lowest give way


@cache
def _script() -> str:
    return "\n".join((STATIC / f"{part}.js").read_text(encoding="utf-8") for part in ("words", "list"))


class LayerList(anywidget.AnyWidget):
    """The list, and the layers behind it: what it changes, it changes in the chart.

    on_change(): after anything changed but opacity. on_zoom(key): a layer's name was clicked. specs: of
    specs.tiles, the last on top; a spec may hold a legend.
    """

    rows = t.List(t.Dict()).tag(sync=True)
    empty = t.Unicode("No layers yet.").tag(sync=True)

    def __init__(self, chart: Chart, *, on_change: Callable[[], None], on_zoom: Callable[[str], None]):
        self.chart, self.on_change, self.on_zoom = chart, on_change, on_zoom
        self.specs: list[Spec] = []
        self.add_traits(_esm=t.Unicode(_script()).tag(sync=True))
        super().__init__()
        self.on_msg(self._hear)

    def __iter__(self) -> Iterator[Spec]:
        return iter(self.specs)

    def __contains__(self, key: object) -> bool:
        return any(spec["key"] == key for spec in self.specs)

    def set(self, specs: list[Spec]) -> None:
        """Show these layers, the last on top; those that were there keep opacity and whether they show."""
        known = {spec["key"]: spec for spec in self.specs}
        kept = ("opacity", "visible")
        self.specs = [{**s, **{k: known.get(s["key"], s)[k] for k in kept}} for s in specs][-MOST:]
        self._tell()
        self.on_change()

    def put(self, *specs: Spec) -> None:
        """Add layers on top; one that is there already is moved there and shown."""
        keys = {spec["key"] for spec in specs}
        self.specs = [spec for spec in self.specs if spec["key"] not in keys]
        self.set([*self.specs, *specs])

    def drop(self, *keys: str) -> None:
        """Take layers away."""
        self.set([spec for spec in self.specs if spec["key"] not in keys])

    def _tell(self) -> None:
        self.chart.layers = [
            {k: s[k] for k in ("key", "url", "bounds", "native", "opacity", "visible", "crisp")}
            for s in self.specs
        ]
        self.rows = [
            {k: s[k] for k in ("key", "name", "note", "opacity", "visible")} for s in self.specs[::-1]
        ]
        shown = [s["legend"] for s in self.specs if s["visible"] and s.get("legend")]
        self.chart.legends = [one for i, one in enumerate(shown) if one not in shown[:i]]

    # ------------------------------------------------------------ what the page says

    def _hear(self, _widget: object, content: Any, _buffers: object) -> None:
        told = content if isinstance(content, dict) else {}
        places = [i for i, spec in enumerate(self.specs) if spec["key"] == told.get("key")]
        acts = {"visible": self._show, "opacity": self._fade, "move": self._move, "remove": self._remove}
        if places and told.get("kind") == "zoom":
            self.on_zoom(str(told["key"]))
        elif places and told.get("kind") in acts:
            acts[told["kind"]](places[0], told.get("value"))

    def _show(self, place: int, value: Any) -> None:
        self.specs[place] = {**self.specs[place], "visible": bool(value)}
        self._tell()
        self.on_change()

    def _fade(self, place: int, value: Any) -> None:
        if isinstance(value, int | float) and math.isfinite(value):
            self.specs[place] = {**self.specs[place], "opacity": min(max(float(value), 0.0), 1.0)}
            self._tell()

    def _move(self, place: int, value: Any) -> None:
        other = place + (1 if value == 1 else -1)
        if 0 <= other < len(self.specs):
            self.specs[place], self.specs[other] = self.specs[other], self.specs[place]
            self._tell()
            self.on_change()

    def _remove(self, place: int, _value: Any) -> None:
        self.drop(self.specs[place]["key"])
