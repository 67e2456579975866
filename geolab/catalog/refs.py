"""Items by what a person types: an id, the beginning of one, a title, a file."""

from __future__ import annotations

from typing import Any, Protocol
from urllib.parse import urljoin

from geolab import store
from geolab.catalog.search import Page, Search
from geolab.errors import BadInput, NotFound, one_line

SHORTEST_PREFIX = 6
_LAST = "\U0010ffff"  # sorts behind every text that begins with the same characters


class Searchable(Protocol):
    """What this module needs of a catalogue."""

    def search(self, search: Search) -> Page: ...


def find(ref: str, catalog: Searchable) -> dict[str, Any]:
    """The one item that a text names.

    ref: an id, or `collection/id`, or a title that only one item has, or the first characters
    (6 or more) of only one id. Raises NotFound with close names, BadInput if several items fit.
    """
    for search in _readings(ref):
        found = catalog.search(search).items
        if len(found) > 1:
            names = ", ".join(f"{item.get('collection', '')}/{item['id']}" for item in found[:4])
            text = f"'{ref}' in {len(found)} items ({names})"
            raise BadInput("item", found=text, expected="one", remedy="name it as collection/id")
        if found:
            return found[0]
    recent = catalog.search(Search(limit=1000)).items
    known = {str(item["properties"].get("title") or item["id"]) for item in recent}
    raise NotFound("item", ref, known=known)


def _readings(ref: str) -> list[Search]:
    title = {"op": "=", "args": [{"property": "title"}, ref]}
    beginning = {
        "op": "and",
        "args": [
            {"op": ">=", "args": [{"property": "id"}, ref]},
            {"op": "<", "args": [{"property": "id"}, ref + _LAST]},
        ],
    }
    readings = [Search(ids=(ref,), limit=10)]
    collection, slash, item_id = ref.partition("/")
    if slash:
        readings.append(Search(ids=(item_id,), collections=(collection,), limit=10))
    readings.append(Search(filter=title, limit=10))
    if len(ref) >= SHORTEST_PREFIX:
        readings.append(Search(filter=beginning, limit=10))
    return readings


def locate(ref: str, catalog: Searchable) -> str:
    """The URI of the pixels: of a file or URI that is there, or of an item's main data asset.

    Raises NotFound; BadInput if several items fit or the item has no one main asset.
    """
    if store.local_path(ref) is None or store.exists(ref):
        return ref
    try:
        item = find(ref, catalog)
    except NotFound as error:
        raise NotFound("file or item", ref, known=error.known) from error
    return data_href(item)


def data_href(item: dict[str, Any]) -> str:
    """The URI of an item's main data asset: named 'data', or the only one of role 'data'.

    Raises BadInput if there is none, several, or a relative one.
    """
    assets = item.get("assets") or {}
    names = [name for name, asset in assets.items() if "data" in (asset.get("roles") or ())]
    name = "data" if "data" in assets else names[0] if len(names) == 1 else None
    if name is None:
        found = f"assets of role data: {', '.join(names) or 'none'}"
        raise BadInput(f"item '{item.get('id')}'", found=one_line(found, 120), expected="one main data asset")
    return _absolute(str(assets[name].get("href") or ""), item)


def _absolute(href: str, item: dict[str, Any]) -> str:
    if "://" in href or href.startswith("/"):
        return href
    base = next((link.get("href") for link in item.get("links") or () if link.get("rel") == "self"), None)
    if not isinstance(base, str) or not ("://" in base or base.startswith("/")):
        raise BadInput(
            f"item '{item.get('id')}'", found=f"the relative address {href!r}", expected="an absolute one"
        )
    return urljoin(base, href)
