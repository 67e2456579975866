"""Filters, and the list of what is in view, page by page."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
import numpy as np
from numpy.typing import NDArray

from geolab.apps import parts
from geolab.apps.map.found import Filters, Found, key_of
from geolab.catalog import times
from geolab.errors import BadInput
from geolab.maps.origin import day, preview_url, title
from geolab.maps.specs import note

if TYPE_CHECKING:
    from geolab.apps.shell import Page

PAGE_ROWS = 25
ROLES = {
    "Everything": "",
    "Images": "image",
    "Photos": "photo",
    "Products": "product",
    "Heights": "dsm",
    "Labels": "label",
}


class Finder:
    """The panel. on_open(key): an item was opened; on_action(name, keys): a button for some."""

    def __init__(
        self,
        page: Page,
        found: Found,
        *,
        on_open: Callable[[str], None],
        on_action: Callable[[str, list[str]], None],
        on_all: Callable[[], None],
    ):
        self.page, self.found = page, found
        self.rows: NDArray[np.intp] = np.empty(0, np.intp)
        self.first = 0
        self.table = parts.Table(
            [
                parts.Column("title", "Item"),
                parts.Column("day", "Date", "date"),
                parts.Column("thumb", "", "thumb"),
            ],
            select="many",
            on_open=on_open,
            actions=[
                parts.Action("show", "Show"),
                parts.Action("swipe", "Swipe two"),
                parts.Action("job", "Use in a job"),
            ],
            on_action=on_action,
            empty="Nothing in view fits the filters. Zoom out, or clear a filter.",
            page_rows=PAGE_ROWS,
            label="Items in view",
        )
        self._count = parts.text("", soft=True)
        self._before = parts.button("‹", lambda: self._turn(-1), hint="The page before")
        self._after = parts.button("›", lambda: self._turn(1), hint="The next page")
        fit = parts.button("Fit to all", on_all, hint="Show everything that fits the filters")
        self.filters = self._fields()
        self.clear = parts.button("Clear", self._cleared, hint="Take all filters away")
        self.widget = parts.stack(
            self._form(),
            parts.row(fit, self.clear),
            parts.row(self._count, self._before, self._after),
            self.table,
        )
        self.widget.add_class("geolab-finder")

    # ------------------------------------------------------------ filters

    def _fields(self) -> dict[str, Any]:
        now = self.found.filters
        names = [c["id"] for c in self.found.catalog.collections()]
        collections = [("All collections", ""), *((name[:60], name) for name in names)]
        known = now.collection if now.collection in names else ""
        fields: dict[str, Any] = {
            "text": _box(
                widgets.Text(value=now.text, placeholder="Search titles", continuous_update=False),
                "Search titles",
            ),
            "collection": _box(widgets.Dropdown(options=collections, value=known), "Collection"),
            "role": _box(
                widgets.Dropdown(
                    options=list(ROLES.items()), value=now.role if now.role in ROLES.values() else ""
                ),
                "Kind",
            ),
            "since": _box(
                widgets.Text(value=now.since, placeholder="From 2021-01-01", continuous_update=False),
                "From, a day",
            ),
            "until": _box(
                widgets.Text(value=now.until, placeholder="To 2024-12-31", continuous_update=False),
                "To, a day",
            ),
        }
        for name, field in fields.items():
            field.observe(
                self.page.guard(lambda change, name=name: self._asked(name, str(change["new"]))), "value"
            )
        return fields

    def _form(self) -> widgets.Widget:
        names = ("text", "collection", "role", "since", "until")
        return parts.box([self.filters[name] for name in names], "geolab-filters")

    def _asked(self, name: str, value: str) -> None:
        if value == getattr(self.found.filters, name):
            return
        if name in ("since", "until") and value and times.date_span(value.strip()) is None:
            raise BadInput(
                f"{'from' if name == 'since' else 'to'}",
                found=value[:40],
                expected="a day such as 2024-08-15, a month or a year",
            )
        self.page.tell("")
        self.found.ask(**{name: value.strip()})

    def _cleared(self) -> None:
        for name, field in self.filters.items():
            field.value = getattr(Filters(), name)

    # ------------------------------------------------------------ the list

    def show(self, rows: NDArray[np.intp]) -> None:
        """Show these rows of what was found, newest first; only photos and areas in view are given."""
        if np.array_equal(rows, self.rows) and self.table.rows:
            return
        self.rows, self.first = rows, 0
        self._page()

    def forget(self) -> None:
        """The filters have found others."""
        self.rows, self.table.rows = np.empty(0, np.intp), []

    def _turn(self, by: int) -> None:
        self.first = min(max(self.first + by * PAGE_ROWS, 0), max(len(self.rows) - 1, 0))
        self._page()

    def _page(self) -> None:
        places, shown = self.found.places, self.rows[self.first : self.first + PAGE_ROWS]
        items = self.found.items(places.names[row] for row in shown)
        self.table.rows = [
            {"id": key_of(i), "thumb": preview_url(i), "title": f"{title(i)[:200]}\n{note(i)}", "day": day(i)}
            for i in items
        ]
        ends = f"{self.first + 1}-{self.first + len(shown)}" if len(shown) else "None"
        more = f", {places.matched:,} in all" if places.matched != len(self.rows) else ""
        self._count.value = parts.text(f"{ends} of {len(self.rows):,} in view{more}", soft=True).value
        self._before.disabled = self.first == 0
        self._after.disabled = self.first + PAGE_ROWS >= len(self.rows)


def _box(field: Any, label: str) -> Any:
    """A field with a name for readers of screens; its own label would take the room of the field."""
    field.layout.width = "auto"
    field.tooltip = label
    return field
