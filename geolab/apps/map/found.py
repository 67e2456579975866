"""What the filters find: all places at once as arrays, and the items of those that are looked at."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from geolab import catalog
from geolab.catalog.places import Places
from geolab.errors import GeolabError
from geolab.maps.clusters import View, pixels
from geolab.maps.origin import day

if TYPE_CHECKING:
    from geolab.apps.shell import Page
    from geolab.catalog import Item

Name = tuple[str, str]  # collection, id

FIRST = 20_000  # places that are looked up before the page is shown; the others follow
SMALLEST_PX = 14  # what is smaller on the screen is a dot
KEPT = 3_000  # items whose documents are remembered


@dataclass(frozen=True)
class Filters:
    """What is asked for; what is empty does not restrict. since, until: days, 2024-08-15."""

    collection: str = ""
    role: str = ""
    text: str = ""
    since: str = ""
    until: str = ""

    def search(self) -> catalog.Search:
        """The filters as a question to the catalogue."""
        wanted = [*self._role(), *self._text()]
        where = {"op": "and", "args": wanted} if len(wanted) > 1 else wanted[0] if wanted else None
        span = f"{self.since or '..'}/{self.until or '..'}" if self.since or self.until else None
        return catalog.Search(
            collections=(self.collection,) if self.collection else None, datetime=span, filter=where
        )

    def _role(self) -> list[dict[str, Any]]:
        return [_call("=", {"property": "geolab:role"}, self.role)] if self.role else []

    def _text(self) -> list[dict[str, Any]]:
        if not self.text.strip():
            return []
        plain = "".join(f"\\{c}" if c in "%_\\" else c for c in self.text.strip())
        pattern = _call("casei", f"%{plain}%")
        fields = ({"property": name} for name in ("title", "id"))
        return [_call("or", *(_call("like", _call("casei", field), pattern) for field in fields))]


def _call(name: str, *arguments: Any) -> dict[str, Any]:
    return {"op": name, "args": list(arguments)}


class Found:
    """The places that the filters find. on_change: called when there are others."""

    def __init__(self, page: Page):
        self.page, self.catalog = page, catalog.open_catalog(page.settings)
        self.filters, self.places = Filters(), Places()
        self.on_change: list[Callable[[], None]] = []
        self._known: dict[Name, Item] = {}
        self._lock = threading.Lock()
        self._asked = 0

    # ------------------------------------------------------------ asking

    def begin(self, filters: Filters) -> None:
        """Look up the newest places now, and the others aside when there are more."""
        self.filters = filters
        self.places = self.catalog.places(filters.search(), limit=FIRST)
        if self.places.matched > len(self.places):
            self.ask()

    def ask(self, **changes: str) -> None:
        """Ask the catalogue again, with some filters changed; what was asked before is forgotten."""
        filters, self._asked = replace(self.filters, **changes), self._asked + 1
        self.filters, number = filters, self._asked
        search = filters.search()

        def take(places: Places) -> None:
            if number == self._asked:
                self.places = places
                self._known.clear()
                for act in self.on_change:
                    act()

        self.page.aside(lambda: self.catalog.places(search), take)

    def newest_image(self) -> Item | None:
        """The newest image that the filters find, among the places or not."""
        search = replace(self.filters, role=self.filters.role or "image").search()
        found = self.catalog.search(replace(search, limit=1)).items
        return found[0] if found else None

    # ------------------------------------------------------------ items

    def items(self, names: Iterable[Name]) -> list[Item]:
        """The items of these names, in their order; those that are gone are left out."""
        with self._lock:
            return self._items(list(names))

    def _items(self, wanted: list[Name]) -> list[Item]:
        missing: dict[str, list[str]] = {}
        for collection, item_id in wanted:
            if (collection, item_id) not in self._known:
                missing.setdefault(collection, []).append(item_id)
        for collection, ids in missing.items():
            search = catalog.Search(collections=(collection,), ids=ids, limit=min(len(ids), 10_000))
            for item in self.catalog.search(search).items:
                self._known[(collection, item["id"])] = item
        shown = [self._known[name] for name in wanted if name in self._known]
        while len(self._known) > KEPT:
            del self._known[next(iter(self._known))]
        return shown

    def item(self, ref: str) -> Item | None:
        """The item that a text names: collection/id, an id or a title; None, and a line, if there is none."""
        collection, _, item_id = ref.partition("/")
        try:
            if item_id and (known := self.items([(collection, item_id)])):
                return known[0]
            return catalog.find(ref, self.catalog)
        except GeolabError as error:
            self.page.fault(error)
            return None

    def rows_of(self, *, role: str = "", rows: NDArray[np.intp] | None = None) -> NDArray[np.intp]:
        """The rows of one role, among these."""
        chosen = np.arange(len(self.places)) if rows is None else rows
        return chosen[self.places.roles[chosen] == role] if role else chosen

    # ------------------------------------------------------------ what is in view

    def small(self, rows: NDArray[np.intp], view: View) -> NDArray[np.bool_]:
        """Which of the rows are photos, or too small in this view to be seen as areas."""
        boxes = self.places.boxes[rows]
        low, high = pixels(boxes[:, :2], view.zoom), pixels(boxes[:, 2:], view.zoom)
        tiny = np.abs(high - low).max(axis=1, initial=0) < SMALLEST_PX
        return (self.places.roles[rows] == "photo") | tiny

    def days(self, rows: NDArray[np.intp]) -> list[str]:
        """The days of these rows, in their order."""
        return [day_of(int(time)) for time in self.places.times[rows]]


def day_of(microseconds: int) -> str:
    """The day of a time since 1970, UTC."""
    return datetime.fromtimestamp(microseconds / 1e6, UTC).strftime("%Y-%m-%d")


def name_of(item: Item) -> Name:
    return str(item.get("collection") or ""), str(item["id"])


def key_of(item: Item) -> str:
    """The name of an item's layer."""
    return "/".join(name_of(item))


def period(item: Item) -> str:
    """The days between which a product shows change, or the one of anything: 2021-06-18 to 2024-09-06."""
    first, last = day(item), str(item["properties"].get("end_datetime") or "")[:10]
    return f"{first} to {last}" if last and last != first else first
