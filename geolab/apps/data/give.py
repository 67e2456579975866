"""What may be taken away of an item: a part of it as GeoTIFF, a link that needs no login."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import ipywidgets as widgets

from geolab.apps import parts
from geolab.apps.data import facts, question
from geolab.apps.shell import Page
from geolab.errors import BadInput
from geolab.maps import origin

Item = Mapping[str, Any]
EXPIRES = {
    "1 hour": timedelta(hours=1),
    "1 day": timedelta(days=1),
    "3 days": timedelta(days=3),
    "7 days": timedelta(days=7),
}


def clip(page: Page, item: Item) -> widgets.Widget | None:
    """A form that makes the address of a part; None for an item without a raster."""
    rasters = [name for name, asset in item["assets"].items() if facts.is_raster(asset)]
    return Clip(page, item, rasters).widget if rasters else None


class Clip:
    """A box, typed or drawn, and the link to what lies in it."""

    def __init__(self, page: Page, item: Item, rasters: list[str]):
        self.page, self.item = page, item
        self.asset = widgets.Dropdown(options=rasters, layout={"width": "auto"})
        self.bbox = widgets.Text(
            ",".join(f"{value:.6f}" for value in _box(item)),
            placeholder="west,south,east,north",
            layout={"width": "auto", "flex": "1 1 240px"},
        )
        self.bbox.tooltip = "west, south, east, north in degrees"
        self.place, self.map = parts.stack(), parts.stack()
        draw = parts.button("Draw on the map", self._draw)
        self.widget = parts.stack(parts.row(self.asset, self.bbox, draw), self.map, self.place)
        for widget in (self.asset, self.bbox):
            widget.observe(lambda _: self.show(), "value")
        self.show()

    def show(self) -> None:
        """The link, or why there is none."""
        try:
            box = within(question.box(self.bbox.value), _box(self.item))
        except BadInput as error:
            self.place.children = (parts.text(str(error), soft=True),)
            return
        href = origin.clip_url(self.item, str(self.asset.value), box)
        self.place.children = (parts.link("Download this part", href, download=True),)

    def _draw(self) -> None:
        from geolab.apps.aoi import AoiPicker  # the map loads when it is asked for

        if self.map.children:
            self.map.children = ()
            return
        picker = AoiPicker(self.page, items=[dict(self.item)])
        picker.observe(lambda change: self._drawn(change["new"]), "value")
        self.map.children = (picker,)

    def _drawn(self, box: str) -> None:
        if box:
            self.bbox.value = box


def _box(item: Item) -> tuple[float, ...]:
    box = item.get("bbox") or ()
    return (*box[:2], *box[len(box) // 2 : len(box) // 2 + 2]) if len(box) in (4, 6) else ()


def within(box: tuple[float, ...] | list[float], whole: tuple[float, ...]) -> tuple[float, ...]:
    """The box as west, south, east, north. Raises BadInput if nothing of the item lies in it."""
    west, south, east, north = (*box[:2], *box[len(box) // 2 : len(box) // 2 + 2])
    if whole and (south > whole[3] or north < whole[1] or _apart((west, east), (whole[0], whole[2]))):
        raise BadInput("box", found="a place outside this item", expected="one that touches it")
    return west, south, east, north


def _apart(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether two spans of longitude do not touch; one that crosses the date line is never found apart."""
    return one[0] <= one[1] and other[0] <= other[1] and (one[0] > other[1] or one[1] < other[0])


# ---------------------------------------------------------------- a link without a login


def share(page: Page, item: Item) -> widgets.Widget:
    """A form that makes a link to one file of the item, or to all that it is."""
    return Share(page, item).widget


class Share:
    """File and time, and the link."""

    def __init__(self, page: Page, item: Item):
        self.page, self.item = page, item
        self.asset = widgets.Dropdown(options=list(item["assets"]), layout={"width": "auto"})
        self.expires = widgets.Dropdown(options=list(EXPIRES), value="1 day", layout={"width": "auto"})
        make = parts.button("Make a link", page.guard(self.make), hint="A link that works without a login")
        self.place = parts.stack()
        told = parts.text("Whoever has the link can download the file until it expires.", soft=True)
        if not item["assets"]:
            self.widget = parts.text("It has no file to share.", soft=True)
            return
        self.widget = parts.stack(told, parts.row(self.asset, self.expires, make), self.place)

    def make(self) -> None:
        """Make the link and show it, ready to be copied."""
        from geolab import share  # one page in many needs it

        names = [str(self.item.get("collection") or ""), str(self.item["id"]), str(self.asset.value)]
        made = share.token(self.page.settings, "asset", names, EXPIRES[str(self.expires.value)])
        href = origin.shared_url(made)
        said = parts.text(f"It expires in {self.expires.value}.", soft=True)
        copy = parts.Copy("Copy link", href)
        copy.address = True
        self.place.children = (copy, parts.link("Open it", href, new=True), said)
