"""What is wrong, or odd, with a pair before it is run: from headers at once, from a few pixels soon after."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import ipywidgets as widgets

from geolab import catalog, raster
from geolab.apps import parts
from geolab.apps.change.detection import Item
from geolab.catalog import refs
from geolab.change import paircheck
from geolab.change.paircheck import Finding
from geolab.errors import BadInput, GeolabError, GridMismatch

if TYPE_CHECKING:
    from geolab.apps.shell import Page


class Checks(widgets.VBox):
    """The findings on one pair. runnable: False while something stops a detection.

    on_found(): the headers of a pair were looked at.
    """

    def __init__(self, page: Page, on_found: Callable[[], None]):
        self.page, self.on_found, self.runnable = page, on_found, True
        self.asked = 0
        super().__init__([])
        self.add_class("geolab-box")

    def look(self, before: Item | None, after: Item | None, *, align: bool) -> None:
        """Check a pair; nothing is shown while one of them is not chosen."""
        self.asked += 1
        if before is None or after is None:
            self.children = ()
            return
        number, uris = self.asked, (refs.data_href(dict(before)), refs.data_href(dict(after)))
        dates = (moment(before), moment(after))
        self.children = (parts.skeleton(3),)
        self.page.aside(
            lambda: of_headers(*uris, dates=dates, align=align),
            lambda found: self._headers(number, uris, found),
        )

    def _headers(self, number: int, uris: tuple[str, str], found: list[Finding]) -> None:
        if number != self.asked:
            return  # another pair was chosen meanwhile
        self.runnable = paircheck.runnable(found)
        self.children = (shown(found),)
        self.on_found()
        if self.runnable:
            self.page.aside(lambda: of_pixels(*uris), lambda more: self._pixels(number, [*found, *more]))

    def _pixels(self, number: int, found: list[Finding]) -> None:
        if number == self.asked:
            self.children = (shown(found),)


def of_headers(before: str, after: str, *, dates: tuple[str, str], align: bool) -> list[Finding]:
    """What the headers of two images say; one that can't be opened is a finding too."""
    try:
        infos = raster.read_info(before), raster.read_info(after)
    except GeolabError as error:
        return [Finding("files", "fail", str(error))]
    return paircheck.findings(*infos, dates=dates, align=align)


def of_pixels(before: str, after: str) -> list[Finding]:
    """What small samples say: brightness, and the shift where both lie on one grid."""
    try:
        return [paircheck.light(before, after), *_shift(before, after)]
    except GeolabError as error:
        return [Finding("pixels", "fail", str(error))]


def _shift(before: str, after: str) -> list[Finding]:
    from geolab.change import (
        coregister,
        sampling,
    )  # scikit-image: the first look at a page need not wait for it

    infos = raster.read_info(before), raster.read_info(after)
    try:
        raster.same_grid(*infos)
    except GridMismatch:
        return [Finding("shift", "ok", "is measured by the run, once the later image is warped")]
    try:
        found = sampling.shift_of(*infos)
    except BadInput as error:
        return [Finding("shift", "warn", str(error))]
    large = found.ok and found.length_px > coregister.LARGEST_SHIFT_PX
    text = found.describe() + ("; it will show as change along edges" if large else "")
    return [Finding("shift", "warn" if large else "ok", text)]


def shown(found: list[Finding]) -> widgets.Widget:
    """The findings, each with its state in words."""
    return parts.facts({one.what.capitalize(): parts.state(one.state, one.text) for one in found})


def moment(item: Item) -> str:
    """When an image was taken, RFC 3339; "" where nobody knows."""
    told = item["properties"]
    return str(told.get("datetime") or told.get("start_datetime") or "")


def item_of(page: Page, ref: str) -> Item:
    """The item that a parameter names. Raises NotFound, BadInput."""
    return catalog.find(ref, page.settings)


def ref_of(page: Page, item: Item) -> str:
    """How to name an item to a job: its id, with the collection only where several have one of that id."""
    try:
        catalog.find(str(item["id"]), page.settings)
    except BadInput:
        return f"{item['collection']}/{item['id']}"
    return str(item["id"])
