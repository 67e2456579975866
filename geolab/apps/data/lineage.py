"""Where an item comes from and what became of it: runs that made and used it, items it was made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from geolab import catalog, jobs
from geolab.errors import GeolabError, NotFound
from geolab.jobs import View, folders
from geolab.settings import Settings

Item = Mapping[str, Any]

MOST_RUNS = 5000  # the newest runs are looked through
MOST_USES = 50
SHORTEST = 6  # characters of an id's beginning that may name it


@dataclass(frozen=True)
class Lineage:
    """made: the run that made the item, if one did. sources: items it was made from; missing: ids of those
    that are gone. products: items made from it. used: runs that read it, newest first."""

    made: View | None = None
    sources: list[Item] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    products: list[Item] = field(default_factory=list)
    used: list[View] = field(default_factory=list)


def of(item: Item, settings: Settings) -> Lineage:
    """The lineage of an item, as ledger, reports and catalogue tell it."""
    opened = catalog.open_catalog(settings)
    sources, missing = _sources(item, opened)
    used, products = _uses(item, settings)
    return Lineage(_made(item, settings), sources, missing, products, used)


def _made(item: Item, settings: Settings) -> View | None:
    run_id = item["properties"].get("geolab:run")
    if not isinstance(run_id, str) or not run_id:
        return None
    try:
        return jobs.show(run_id, settings=settings)
    except GeolabError:
        return None  # the ledger is another's, or was made anew


def _sources(item: Item, opened: catalog.Catalog) -> tuple[list[Item], list[str]]:
    """The items that the links of rel derived_from name, and the names of those that are not there."""
    ids = [_linked(link) for link in item.get("links") or () if link.get("rel") == "derived_from"]
    ids = list(dict.fromkeys(one for one in ids if one))
    found = opened.search(catalog.Search(ids=ids, limit=1000)).items if ids else []
    known = {one["id"] for one in found}
    return list(found), [one for one in ids if one not in known]


def _linked(link: Mapping[str, Any]) -> str:
    href = str(link.get("href") or "")
    return href.removeprefix("#items/") if href.startswith("#items/") else str(link.get("title") or "")


def _uses(item: Item, settings: Settings) -> tuple[list[View], list[Item]]:
    used, products = list[View](), list[Item]()
    for view in jobs.runs(limit=MOST_RUNS, settings=settings):
        if len(used) >= MOST_USES:
            break
        if not any(_may_name(text, item) for text in _texts(view.parameters)):
            continue
        report = folders.read_report(view.folder) if view.state == "succeeded" else None
        if report is None or _read(item, report):
            used.append(view)
            products += (report or {}).get("outputs") or []
    return used, products


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)


def _may_name(text: str, item: Item) -> bool:
    """Whether a parameter's text is a name of the item, or of its collection."""
    item_id, collection = str(item["id"]), str(item.get("collection") or "")
    names = (item_id, f"{collection}/{item_id}", str(item["properties"].get("title") or ""), collection)
    return bool(text) and (text in names or (len(text) >= SHORTEST and item_id.startswith(text)))


def _read(item: Item, report: Mapping[str, Any]) -> bool:
    """Whether a run read the item, by itself or with its whole collection."""
    collection = item.get("collection") or ""
    for one in report.get("inputs") or ():
        if one.get("item_id") == item["id"] and (one.get("collection") or "") == collection:
            return True
        if one.get("kind") == "collection" and one.get("ref") == collection:
            return True
    return False


def found(collection: str, item_id: str, settings: Settings) -> Item:
    """The item of the page's address: by its collection and id, or by any name. Raises NotFound, BadInput."""
    opened = catalog.open_catalog(settings)
    if not collection:
        return catalog.find(item_id, opened)
    try:
        return opened.get(item_id, collection)
    except NotFound:
        title = {"op": "=", "args": [{"property": "title"}, item_id]}
        named = opened.search(catalog.Search(collections=(collection,), filter=title, limit=2)).items
        return named[0] if len(named) == 1 else catalog.find(f"{collection}/{item_id}", opened)
