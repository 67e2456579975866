"""Choosing what is in the workspace: items by their pictures, collections, models with their aliases."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
import traitlets as t

from geolab.apps import finders, parts
from geolab.apps.fields import Field
from geolab.apps.sheet import Sheet
from geolab.errors import GeolabError

if TYPE_CHECKING:
    from geolab.apps.shell import Page


class Picker(widgets.VBox):
    """One thing by its name. value: the text that a parameter takes, "" for none; `observe` it."""

    value = t.Unicode("")
    reference = ""
    said_label = ""

    def __init__(
        self, page: Page, *, roles: tuple[str, ...] = (), value: str = "", label: str = "", help: str = ""
    ):
        self.page, self.roles = page, roles
        made = Field(
            "value",
            label or self.said_label,
            help,
            "",
            "pick",
            empty=True,
            reference=self.reference,
            words=("latest",) if self.reference == "splats" else (),
            default="",
            named=False,
        )
        self._sheet = Sheet([made], {"value": value}, on_find=self._find)
        super().__init__([self._sheet], value=value)
        self._sheet.observe(lambda change: self.set_trait("value", change["new"]["value"]), "said")
        self.observe(self._set, "value")
        self._describe()

    def _set(self, change: Any) -> None:
        if change["new"] != self._sheet.said["value"]:
            self._sheet.write("value", change["new"])
        self._describe()

    def _describe(self) -> None:
        look = partial(described, self.reference, self.page.settings, self.value)
        self.page.aside(look, self._described)

    def _described(self, card: finders.Row | None) -> None:
        if card is None or card["value"] == self.value:
            self._sheet.cards = {"value": card} if card else {}

    def _find(self, name: str, text: str, page: int, number: int) -> None:
        look = partial(found, self.reference, self.page.settings, text, page, self.roles)
        self.page.aside(look, lambda answer: self._sheet.found(name, number, answer))


def described(reference: str, settings: Any, value: str) -> finders.Row | None:
    """What a value stands for; a model is not looked up before someone chooses one."""
    return finders.card(reference, settings, value)


def found(reference: str, settings: Any, text: str, page: int, roles: tuple[str, ...] = ()) -> finders.Answer:
    """A page of what may be chosen; with the problem in words where there is one."""
    try:
        return finders.find(reference, settings, text, page, roles=roles)
    except GeolabError as error:
        return {"rows": [], "words": "", "more": False, "page": page, "problem": str(error)}


class OneItem(Picker):
    """One item of the catalogue."""

    reference, said_label = "item", "Image"


class CollectionPicker(Picker):
    """One collection of the catalogue."""

    reference, said_label = "collection", "Collection"


class ModelPicker(Picker):
    """One model of the registry, by alias or version."""

    reference, said_label = "model", "Model"


class SplatsPicker(Picker):
    """One model of splats."""

    reference, said_label = "splats", "Splats"


class ManyItems(widgets.VBox):
    """Several items, chosen by their pictures. value: their names, in the order in which they were chosen."""

    value = t.List(t.Unicode())

    def __init__(self, page: Page, *, roles: tuple[str, ...] = ("image",), value: Any = (), label: str = ""):
        self.page, self.roles, self._page, self._said = page, roles, 0, ""
        self._search = widgets.Text(placeholder="Search by title, id or date", layout={"width": "auto"})
        self._search.observe(lambda _: self._look(0), "value")
        self._cards = parts.Cards([], select="many", empty="Nothing found.", label=label or "Items")
        self._cards.observe(self._chosen, "selected")
        self._words = parts.text("", soft=True)
        self._back = parts.button("Back", lambda: self._look(self._page - 1))
        self._more = parts.button("More", lambda: self._look(self._page + 1))
        turn = parts.row(self._words, self._back, self._more)
        super().__init__([self._search, self._cards, turn], value=list(value))
        self.add_class("geolab-stack")
        self.observe(lambda _: self._mark(), "value")
        self._look(0)

    def _look(self, number: int) -> None:
        self._page = max(0, number)
        look = partial(found, "item", self.page.settings, self._search.value, self._page, self.roles)
        self.page.aside(look, self._show)

    def _show(self, answer: finders.Answer) -> None:
        self._cards.rows = [{"id": row["value"], **row} for row in answer["rows"]]
        self._mark()
        self._back.disabled, self._more.disabled = answer["page"] == 0, not answer["more"]
        self._said = answer.get("problem") or answer["words"]
        self._say()

    def _say(self) -> None:
        chosen = f"{len(self.value)} chosen" if self.value else ""
        self._words.value = parts.text(" · ".join(filter(None, (self._said, chosen))), soft=True).value

    def _mark(self) -> None:
        shown = {row["id"] for row in self._cards.rows}
        marked = [name for name in self.value if name in shown]
        if set(marked) != set(self._cards.selected):
            self._cards.selected = marked
        self._say()

    def _chosen(self, change: Any) -> None:
        shown, marked = {row["id"] for row in self._cards.rows}, change["new"]
        kept = [name for name in self.value if name not in shown or name in marked]
        self.value = kept + [name for name in marked if name not in kept]


def ItemPicker(
    page: Page, *, roles: tuple[str, ...] = ("image",), many: bool = False, value: Any = "", label: str = ""
) -> OneItem | ManyItems:
    """A picker of items of these roles. value: one name, or with `many` several; so is its `.value`."""
    if many:
        return ManyItems(page, roles=roles, value=value or (), label=label)
    return OneItem(page, roles=roles, value=value, label=label)
