"""What is in view, drawn: dots, outlines, and the pixels of the date that is chosen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from geolab.apps.map import timebar
from geolab.apps.map.found import Found, Name, key_of, period
from geolab.apps.map.timebar import TimeBar
from geolab.maps import specs
from geolab.maps.chart import Chart
from geolab.maps.clusters import Clusters, View, clusters
from geolab.maps.layerlist import LayerList

if TYPE_CHECKING:
    from geolab.catalog import Item

MOST_PIXELS = 12  # images of one date that are drawn
MOST_OUTLINES = 300
MOST_MASKS = 200
RANK = {"image": 0, "height": 0, "probability": 1, "change": 2}  # from below to above

Rows = NDArray[np.intp]


class Drawn:
    """The chart's content. auto: keys of layers that the slider of dates has put there."""

    def __init__(self, found: Found, chart: Chart, layers: LayerList, time: TimeBar):
        self.found, self.chart, self.layers, self.time = found, chart, layers, time
        self.auto: set[str] = set()
        self._gone: set[str] = set()  # of these, those that were taken away by hand
        self._periods: dict[str, str] = {}  # of the change masks in view, by their key
        self._gathered: Clusters | None = None
        self._dots: dict[str, int] = {}
        self._outlined: list[Name] | None = None

    @property
    def view(self) -> View | None:
        """What the page shows; before it has said so, what it is going to show; None without either."""
        seen = self.chart.seen
        if seen is not None or not self.chart.aim.get("bounds"):
            return seen
        (south, west), (north, east) = self.chart.aim["bounds"]
        return View(west, south, east + 1e-9, north + 1e-9, 17)

    @property
    def rows(self) -> Rows:
        """The rows in view, newest first."""
        view = self.view
        return np.arange(len(self.found.places)) if view is None else self.found.places.within(*view.box)

    def forget(self) -> None:
        """The filters have found others."""
        self._outlined = None

    def refresh(self) -> Rows:
        """Draw what is in view, and return its rows."""
        view, rows = self.view, self.rows
        if view is None:
            self.time.offer((), ())
            return rows
        large = rows[~self.found.small(rows, view)]
        self._draw_dots(view)
        self._draw_outlines(large)
        self._offer_dates(large)
        self._draw_pixels(large)
        return rows

    # ------------------------------------------------------------ dots and outlines

    def _draw_dots(self, view: View) -> None:
        places = self.found.places
        rows = places.within(*view.wider(0.5).box)
        rows = rows[self.found.small(rows, view)]
        gathered = self._gathered = clusters(places.points, view, rows=rows)
        each = list(zip(gathered.firsts.tolist(), gathered.counts.tolist(), strict=True))
        keys = [f"{view.zoom:g}:{places.names[first]}:{count}" for first, count in each]
        self._dots = {key: dot for dot, key in enumerate(keys)}
        kinds = ["photo" if places.roles[first] == "photo" else "item" for first, _ in each]
        self.chart.dots = [
            (round(y, 7), round(x, 7), count, key, places.titles[first][:200], kind)
            for (x, y), (first, count), key, kind in zip(
                gathered.places.tolist(), each, keys, kinds, strict=True
            )
        ]

    def of_dot(self, key: str) -> Rows:
        """The rows of everything that a dot stands for; none for a dot that is gone."""
        dot = self._dots.get(key)
        if dot is None or self._gathered is None:
            return np.empty(0, np.intp)
        return self._gathered.of(dot)

    def _draw_outlines(self, rows: Rows) -> None:
        names = [self.found.places.names[row] for row in rows[:MOST_OUTLINES]]
        if names != self._outlined:
            self._outlined = names
            self.shape("outlines", specs.outlines(self.found.items(names)))

    def shape(self, name: str, spec: specs.Spec) -> None:
        """Draw a shape, instead of the one of that name."""
        self.chart.shapes = {**{k: one for k, one in self.chart.shapes.items() if k != name}, name: spec}

    # ------------------------------------------------------------ dates and pixels

    def _offer_dates(self, rows: Rows) -> None:
        images = self.found.days(self.found.rows_of(role="image", rows=rows))
        self._periods = {key_of(item): period(item) for item in self.masks(rows)}
        self.time.offer(images, list(self._periods.values()))

    def masks(self, rows: Rows) -> list[Item]:
        """The change masks among the rows."""
        names = [self.found.places.names[row] for row in rows if self.found.places.kinds[row] == "mask"]
        return self.found.items(names[:MOST_MASKS])

    def _draw_pixels(self, rows: Rows) -> None:
        """The images of the date that is chosen, below everything that was put there by hand."""
        images, places = self.found.rows_of(role="image", rows=rows), self.found.places
        days = self.found.days(images)
        chosen, changes = self._chosen(days)
        names = [places.names[row] for row, day in zip(images, days, strict=True) if day == chosen]
        self._set_auto(({"/".join(name) for name in names[:MOST_PIXELS]} | changes) - self._gone)

    def _chosen(self, days: Iterable[str]) -> tuple[str, set[str]]:
        """The day of the images to draw, and the keys of the change masks."""
        if self.time.kind == timebar.IMAGES:
            return self.time.chosen, set()
        before = [day for day in days if day <= self.time.chosen[-10:]]
        return max(before, default=""), {k for k, one in self._periods.items() if one == self.time.chosen}

    def _set_auto(self, wanted: set[str]) -> None:
        present = {spec["key"] for spec in self.layers}
        old = self.auto - wanted
        items = self.found.items(_name(key) for key in sorted(wanted - present))
        if not old & present and not items:
            return
        kept = [spec for spec in self.layers if spec["key"] not in old]
        made = sorted(map(layer, items), key=lambda spec: spec["name"])
        self.auto = (self.auto - old) | {spec["key"] for spec in made}
        under = [spec for spec in made if spec["kind"] != "change"]
        self.layers.set([*under, *kept, *(spec for spec in made if spec["kind"] == "change")])

    def new_date(self) -> None:
        """Another date is chosen: what was taken away by hand may come again."""
        self._gone.clear()

    def layers_changed(self) -> list[str]:
        """Take note of layers that were taken away; returns the keys of those put there by hand."""
        present = {spec["key"] for spec in self.layers}
        self._gone |= self.auto - present
        self.auto &= present
        return sorted(present - self.auto)

    def put(self, *items: Item) -> None:
        """Show the pixels of items, whatever the date."""
        made = sorted((layer(i) for i in items if specs.kind(i)), key=lambda spec: RANK[spec["kind"]])
        self.auto -= {spec["key"] for spec in made}
        if made:
            self.layers.put(*made)


def layer(item: Item) -> specs.Spec:
    """The layer of an item; a probability waits to be switched on."""
    spec = {**specs.tiles(item), "legend": specs.legend(item)}
    return {**spec, "visible": spec["kind"] != "probability"}


def _name(key: str) -> Name:
    collection, _, item_id = key.partition("/")
    return collection, item_id
