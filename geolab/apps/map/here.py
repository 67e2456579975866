"""What is at one place: of every item there its values, its time, and the run that made it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
import numpy as np

from geolab.apps import parts
from geolab.apps.map.found import Found, name_of, period
from geolab.errors import GeolabError
from geolab.jobs import folders
from geolab.maps import origin, specs
from geolab.maps.chart import Chart
from geolab.maps.origin import title
from geolab.maps.reading import Reading, reading

if TYPE_CHECKING:
    from geolab.apps.shell import Page
    from geolab.catalog import Item

MOST = 12  # items that are read at one place
MOST_INPUTS = 8
NOTHING = "Click on the map: the values of every item there, and where they come from."


class Here:
    """The panel. shown: keys of layers that are looked at; they come first."""

    def __init__(self, page: Page, found: Found, chart: Chart):
        self.page, self.found, self.chart = page, found, chart
        self._number = 0
        self._place = parts.stack(parts.text(NOTHING, soft=True))
        self.widget = self._place

    def look(self, latitude: float, longitude: float, shown: Sequence[str] = ()) -> None:
        """Read what is at a place, the layers that are shown first."""
        self._number += 1
        number = self._number
        self.chart.pin = {"lat": latitude, "lon": longitude}
        self._place.children = (_head(latitude, longitude), parts.skeleton())
        rows = self.found.places.within(longitude, latitude, longitude, latitude)
        rows = rows[self.found.places.roles[rows] != "photo"]
        names = [self.found.places.names[row] for row in rows]
        first = [n for n in names if "/".join(n) in shown]
        wanted = [*first, *(n for n in names if n not in first)]

        def work() -> list[tuple[Item, Reading | None, str]]:
            items = self.found.items(wanted[:MOST])
            read = [_tried(item, longitude, latitude) for item in items]
            return [one for one in read if one[1] is not None or one[2]]

        def do(read: list[tuple[Item, Reading | None, str]]) -> None:
            if number == self._number:
                self._show(latitude, longitude, read, len(wanted))

        self.page.aside(work, do)

    def _show(self, latitude: float, longitude: float, read: list[Any], total: int) -> None:
        cards = [self._card(*one) for one in read]
        if not cards:
            cards = [parts.text("No item has a pixel here.", soft=True)]
        more = total - MOST
        rest = [parts.text(f"{more} more items lie here; filter to see them.", soft=True)] if more > 0 else []
        self._place.children = (_head(latitude, longitude), *cards, *rest)

    def _card(self, item: Item, found: Reading | None, problem: str) -> widgets.Widget:
        facts: dict[str, Any] = {"Time": period(item)} if period(item) else {}
        if found is not None:
            facts |= {_unique(facts, band.name): band.text for band in found.bands}
            facts["Pixel"] = f"column {found.column}, row {found.row}"
        lines = [parts.text(problem, soft=True)] if problem else []
        return parts.card(
            title(item),
            parts.text(specs.note(item), soft=True),
            parts.facts(facts),
            *lines,
            *self._origin(item),
        )

    def _origin(self, item: Item) -> Sequence[widgets.Widget]:
        """The run that made an item, its executed notebook and its inputs, as links."""
        properties, found = item["properties"], []
        run = str(properties.get("geolab:run") or "")
        if run:
            words = f"{properties.get('geolab:notebook') or 'run'} {run[:6]}"
            found.append(parts.link(f"Made by {words}", self.page.link("monitor", run=run)))
            found.append(
                parts.link("Executed notebook", origin.run_file_url(run, folders.NOTEBOOK), new=True)
            )
        collection, item_id = name_of(item)
        found.append(parts.link("Item", self.page.link("data", collection=collection, item=item_id)))
        rows = [parts.row(*found)]
        inputs = list(self._inputs(item))
        if inputs:
            rows.append(parts.row(parts.text("Inputs", soft=True), *inputs))
        return rows

    def _inputs(self, item: Item) -> Iterable[widgets.Widget]:
        sources = [
            str(link.get("title") or "")
            for link in item.get("links", [])
            if link.get("rel") == "derived_from"
        ]
        known = {s: self._title(s) for s in sources[:MOST_INPUTS] if s}
        yield from (parts.link(name, self.page.link("data", item=source)) for source, name in known.items())
        if len(sources) > MOST_INPUTS:
            yield parts.text(f"and {len(sources) - MOST_INPUTS} more", soft=True)

    def _title(self, item_id: str) -> str:
        try:
            return title(self.found.catalog.get(item_id))
        except GeolabError:
            return item_id


def _tried(item: Item, longitude: float, latitude: float) -> tuple[Item, Reading | None, str]:
    """The item, what it says, and what went wrong; an item that does not reach the place says nothing."""
    if not specs.kind(item):
        inside = _has(item, longitude, latitude)
        return item, None, "A model in 3-D: no pixels to read." if inside else ""
    try:
        return item, reading(item, longitude, latitude), ""
    except GeolabError as error:
        return item, None, str(error)


def _has(item: Item, longitude: float, latitude: float) -> bool:
    import shapely

    return bool(item.get("geometry")) and shapely.geometry.shape(item["geometry"]).contains(
        shapely.Point(np.array([longitude, latitude]))
    )


def _head(latitude: float, longitude: float) -> widgets.Widget:
    return parts.heading(f"{latitude:.5f}, {longitude:.5f}")


def _unique(known: dict[str, Any], name: str) -> str:
    while name in known:
        name += "'"
    return name
