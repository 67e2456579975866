"""The Map page put together: the chart, and panels that find, order, compare, read and send."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from geolab.apps import parts
from geolab.apps.map import asked, models, timebar, view
from geolab.apps.map.aoi import Area, written
from geolab.apps.map.drawn import Drawn, layer
from geolab.apps.map.finder import Finder
from geolab.apps.map.found import Filters, Found, key_of, period
from geolab.apps.map.ground import Ground
from geolab.apps.map.here import Here
from geolab.apps.map.send import Send
from geolab.apps.map.sides import LEFT, RIGHT, Sides
from geolab.apps.map.timebar import TimeBar
from geolab.errors import GeolabError
from geolab.maps import specs
from geolab.maps.chart import Chart
from geolab.maps.clusters import View
from geolab.maps.layerlist import LayerList
from geolab.maps.layers import bounds, point
from geolab.maps.origin import day

if TYPE_CHECKING:
    from geolab.apps.map.offers import Scene
    from geolab.apps.shell import Page
    from geolab.catalog import Item

STYLE = Path(__file__).with_name("page.css")
DEEPEST = 22  # zoom at which a click on a cluster shows one of it instead of going nearer
FIND, LAYERS, SWIPE, HERE, JOB = "Find", "Layers", "Swipe", "Here", "Jobs"


class Atlas:
    """The page. chart, found, layers, ...: its parts, each of which does one thing."""

    def __init__(self, page: Page):
        self.page, self.found = page, Found(page)
        self.chart = Chart(height="calc(100vh - 168px)", label="Map of the workspace")
        self.layers = LayerList(self.chart, on_change=self._layers_changed, on_zoom=self._zoom_to_layer)
        self.time = TimeBar(page.guard(self._date_chosen))
        self.drawn = Drawn(self.found, self.chart, self.layers, self.time)
        self.sides = Sides(page, self.found, self.chart, self.layers)
        self.here = Here(page, self.found, self.chart)
        self.area = Area(page, self.chart, self._area_changed)
        self.send = Send(page, self.scene, self.found.items, self.show_results)
        self.chosen: list[str] = []  # keys of items that were picked for a job
        self._begin()

    # ------------------------------------------------------------ the beginning

    def _begin(self) -> None:
        try:
            self.found.begin(asked.filters(self.page))
        except GeolabError as error:
            self.page.fault(error)
            self.found.begin(Filters())
        self.found.on_change.append(self._found_others)
        self.finder = Finder(
            self.page, self.found, on_open=self.open, on_action=self._action, on_all=self.fit_all
        )
        self._panels()
        self.chart.on_click = self.page.guard(self._clicked)
        self.chart.on_dot = self.page.guard(self._dot_clicked)
        self.chart.observe(self.page.guard(lambda _: self.refresh()), "view")
        self._aim()
        self.refresh()
        self.time.choose(str(self.page.asked["day"]))

    def _panels(self) -> None:
        by_year = parts.button(
            "Change by year", self._change_by_year, hint="All change masks in view, by their years"
        )
        layers = parts.stack(self.layers, parts.row(by_year), Ground(self.chart).widget)
        job = parts.stack(self.area.widget, parts.heading("Use in a job"), self.send.widget)
        self.tabs = parts.tabs(
            {
                FIND: self.finder.widget,
                LAYERS: layers,
                SWIPE: self.sides.widget,
                HERE: self.here.widget,
                JOB: job,
            }
        )
        self.tabs.on_change(self._tab)
        chart = parts.box([self.chart, self.time.widget], "geolab-mappage-map")
        panel = parts.box([self.tabs], "geolab-mappage-panel")
        style = parts.html(f"<style>{STYLE.read_text(encoding='utf-8')}</style>", "geolab-mappage-style")
        self.widget = parts.box([style, chart, panel], "geolab-mappage")

    def _aim(self) -> None:
        """What is shown first: what the address says, else a place where there is something."""
        refs = asked.items(self.page)
        pinned = [item for ref in refs if (item := self.found.item(ref)) is not None]
        self.drawn.put(*pinned)
        if run := asked.run(self.page):
            self.send.follow(run)
            self.tabs.chosen = JOB
        box = asked.box(self.page)
        if box is not None:
            self.chart.fit(box, exact=True)
        elif around := bounds(pinned):
            self.chart.fit(around)
        elif not self.chart.aim:
            self.fit_newest()

    def fit_newest(self) -> None:
        """Show what lies around the newest image, of its collection; without an image, the newest item."""
        places = self.found.places
        if not len(places):
            return
        images = self.found.rows_of(role="image")
        newest = self.found.newest_image() if places.matched > len(places) and not len(images) else None
        if newest is not None and (around := bounds([newest])):
            self.chart.fit(around)
            return
        first = int(images[0]) if len(images) else 0
        same = [row for row, (name, _) in enumerate(places.names) if name == places.names[first][0]]
        near = np.abs(places.points[same] - places.points[first]).max(axis=1) < 1.0
        self._fit(np.array(same)[near])

    def fit_all(self) -> None:
        """Show everything that the filters find."""
        self._fit(np.arange(len(self.found.places)))

    def _fit(self, rows: Any) -> None:
        if len(rows):
            boxes = self.found.places.boxes[rows]
            west, south = boxes[:, :2].min(axis=0)
            east, north = boxes[:, 2:].max(axis=0)
            self.chart.fit(((south, west), (north, east)))

    # ------------------------------------------------------------ what is in view

    def refresh(self) -> None:
        """Draw and list what is in view."""
        self.finder.show(self.drawn.refresh())
        if self.chart.seen is not None:
            self._remember(self.chart.seen)

    def _remember(self, seen: View) -> None:
        west, east = (((v + 180) % 360) - 180 for v in (seen.west, seen.east))
        whole = seen.east - seen.west >= 360
        self.page.remember(bbox="" if whole else written((west, seen.south, east, seen.north)))

    def scene(self) -> Scene:
        """What the map shows, for a job."""
        swiped = [key for key in (self.sides.left, self.sides.right) if key]
        return view.scene(self.found, self.drawn, self.area, self.chosen or swiped)

    # ------------------------------------------------------------ what the reader does

    def _found_others(self) -> None:
        now = self.found.filters
        told = {"collection": now.collection, "role": now.role, "text": now.text, "datetime": asked.span(now)}
        self.page.remember(**told)
        self.drawn.forget()
        self.finder.forget()
        self.refresh()

    def _date_chosen(self) -> None:
        self.drawn.new_date()
        self.page.remember(day=self.time.chosen if self.time.kind == timebar.IMAGES else "")
        self.refresh()

    def _layers_changed(self) -> None:
        pinned = self.drawn.layers_changed()
        if self.sides.left and not {LEFT, RIGHT} <= set(pinned):
            self.sides.stop()
        self.page.remember(items=[key for key in pinned if key not in (LEFT, RIGHT)] or None, item=None)

    def open(self, key: str) -> None:
        """Show an item: its pixels, the whole of it; the card of what has no pixels."""
        item = self.found.item(key)
        if item is None:
            return
        self.drawn.put(item)
        if (around := bounds([item])) is not None:
            self.chart.fit(around)
        if models.is_model(item):
            self.show_model(item)
        elif not specs.kind(item):
            self._show_card(item)

    def _show_card(self, item: Item) -> None:
        place = point(item)
        if place is not None:
            self.chart.card = specs.card(item, place, links=models.links(self.page, item))

    def _zoom_to_layer(self, key: str) -> None:
        item = self.found.item({LEFT: self.sides.left, RIGHT: self.sides.right}.get(key, key))
        if item is not None and (around := bounds([item])) is not None:
            self.chart.fit(around)

    def _action(self, name: str, keys: Sequence[str]) -> None:
        items = [item for key in keys if (item := self.found.item(key)) is not None]
        if name == "job":
            self.chosen = list(keys)
            self._go(JOB)
        elif name == "swipe" and len(items) != 2:
            self.page.tell(f"A swipe needs two items; {len(items)} are chosen.", "warn")
        elif name == "swipe":
            self.sides.start(*(key_of(item) for item in sorted(items, key=day)))
            self._go(SWIPE)
        else:
            self.drawn.put(*items)

    def _go(self, tab: str) -> None:
        if self.tabs.chosen == tab:
            self._tab(tab)
        self.tabs.chosen = tab

    def _clicked(self, latitude: float, longitude: float) -> None:
        shown = [spec["key"] for spec in self.layers if spec["visible"]]
        swiped = [key for key in (self.sides.left, self.sides.right) if key]
        self.here.look(latitude, longitude, [*swiped, *shown[::-1]])
        self.tabs.chosen = HERE

    def _dot_clicked(self, key: str) -> None:
        rows, seen = self.drawn.of_dot(key), self.drawn.view
        if not len(rows) or seen is None:
            return
        if (
            len(rows) > 1
            and seen.zoom < DEEPEST
            and np.ptp(self.found.places.points[rows], axis=0).max() > 1e-7
        ):
            self._fit(rows)
            return
        items = self.found.items([self.found.places.names[int(rows[0])]])
        if items and len(rows) == 1 and specs.kind(items[0]):
            self.open(key_of(items[0]))
        elif items:
            self._show_card(items[0])

    def _tab(self, title: str) -> None:
        if title == SWIPE:
            self.sides.offer(self._pixels_in_view())
        elif title == JOB:
            self.send.offer()

    def _pixels_in_view(self) -> list[Item]:
        """Items with pixels in view, in the order of time."""
        rows = [row for row in self.drawn.rows if self.found.places.roles[row] != "photo"]
        found = self.found.items(self.found.places.names[row] for row in rows[: view.MOST_LISTED])
        return [item for item in found[::-1] if specs.kind(item)]

    def _area_changed(self) -> None:
        if self.tabs.chosen == JOB:
            self.send.offer()

    def _change_by_year(self) -> None:
        masks = sorted(self.drawn.masks(self.drawn.rows), key=period)
        if not masks:
            self.page.tell("No change mask in view: detect change first, under Jobs.", "warn")
            return
        self.layers.put(*({**layer(item), "name": f"Change {period(item)}"} for item in masks))

    # ------------------------------------------------------------ what jobs have left

    def show_results(self, run_id: str, items: list[Item]) -> None:
        """Put what a run has left on the map."""
        placed = [item for item in items if item.get("bbox")]
        if not placed:
            self.page.tell(f"Run {run_id[:6]} has ended; none of its results lies on the map.")
            return
        self.found.ask()
        self.drawn.put(*placed)
        around = bounds(placed)
        if around is not None:
            self.chart.fit(around)
        for model in (item for item in placed if models.is_model(item)):
            self.show_model(model)

    def show_model(self, model: Item) -> None:
        """A splat model with its orthophoto, heights, outline and cameras."""

        def show(found: tuple[list[Item], dict[str, Any]]) -> None:
            products, cameras = found
            self.drawn.put(*products)
            self.drawn.shape("model", specs.outlines([model], weight=2))
            self.drawn.shape("cameras", specs.shape(cameras, color="#e8590c", weight=2))
            self._show_card(model)

        self.page.aside(lambda: (models.products(self.found, model), models.cameras(self.found, model)), show)
