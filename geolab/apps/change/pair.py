"""The pair: suggested by the catalogue, any two images, or sent from the reader's machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from geolab import catalog, maps
from geolab.apps import parts
from geolab.apps.change.checks import Checks, item_of, moment
from geolab.apps.change.detection import Item, band_count, label
from geolab.apps.change.sent import Sent
from geolab.errors import GeolabError
from geolab.maps import origin

if TYPE_CHECKING:
    from geolab.apps.shell import Page

MOST_IMAGES = 400  # newest images among which pairs are looked for
MOST_PAIRS = 24
IMAGES = '"geolab:role" = \'image\' OR "geolab:role" IS NULL'


class Pair(widgets.VBox):
    """on_pair(): another pair was chosen, or a part of one. before, after: items, None until chosen."""

    def __init__(self, page: Page, on_pair: Callable[[], None]):
        self.page, self.on_pair = page, on_pair
        self.before: Item | None = None
        self.after: Item | None = None
        self.align = True
        self.pairs: dict[str, tuple[Item, Item]] = {}
        self.chosen, self.checks = parts.stack(), Checks(page, on_pair)
        self.suggested = widgets.VBox([parts.skeleton()])
        self.cards: parts.Cards | None = None
        self.pickers: tuple[Any, ...] = ()
        self.any_two = parts.stack()
        self.sent = Sent(page, self._sent)
        self.tabs = parts.tabs(
            {
                "Suggested": self.suggested,
                "Any two images": self.any_two,
                "Upload": self.sent,
            }
        )
        self.tabs.on_change(self._turned)
        super().__init__([self.tabs, self.chosen, self.checks])
        self.add_class("geolab-box")
        self.add_class("geolab-stack")
        page.aside(self._search, self._suggest)

    @property
    def ready(self) -> bool:
        """Whether there is a pair, and nothing known that stops a detection."""
        return self.before is not None and self.after is not None and self.checks.runnable

    def choose(self, before: Item | None, after: Item | None) -> None:
        """Take this pair."""
        self.before, self.after = before, after
        self._show()
        self.checks.look(before, after, align=self.align)
        self.on_pair()

    def aligned(self, align: bool) -> None:
        """Check the pair again for another setting of align."""
        if align != self.align:
            self.align = align
            self.checks.look(self.before, self.after, align=align)

    def swap(self) -> None:
        """Turn the two round."""
        self.choose(self.after, self.before)

    def _show(self) -> None:
        if self.before is None and self.after is None:
            self.chosen.children = ()
            return
        rows = [_card(name, item) for name, item in (("Before", self.before), ("After", self.after)) if item]
        swap = parts.button("Swap", self.swap, hint="Turn before and after round")
        cards = parts.Cards(rows, label="The pair")
        cards.add_class("geolab-pairs")
        self.chosen.children = (cards, parts.row(swap))

    # ------------------------------------------------------------ suggested

    def _search(self) -> list[tuple[Item, Item]]:
        search = catalog.Search(filter=IMAGES, sortby=("-datetime",), limit=MOST_IMAGES)
        images = catalog.open_catalog(self.page.settings).search(search).items
        alike: dict[int, list[Item]] = {}
        for item in images:  # images with other bands can't be compared
            alike.setdefault(band_count(item), []).append(item)
        found = [pair for group in alike.values() for pair in maps.pairs(group)]
        return sorted(found, key=lambda pair: moment(pair[1]))

    def _suggest(self, pairs: list[tuple[Item, Item]]) -> None:
        self.pairs = {f"{n}": pair for n, pair in enumerate(reversed(pairs[-MOST_PAIRS:]))}
        if not self.pairs:
            self.suggested.children = (
                parts.empty(
                    "There are no two images of one place yet. Upload both here, or bring in a folder.",
                    parts.button("Upload a pair", lambda: setattr(self.tabs, "chosen", "Upload")),
                    parts.link("Open Data", self.page.link("data")),
                ),
            )
            return
        rows = [
            {
                "id": key,
                "title": f"{label(before, '')} to {label(after, '')}",
                "note": f"{after.get('collection', '')} · {origin.title(after)}",
                "thumb": origin.preview_url(after),
            }
            for key, (before, after) in self.pairs.items()
        ]
        self.cards = parts.Cards(rows, select="one", label="Pairs of the catalogue")
        self.cards.add_class("geolab-pairs")
        self.cards.observe(self.page.guard(self._picked), "selected")
        self.suggested.children = (self.cards,)

    def _picked(self, change: Any) -> None:
        if change["new"] and change["new"][0] in self.pairs:
            self.choose(*self.pairs[change["new"][0]])

    # ------------------------------------------------------------ any two

    def _turned(self, title: str) -> None:
        if title != "Any two images" or self.pickers:
            return
        from geolab.apps import pickers  # only those who want it wait for it

        made = tuple(
            pickers.ItemPicker(self.page, roles=("image",), label=name) for name in ("Before", "After")
        )
        for one in made:
            one.observe(self.page.guard(self._paired), "value")
        self.pickers = made
        self.any_two.children = (parts.grid(*made, columns="1fr 1fr"),)

    def _paired(self, _: Any) -> None:
        found = []
        for one in self.pickers:
            try:
                found.append(item_of(self.page, one.value) if one.value else None)
            except GeolabError:
                found.append(None)  # the picker says what is wrong with it
        self.choose(*found)

    # ------------------------------------------------------------ sent

    def _sent(self, items: list[Item]) -> None:
        """Take what was uploaded: the first and the last by date."""
        if len(items) >= 2:
            self.choose(items[0], items[-1])
        else:
            self.page.tell("One image is here; send the other date as well.", "warn")
            self.choose(items[0], None)


def _card(name: str, item: Item) -> dict[str, Any]:
    note = " · ".join(filter(None, [moment(item)[:10] or "no date", str(item.get("collection") or "")]))
    return {
        "id": name,
        "title": f"{name}: {origin.title(item)}",
        "note": note,
        "thumb": origin.preview_url(item),
        "href": "",
    }
