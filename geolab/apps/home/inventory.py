"""What is in the workspace: collections with a picture each, how much there is, how much room it takes."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from geolab import catalog
from geolab.apps import parts, words
from geolab.errors import one_line
from geolab.maps import origin
from geolab.settings import Settings

if TYPE_CHECKING:
    from geolab.apps.shell import Page

MOST = 24  # collections with a picture
PATIENCE_S = 2.0  # for adding up the sizes of files
RESULTS = "results"
PICTURED = ("image", "photo", "product", "dsm")  # the earlier ones are shown first
NEWEST, OF_A_KIND = 8, 3  # items that are shown


@dataclass(frozen=True)
class Collection:
    """One collection. newest: its newest item with pixels, or any; dates: of its first and last item."""

    name: str
    title: str
    count: int
    dates: tuple[str, str]
    newest: Mapping[str, Any] | None


@dataclass(frozen=True)
class Inventory:
    """What there is. bytes: of the workspace's files, or of those that could be added up in a while."""

    items: int
    collections: tuple[Collection, ...]
    roles: Mapping[str, int]
    models: bool
    bytes: int
    all_counted: bool
    newest: tuple[Mapping[str, Any], ...] = ()


def look(settings: Settings) -> Inventory:
    """What there is now. Raises CatalogError."""
    with catalog.open_catalog(settings) as opened:
        documents = opened.collections()
        found = tuple(_collection(opened, document) for document in documents[:MOST])
        roles = {role: _count(opened, role) for role in ("image", "photo", "label")}
        total = opened.search(catalog.Search(limit=1)).matched
        newest = tuple(_newest(opened)) if total else ()
    count, whole = _bytes(settings.home)
    return Inventory(total, found, roles, _any_model(settings), count, whole, newest)


def _newest(opened: catalog.Catalog) -> list[Mapping[str, Any]]:
    """The newest items that have a picture, few of each collection and kind."""
    seen, found = dict[tuple[str, str], int](), list[Mapping[str, Any]]()
    for item in opened.search(catalog.Search(limit=200)).items:
        kind = (str(item.get("collection")), origin.role(item))
        seen[kind] = seen.get(kind, 0) + 1
        if kind[1] in PICTURED and seen[kind] <= OF_A_KIND:
            found.append(item)
    return found[:NEWEST]


def _collection(opened: catalog.Catalog, document: Mapping[str, Any]) -> Collection:
    name = str(document["id"])
    page = opened.search(catalog.Search(collections=(name,), limit=12))
    pictures = sorted(page.items, key=lambda item: _rank(origin.role(item)))  # in order of time else
    times = [origin.day(item) for item in page.items if origin.day(item)]
    extent = (document.get("extent") or {}).get("temporal", {}).get("interval") or [[None, None]]
    first, last = ((str(end)[:10] if end else "") for end in extent[0])
    dates = (first or min(times, default=""), last or max(times, default=""))
    return Collection(
        name,
        str(document.get("title") or name),
        page.matched,
        dates,
        next(iter(pictures), None),
    )


def _rank(role: str) -> int:
    return PICTURED.index(role) if role in PICTURED else len(PICTURED)


def _count(opened: catalog.Catalog, role: str) -> int:
    return opened.search(catalog.Search(filter=f"\"geolab:role\" = '{role}'", limit=1)).matched


def _any_model(settings: Settings) -> bool:
    """Whether a network was ever trained here, by the folders of runs: MLflow would take seconds to ask."""
    return any((settings.runs / "03_train_change").glob("*/report.json"))


def _bytes(home: Path) -> tuple[int, bool]:
    """The size of all files below a folder, and whether all of them were counted in time."""
    total, until, folders = 0, time.monotonic() + PATIENCE_S, [home]
    while folders:
        if time.monotonic() > until:
            return total, False
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(Path(entry.path))
                    elif entry.is_file(follow_symlinks=False):
                        total += entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue  # a run has just cleared it away
    return total, True


# ---------------------------------------------------------------- shown


def shown(page: Page, found: Inventory) -> list[widgets.Widget]:
    """The collections as cards below one line of figures; nothing where there are none."""
    if not found.collections:
        return []
    cards = parts.Cards([_card(page, one) for one in found.collections], label="Collections")
    newest = parts.Cards([_item_card(page, item) for item in found.newest], label="Newest items")
    newest.add_class("geolab-strip")
    shown = [parts.card("In the workspace", parts.text(summary(found), soft=True), cards)]
    return [*shown, parts.card("Newest", newest)] if found.newest else [*shown]


def _item_card(page: Page, item: Mapping[str, Any]) -> dict[str, Any]:
    name = f"{item['collection']}/{item['id']}"
    return {
        "id": name,
        "title": one_line(origin.title(item), 60),
        "note": " ".join(filter(None, [origin.day(item), origin.role(item)])),
        "thumb": origin.preview_url(item),
        "href": page.link("data", item=item["id"], collection=item["collection"]),
    }


def summary(found: Inventory) -> str:
    """1,204 items in 3 collections, 8.1 GB."""
    several = "" if len(found.collections) == 1 else "s"
    count = f"{found.items:,} item{'' if found.items == 1 else 's'}"
    room = f"{'' if found.all_counted else 'over '}{words.size(found.bytes)} on disk"
    return f"{count} in {len(found.collections)} collection{several}, {room}"


def _card(page: Page, one: Collection) -> dict[str, Any]:
    first, last = one.dates
    days = first if first == last else f"{first} to {last}"
    note = ", ".join(filter(None, [f"{one.count:,} item{'' if one.count == 1 else 's'}", days]))
    thumb = origin.preview_url(one.newest) if one.newest is not None else ""
    return {
        "id": one.name,
        "title": one_line(one.title, 80),
        "note": note,
        "thumb": thumb,
        "href": page.link("data", collection=one.name),
    }
