"""An area drawn on a map, over the images that are there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
import traitlets as t

from geolab import catalog
from geolab.apps.map.aoi import Area, written
from geolab.errors import GeolabError
from geolab.maps import specs
from geolab.maps.chart import Chart
from geolab.maps.layers import bounds

if TYPE_CHECKING:
    from geolab.apps.shell import Page
    from geolab.catalog import Item
    from geolab.settings import Settings

MOST_OUTLINES = 300
MOST_IMAGES = 4  # whose pixels are shown


class AoiPicker(widgets.VBox):
    """A map with a rectangle or polygon on it. value: "w,s,e,n", "" for none; geometry: GeoJSON, or {}.

    items: STAC items to show below; without them, those of the collections, or of the whole workspace.
    """

    value = t.Unicode("")
    geometry = t.Dict()

    def __init__(
        self,
        page: Page,
        *,
        items: Iterable[Item] = (),
        value: str = "",
        collections: Sequence[str] = (),
        height: str = "360px",
    ):
        self.page = page
        self.chart = Chart(height=height, label="Map to draw an area on")
        self._area = Area(page, self.chart, self._drawn)
        super().__init__([self.chart, self._area.widget])
        self.add_class("geolab-stack")
        if value:
            self._take(value)
        self.observe(page.guard(lambda change: self._take(change["new"])), "value")
        if listed := list(items):
            self.show(listed)
        else:
            page.aside(partial(_images, page.settings, tuple(collections)), self.show)

    def show(self, items: Sequence[Item]) -> None:
        """Put items below the area; the map shows the area, or all of them."""
        pictures = [item for item in items if specs.kind(item) == "image"][:MOST_IMAGES]
        self.chart.layers = [specs.tiles(item) for item in reversed(pictures)]
        self.chart.shapes = {"outlines": specs.outlines(items)}
        box = self._area.bbox
        around = ((box[1], box[0]), (box[3], box[2])) if box else bounds(items)
        if around:
            self.chart.fit(around)

    def _take(self, text: str) -> None:
        """Draw a value that was set."""
        if text == written(self._area.bbox):
            return
        if not text:
            self._area.clear()
            return
        try:
            west, south, east, north = catalog.parse_bbox(text)
        except (GeolabError, ValueError):  # its field says what is wrong with it
            return
        self._area.set_box((west, south, east + (360 if east < west else 0), north))

    def _drawn(self) -> None:
        self.geometry = self._area.geometry
        self.value = written(self._area.bbox)


def _images(settings: Settings, collections: tuple[str, ...]) -> list[dict[str, Any]]:
    """The newest items with an outline."""
    with catalog.open_catalog(settings) as opened:
        known = {str(c["id"]) for c in opened.collections()}
        named = [name for name in collections if name in known] or None
        plain = {"op": "<>", "args": [{"property": "geolab:role"}, "photo"]}
        untold = {"op": "isNull", "args": [{"property": "geolab:role"}]}
        search = catalog.Search(
            collections=named, filter={"op": "or", "args": [plain, untold]}, limit=MOST_OUTLINES
        )
        return opened.search(search).items
