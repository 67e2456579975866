"""The Map page put together: the chart, and panels that find, order, compare, read and send."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
import numpy as np

from geolab import catalog, jobs
from geolab.apps import parts
from geolab.apps.map import models, timebar
from geolab.apps.map.aoi import Area, written
from geolab.apps.map.finder import Finder
from geolab.apps.map.found import Filters, Found, key_of
from geolab.apps.map.here import Here
from geolab.apps.map.offers import Scene
from geolab.apps.map.send import Send
from geolab.apps.map.sides import LEFT, RIGHT, Sides
from geolab.apps.map.timebar import TimeBar
from geolab.errors import GeolabError
from geolab.maps import specs
from geolab.maps.chart import Chart
from geolab.maps.clusters import Clusters, View, clusters
from geolab.maps.layerlist import LayerList
from geolab.maps.layers import bounds, point
from geolab.maps.origin import day

if TYPE_CHECKING:
    from geolab.apps.shell import Page
    from geolab.catalog import Item

STYLE = Path(__file__).with_name("page.css")
MOST_PIXELS = 12  # images of one date that are drawn
MOST_OUTLINES = 300
MOST_LISTED = 200  # images and products in view that panels choose from
RANK = {"image": 0, "height": 0, "probability": 1, "change": 2}  # from below to above

BASEMAPS: dict[str, dict[str, Any]] = {
    "None": {},
    "OpenStreetMap": {
        "url": "https://tile.openstreetmap.org/{z}/{x}/{y}.png",
        "native": 19,
        "words": "© OpenStreetMap contributors",
    },
    "Sentinel-2 cloudless, EOX": {
        "url": "https://tiles.maps.eox.at/wmts/1.0.0/s2cloudless-2020_3857/default/g/{z}/{y}/{x}.jpg",
        "native": 14,
        "words": "Sentinel-2 cloudless 2020 by EOX, contains Copernicus data",
    },
}
FIND, LAYERS, SWIPE, HERE, JOB = "Find", "Layers", "Swipe", "Here", "Area and jobs"


class Atlas:
    """The page. chart, found, layers, ...: its parts, each of which does one thing."""

    def __init__(self, page: Page):
        self.page, self.found = page, Found(page)
        self.chart = Chart(height="calc(100vh - 150px)", label="Map of the workspace")
        self.layers = LayerList(self.chart, on_change=self._layers_changed, on_zoom=self._zoom_to_layer)
        self.time = TimeBar(page.guard(self._date_chosen))
        self.sides = Sides(page, self.found, self.chart, self.layers)
        self.here = Here(page, self.found, self.chart)
        self.area = Area(page, self.chart, self._area_changed)
        self.send = Send(page, self.scene, self.found.items, self.show_results)
        self.chosen: list[str] = []  # keys of items that were picked for a job
        self._auto: set[str] = set()  # layers that the slider put there
        self._gone: set[str] = set()  # of these, those that were taken away by hand
        self._gathered: Clusters | None = None
        self._dots: dict[str, int] = {}
        self._day = ""
        self._begin()

    # ------------------------------------------------------------ the beginning

    def _begin(self) -> None:
        asked = self.page.asked
        since, _, until = str(asked["datetime"]).partition("/")
        span = (since, until if "/" in str(asked["datetime"]) else since)
        since, until = ("" if end == ".." else end for end in span)
        filters = Filters(asked["collection"], asked["role"], asked["text"], since, until)
        try:
            self.found.begin(filters)
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

    def _panels(self) -> None:
        ground = widgets.Dropdown(
            options=list(BASEMAPS), value="None", layout={"width": "auto"}, tooltip="Ground"
        )
        ground.observe(lambda change: self._ground(change["new"]), "value")
        self._asks = parts.text("", soft=True)
        by_year = parts.button(
            "Change by year",
            self.page.guard(self._change_by_year),
            hint="All change masks in view as layers, by their years",
        )
        layers = parts.stack(
            self.layers, parts.row(by_year), parts.row(parts.text("Ground", soft=True), ground), self._asks
        )
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
        asked = self.page.asked
        refs = [ref for ref in (asked["item"], *asked["items"]) if ref]
        if asked["item"] and asked["collection"] and "/" not in asked["item"]:
            refs[0] = f"{asked['collection']}/{asked['item']}"
        pinned = [item for ref in refs if (item := self.found.item(str(ref))) is not None]
        self.put(*pinned)
        if asked["run"]:
            self._run(asked["run"])
        box = self._asked_box()
        if box:
            self.chart.fit(box, exact=True)
        elif pinned and bounds(pinned):
            self.chart.fit(bounds(pinned))
        elif not asked["run"] or not self.chart.aim:
            self.fit_newest()
        self._day = str(asked["day"])

    def _asked_box(self) -> Any:
        text = str(self.page.asked["bbox"])
        if not text:
            return None
        try:
            west, south, east, north = catalog.parse_bbox(text)
        except (GeolabError, ValueError) as error:
            self.page.fault(error)
            return None
        return (south, west), (north, east + (360 if east < west else 0))

    def _run(self, run_id: str) -> None:
        """Show a run that is asked for: its panel, and its results when it has some."""
        view = jobs.show(run_id, settings=self.page.settings)
        self.send.follow(view.run_id)
        self.tabs.chosen = JOB

    def fit_newest(self) -> None:
        """Show the collection of the newest image, else of the newest item; the world where there is none."""
        places = self.found.places
        if not len(places):
            return
        images = self.found.rows_of(role="image")
        first = int(images[0]) if len(images) else 0
        name = places.names[first][0]
        rows = np.array([row for row, (other, _) in enumerate(places.names) if other == name])
        near = rows[np.abs(places.points[rows] - places.points[first]).max(axis=1) < 1.0]
        self._fit(near)

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

    @property
    def view(self) -> View | None:
        """What the page shows; before it has said so, what it is going to show."""
        seen = self.chart.seen
        if seen is not None or not self.chart.aim.get("bounds"):
            return seen
        (south, west), (north, east) = self.chart.aim["bounds"]
        return View(west, south, east + 1e-9, north + 1e-9, 17)

    def refresh(self) -> None:
        """Draw what is in view."""
        view = self.view
        if view is None:
            self.finder.show(np.arange(len(self.found.places)))
            self.time.offer((), ())
            return
        rows = self.found.places.within(*view.box)
        small = self.found.small(rows, view)
        self._draw_dots(view)
        self._draw_outlines(rows[~small])
        self.finder.show(rows)
        self._offer_dates(rows[~small])
        self._draw_pixels(rows[~small])
        self._remember(view)

    def _draw_dots(self, view: View) -> None:
        places = self.found.places
        rows = places.within(*view.wider(0.5).box)
        rows = rows[self.found.small(rows, view)]
        gathered = self._gathered = clusters(places.points, view, rows=rows)
        keys = [
            f"{view.zoom:g}:{places.names[f]}:{n}"
            for f, n in zip(gathered.firsts, gathered.counts, strict=True)
        ]
        self._dots = {key: dot for dot, key in enumerate(keys)}
        self.chart.dots = [
            (
                round(y, 7),
                round(x, 7),
                int(n),
                key,
                places.titles[f][:200],
                "photo" if places.roles[f] == "photo" else "item",
            )
            for (x, y), n, f, key in zip(
                gathered.places.tolist(), gathered.counts, gathered.firsts, keys, strict=True
            )
        ]

    def _draw_outlines(self, rows: Any) -> None:
        names = [self.found.places.names[row] for row in rows[:MOST_OUTLINES]]
        if names != getattr(self, "_outlined", None):
            self._outlined = names
            self._shape("outlines", specs.outlines(self.found.items(names)))

    def _shape(self, name: str, spec: dict[str, Any] | None) -> None:
        others = {key: one for key, one in self.chart.shapes.items() if key != name}
        self.chart.shapes = others if spec is None else {**others, name: spec}

    def _offer_dates(self, rows: Any) -> None:
        images = self.found.days(self.found.rows_of(role="image", rows=rows))
        self._periods = {key_of(item): _period(item) for item in self._masks(rows)}
        self.time.offer(images, list(self._periods.values()))
        if self._day:
            self.time.choose(self._day)
            self._day = ""

    def _masks(self, rows: Any) -> list[Item]:
        kinds = np.array([self.found.places.kinds[row] == "mask" for row in rows], bool)
        return self.found.items(self.found.places.names[row] for row in rows[kinds][:MOST_LISTED])

    def _draw_pixels(self, rows: Any) -> None:
        """The images of the date that is chosen, below everything that was put there by hand."""
        images, places = self.found.rows_of(role="image", rows=rows), self.found.places
        days = self.found.days(images)
        if self.time.kind == timebar.IMAGES:
            chosen, keys = self.time.chosen, set()
        else:
            ends = [day for day in days if day <= self.time.chosen[-10:]] or days
            chosen, keys = (
                max(ends, default=""),
                {k for k, p in self._periods.items() if p == self.time.chosen},
            )
        names = [places.names[row] for row, day in zip(images, days, strict=True) if day == chosen][
            :MOST_PIXELS
        ]
        wanted = {"/".join(name) for name in names} | keys
        self._set_auto(wanted - self._gone)

    def _set_auto(self, wanted: set[str]) -> None:
        present = {spec["key"] for spec in self.layers}
        old = self._auto - wanted
        items = self.found.items(tuple(key.split("/", 1)) for key in sorted(wanted - present))  # type: ignore[misc]
        if not old & present and not items:
            return
        kept = [spec for spec in self.layers if spec["key"] not in old]
        made = sorted((_layer(item) for item in items), key=lambda s: (RANK.get(s["kind"], 0), s["name"]))
        under = [spec for spec in made if spec["kind"] != "change"]
        above = [spec for spec in made if spec["kind"] == "change"]
        self._auto = (self._auto - old) | {spec["key"] for spec in made}
        self.layers.set([*under, *kept, *above])

    def _remember(self, view: View) -> None:
        west, east = (((v + 180) % 360) - 180 for v in (view.west, view.east))
        if self.chart.seen is not None and view.east - view.west < 360:
            self.page.remember(bbox=written((west, view.south, east, view.north)))

    # ------------------------------------------------------------ what the reader does

    def _found_others(self) -> None:
        filters = self.found.filters
        span = f"{filters.since or '..'}/{filters.until or '..'}" if filters.since or filters.until else ""
        self.page.remember(collection=filters.collection, role=filters.role, text=filters.text, datetime=span)
        self._outlined: list[Any] | None = None
        self.finder.rows = np.empty(0, np.intp)
        self.finder.table.rows = []
        self.refresh()

    def _date_chosen(self) -> None:
        self._gone.clear()
        self.page.remember(day=self.time.chosen if self.time.kind == timebar.IMAGES else "")
        self.refresh()

    def _layers_changed(self) -> None:
        present = {spec["key"] for spec in self.layers}
        self._gone |= self._auto - present
        self._auto &= present
        if self.sides.left and not {LEFT, RIGHT} <= present:
            self.sides.stop()
        pinned = [key for key in present - self._auto if key not in (LEFT, RIGHT)]
        self.page.remember(items=sorted(pinned) or None, item=None)

    def put(self, *items: Item) -> None:
        """Show the pixels of items, whatever the date."""
        made = sorted((_layer(item) for item in items if specs.kind(item)), key=lambda s: RANK[s["kind"]])
        self._auto -= {spec["key"] for spec in made}
        if made:
            self.layers.put(*made)

    def open(self, key: str) -> None:
        """Show an item: its pixels, the whole of it; a photo's card."""
        item = self.found.item(key)
        if item is None:
            return
        self.put(item)
        around = bounds([item])
        if around is not None:
            self.chart.fit(around)
        if not specs.kind(item):
            self._show_card(item)

    def _show_card(self, item: Item) -> None:
        place = point(item)
        links = [("Open in 3-D", self.page.link("splats", item=item["id"]))] if models.is_model(item) else []
        links.append(("Its page", self.page.link("data", collection=item["collection"], item=item["id"])))
        if place is not None:
            self.chart.card = specs.card(item, place, links=links)

    def _zoom_to_layer(self, key: str) -> None:
        known = {LEFT: self.sides.left, RIGHT: self.sides.right}.get(key, key)
        item = self.found.item(known)
        if item is not None and (around := bounds([item])) is not None:
            self.chart.fit(around)

    def _action(self, name: str, keys: Sequence[str]) -> None:
        if name == "swipe":
            self._swipe(keys)
        elif name == "job":
            self.chosen = list(keys)
            self.tabs.chosen = JOB
        else:
            self.put(*(item for key in keys if (item := self.found.item(key)) is not None))

    def _swipe(self, keys: Sequence[str]) -> None:
        if len(keys) != 2:
            self.page.tell(f"A swipe needs two items; {len(keys)} are chosen.", "warn")
            return
        items = [item for key in keys if (item := self.found.item(key)) is not None]
        first, second = (key_of(item) for item in sorted(items, key=day))
        self.sides.start(first, second)
        self.tabs.chosen = SWIPE

    def _clicked(self, latitude: float, longitude: float) -> None:
        shown = [spec["key"] for spec in self.layers if spec["visible"]]
        swiped = [key for key in (self.sides.left, self.sides.right) if key]
        self.here.look(latitude, longitude, [*swiped, *shown[::-1]])
        self.tabs.chosen = HERE

    def _dot_clicked(self, key: str) -> None:
        dot, gathered = self._dots.get(key), self._gathered
        if dot is None or gathered is None:
            return
        rows = gathered.of(dot)
        boxes = self.found.places.points[rows]
        view = self.view
        if len(rows) > 1 and view is not None and view.zoom < 22 and np.ptp(boxes, axis=0).max() > 1e-7:
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

    def _area_changed(self) -> None:
        if self.tabs.chosen == JOB:
            self.send.offer()

    def _ground(self, name: str) -> None:
        self.chart.basemap = BASEMAPS[name]
        words = (
            ""
            if name == "None"
            else "This asks a server outside of this workspace for pictures of what you look at."
        )
        self._asks.value = parts.text(words, soft=True).value

    def _change_by_year(self) -> None:
        masks = self._masks(self._rows_in_view())
        if not masks:
            self.page.tell("No change mask in view. Detect change first: Area and jobs.", "warn")
            return
        named = [{**_layer(item), "name": f"Change {_period(item)}"} for item in sorted(masks, key=_period)]
        self.layers.put(*named)
        self.page.tell("")

    # ------------------------------------------------------------ what panels ask

    def _rows_in_view(self) -> Any:
        view = self.view
        return np.arange(len(self.found.places)) if view is None else self.found.places.within(*view.box)

    def _pixels_in_view(self) -> list[Item]:
        """Items with pixels in view, in the order of time."""
        rows = self._rows_in_view()
        names = [self.found.places.names[row] for row in rows if self.found.places.roles[row] != "photo"]
        return [item for item in self.found.items(names[:MOST_LISTED])[::-1] if specs.kind(item)]

    def scene(self) -> Scene:
        """What the map shows, for a job."""
        rows, places = self._rows_in_view(), self.found.places
        box = self.area.bbox or (self.view.box if self.view else None)
        if self.area.bbox:
            west, south, east, north = self.area.bbox
            rows = places.within(west, south, east + (360 if east < west else 0), north)
        photos = [places.names[row] for row in self.found.rows_of(role="photo", rows=rows)]
        listed = {
            role: [places.names[r] for r in self.found.rows_of(role=role, rows=rows)][:MOST_LISTED]
            for role in ("image", "product")
        }
        keys = self.chosen or [key for key in (self.sides.left, self.sides.right) if key]
        return Scene(
            chosen=self.found.items(tuple(key.split("/", 1)) for key in keys),  # type: ignore[misc]
            images=self.found.items(listed["image"]),
            photos=photos,
            products=self.found.items(listed["product"]),
            whole=frozenset(
                name
                for name in {c for c, _ in photos}
                if self._photo_count(name) == sum(c == name for c, _ in photos)
            ),
            area=self.area.geometry,
            box=box,
            collection=self.found.filters.collection,
            datetime=str(self.page.asked["datetime"]),
        )

    def _photo_count(self, collection: str) -> int:
        filters = Filters(collection=collection, role="photo").search()
        return self.found.catalog.search(
            catalog.Search(collections=filters.collections, filter=filters.filter, limit=1)
        ).matched

    def show_results(self, run_id: str, items: list[Item]) -> None:
        """Put what a run has left on the map."""
        placed = [item for item in items if item.get("bbox")]
        if not placed:
            self.page.tell(f"Run {run_id[:6]} has ended; none of its results lies on the map.", "ok")
            return
        self.found.ask()
        self.put(*placed)
        around = bounds(placed)
        if around is not None and not self.page.asked["bbox"]:
            self.chart.fit(around)
        for model in (item for item in placed if models.is_model(item)):
            self.show_model(model)

    def show_model(self, model: Item) -> None:
        """A splat model with its orthophoto, heights, outline and cameras."""

        def show(found: tuple[list[Item], dict[str, Any]]) -> None:
            self.put(*found[0])
            self._shape("model", specs.outlines([model], weight=2))
            self._shape("cameras", specs.shape(found[1], color="#e8590c", weight=2))
            self._show_card(model)

        self.page.aside(lambda: (models.products(self.found, model), models.cameras(self.found, model)), show)


def _layer(item: Item) -> dict[str, Any]:
    """The layer of an item; a probability waits to be switched on."""
    spec = {**specs.tiles(item), "legend": specs.legend(item)}
    return {**spec, "visible": spec["kind"] != "probability"}


def _period(item: Item) -> str:
    """The years or days between which a product shows change: 2021-06-18 to 2024-09-06."""
    first, last = day(item), str(item["properties"].get("end_datetime") or "")[:10]
    return f"{first} to {last}" if last and last != first else first
