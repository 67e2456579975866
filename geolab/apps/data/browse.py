"""The catalogue as cards or a table: searched, filtered, turned page by page by the catalogue's tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import ipywidgets as widgets

from geolab import catalog
from geolab.apps import parts
from geolab.apps.data import about, facts, question
from geolab.apps.data.question import Question
from geolab.apps.shell import Page
from geolab.catalog import items
from geolab.errors import BadInput, one_line
from geolab.maps import origin

Item = Mapping[str, Any]
PAGE_ITEMS = 24
ROLES = {"": "Every type", "image": "Images", "photo": "Photos", "label": "Labels", "dsm": "Heights"}
ROLES |= {"product": "Products of runs"}
SORTS = {"newest": "Newest first", "oldest": "Oldest first", "title": "By title", "finest": "Finest first"}
COLUMNS = (
    parts.Column("thumb", "", "thumb"),
    parts.Column("title", "Title"),
    parts.Column("role", "Type"),
    parts.Column("time", "Time"),
    parts.Column("collection", "Collection"),
    parts.Column("resolution", "Resolution"),
    parts.Column("size", "Size"),
)
assert set(ROLES) == {"", *items.ROLES}


class Browser:
    """The search and what it finds. on_open(item): an item was chosen. `widget` is what is shown."""

    def __init__(self, page: Page, on_open: Callable[[Item], None], on_add: Callable[[], None]):
        self.page, self.on_open, self.on_add = page, on_open, on_add
        self.tokens: list[str | None] = [None]  # of the pages up to this one
        self.found = catalog.Page()
        self.asked, self.refused = Question(), False
        self._build(question.from_address(page.asked))
        self.show()

    # ------------------------------------------------------------ what is shown

    def _build(self, asked: Question) -> None:
        self.fields = Fields(self.page, asked, self.ask)
        self.cards = parts.Cards(on_open=self.open, empty="", label="Items")
        self.table = parts.Table(COLUMNS, on_open=self.open, empty="", page_rows=PAGE_ITEMS, label="Items")
        self.count = parts.text("", soft=True)
        self.before = parts.button("Previous", lambda: self.turn(-1))
        self.after = parts.button("Next", lambda: self.turn(1))
        self.form = widgets.ToggleButtons(options=["Cards", "Table"], layout={"width": "auto"})
        self.form.style.button_width = "auto"
        self.form.add_class("geolab-tabs-head")
        self.form.observe(lambda _: self._draw(), "value")
        self.place = parts.stack()
        self.collection = parts.stack()
        turning = parts.row(self.before, self.count, self.after, self.form)
        self.widget = parts.stack(self.fields.widget, self.collection, turning, self.place)

    def ask(self) -> None:
        """Search anew, from the first page."""
        self.tokens = [None]
        self.show()

    def turn(self, by: int) -> None:
        """Go to the next page, or back."""
        if by > 0 and self.found.next_token:
            self.tokens.append(self.found.next_token)
        elif by < 0 and len(self.tokens) > 1:
            self.tokens.pop()
        self.show()

    def show(self) -> None:
        """Look up the page that is asked for, and draw it."""
        asked = self.fields.question()
        try:
            search = question.search(asked, limit=PAGE_ITEMS, token=self.tokens[-1])
            self.found = catalog.open_catalog(self.page.settings).search(search)
        except BadInput as error:
            self.page.tell(str(error), "fail")
            self.refused = True
            return
        if self.refused:
            self.page.tell("")
        self.refused = False
        if asked != self.asked:
            self.asked = asked
            self.page.remember(**question.to_address(asked))
        self.fields.refresh()
        self._tell_collection()
        self._draw()

    def _draw(self) -> None:
        number, shown = PAGE_ITEMS * (len(self.tokens) - 1), self.found.items
        self.count.value = counted(number, len(shown), self.found.matched)
        self.before.disabled, self.after.disabled = len(self.tokens) == 1, not self.found.next_token
        if not shown:
            self.place.children = (self._nothing(),)
            return
        as_cards = self.form.value == "Cards"
        view = self.cards if as_cards else self.table
        view.rows = [card(item) if as_cards else line(item) for item in shown]
        self.place.children = (view,)

    def _tell_collection(self) -> None:
        name = self.asked.collection
        self.collection.children = (about.fold(self.page, name, self.show),) if name else ()

    def _nothing(self) -> widgets.Widget:
        if self.asked.restricts:
            return parts.empty(
                "No item fits. Take a word or a filter away.", parts.button("Show everything", self.clear)
            )
        told = (
            "Nothing is here yet. Add files, or ingest a folder; the sample world comes with 'geolab town'."
        )
        return parts.empty(told, parts.button("Add data", self.on_add, primary=True))

    def clear(self) -> None:
        """Take every restriction away."""
        self.fields.fill(Question())
        self.ask()

    def open(self, key: str) -> None:
        """Open the item of a card or line."""
        item = next((one for one in self.found.items if key_of(one) == key), None)
        if item is not None:
            self.on_open(item)


class Fields:
    """The fields of a search. on_ask(): one of them was changed."""

    def __init__(self, page: Page, asked: Question, on_ask: Callable[[], None]):
        self.page, self.on_ask, self._quiet = page, on_ask, False
        wide = widgets.Layout(width="auto", flex="1 1 220px", min_width="0")
        self.text = widgets.Text(placeholder="Search titles, ids, descriptions", layout=wide)
        self.collection = widgets.Dropdown(options=[("Every collection", "")], layout={"width": "auto"})
        self.role = widgets.Dropdown(options=[(v, k) for k, v in ROLES.items()], layout={"width": "auto"})
        self.sort = widgets.Dropdown(options=[(v, k) for k, v in SORTS.items()], layout={"width": "auto"})
        self.start, self.end = (_day(label) for label in ("from", "to"))
        self.bbox = widgets.Text(placeholder="west,south,east,north", layout=wide)
        self.filter = widgets.Textarea(placeholder="gsd < 1 AND title LIKE 'town%'", rows=2, layout=wide)
        for widget, label in self._labels():
            widget.continuous_update = False
            widget.tooltip = label
        self.map = parts.stack()
        self.widget = self._laid_out()
        self.refresh(asked.collection)
        self.fill(asked)
        for widget, _ in self._labels():
            widget.observe(self._changed, "value")

    def _labels(self) -> list[tuple[Any, str]]:
        told = "Search", "Collection", "Type", "Order", "From this day", "To this day", "Box", "CQL2 filter"
        found = self.text, self.collection, self.role, self.sort, self.start, self.end, self.bbox, self.filter
        return list(zip(found, told, strict=True))

    def _laid_out(self) -> widgets.Widget:
        draw = parts.button("Draw on the map", self._draw, hint="Draw the box on a map")
        clear = parts.button("Clear", self._clear, hint="Take every filter away")
        place = parts.stack(parts.row("Box", self.bbox, draw), self.map)
        days = parts.row("From", self.start, "to", self.end)
        expert = parts.row("CQL2", self.filter)
        more = parts.stack(parts.row(days, self.sort), place, expert, parts.row(clear))
        first = parts.row(self.text, self.collection, self.role)
        self.more = parts.Fold("More filters", more)
        return parts.card("", first, self.more)

    def fill(self, asked: Question) -> None:
        """Show a question, without asking it."""
        self._quiet = True
        try:
            self.text.value, self.bbox.value, self.filter.value = asked.text, asked.bbox, asked.filter
            self.start.value, self.end.value = asked.start, asked.end
            for widget, value in ((self.collection, asked.collection), (self.role, asked.role)):
                widget.value = value if value in [v for _, v in widget.options] else ""
            self.sort.value = asked.sort if asked.sort in SORTS else "newest"
            if replace(asked, text="", collection="", role="").restricts:
                self.more.opened = True
        finally:
            self._quiet = False

    def question(self) -> Question:
        """What the fields ask."""
        return Question(
            text=self.text.value.strip(),
            collection=str(self.collection.value or ""),
            role=str(self.role.value or ""),
            bbox=self.bbox.value.strip(),
            start=str(self.start.value or ""),
            end=str(self.end.value or ""),
            filter=self.filter.value.strip(),
            sort=str(self.sort.value),
        )

    def refresh(self, wanted: str = "") -> None:
        """The collections that there are now; one that was asked for by its name stays in the list."""
        named = [c["id"] for c in catalog.open_catalog(self.page.settings).collections()]
        named += [one for one in (wanted or self.collection.value,) if one and one not in named]
        options = [("Every collection", ""), *((one_line(name, 60), name) for name in named)]
        if tuple(options) != tuple(self.collection.options):
            self._quiet, chosen = True, self.collection.value
            self.collection.options = options
            self.collection.value = chosen if chosen in named else ""
            self._quiet = False

    def _changed(self, _change: object) -> None:
        if not self._quiet:
            self.page.guard(self.on_ask)()

    def _clear(self) -> None:
        self.fill(Question())
        self.page.guard(self.on_ask)()

    def _draw(self) -> None:
        from geolab.apps.aoi import AoiPicker  # the map loads when it is asked for

        if self.map.children:
            self.map.children = ()
            return
        picker = AoiPicker(self.page, value=self.bbox.value)
        picker.observe(lambda change: setattr(self.bbox, "value", change["new"]), "value")
        self.map.children = (picker,)


def _day(label: str) -> widgets.Text:
    made = widgets.Text(placeholder="2024-08-15", layout={"width": "110px"})
    made.tooltip = label
    return made


def counted(before: int, shown: int, matched: int) -> str:
    """Which of how many items are shown, in words, as HTML of a soft paragraph."""
    words = f"{before + 1:,} to {before + shown:,} of {matched:,} items" if shown else "No items"
    return f'<p class="geolab-text geolab-soft">{origin.safe(words)}</p>'


def key_of(item: Item) -> str:
    """What tells an item from all others on a page."""
    return f"{item.get('collection') or ''}/{item['id']}"


def card(item: Item) -> dict[str, Any]:
    """An item as a card."""
    told = [origin.role(item), facts.days(item), facts.resolution(item["properties"])]
    return {
        "id": key_of(item),
        "title": one_line(origin.title(item), 120),
        "note": " · ".join(one for one in told if one),
        "thumb": origin.preview_url(item) if facts.has_picture(item) else "",
    }


def line(item: Item) -> dict[str, Any]:
    """An item as a line of the table."""
    sizes = [asset.get("file:size") for asset in item["assets"].values() if isinstance(asset, Mapping)]
    return {
        **card(item),
        "role": origin.role(item),
        "time": facts.days(item),
        "collection": one_line(item.get("collection") or "", 80),
        "resolution": facts.resolution(item["properties"]),
        "size": facts.size(sum(n for n in sizes if isinstance(n, int))),
    }
