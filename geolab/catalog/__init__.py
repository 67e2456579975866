"""What there is: STAC 1.1 items and collections behind one interface.

`open_catalog(settings)` gives the workspace's catalogue; `Search` is a question to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol, Self

from geolab.catalog import items, refs
from geolab.catalog.search import Page, Search, item_collection
from geolab.catalog.shapes import parse_bbox
from geolab.catalog.sqlite import SqliteCatalog
from geolab.settings import Settings

if TYPE_CHECKING:
    from geolab.catalog.places import Places

__all__ = [
    "Catalog",
    "Page",
    "Search",
    "find",
    "item_collection",
    "items",
    "locate",
    "open_catalog",
    "parse_bbox",
]

Item = dict[str, Any]


class Catalog(Protocol):
    """STAC items and collections, wherever they are stored.

    Writes are whole or not at all, and safe from several processes at once.
    """

    def put(self, items: Iterable[Item]) -> None:
        """Store items, all or none; one with the same collection and id is replaced."""
        ...

    def get(self, item_id: str, collection: str | None = None) -> Item:
        """The item. Raises NotFound; BadInput if several collections have one of that id."""
        ...

    def update(
        self, item_id: str, collection: str | None, change: Callable[[Item | None], Item | None]
    ) -> Item | None:
        """The item after `change`, which no other writer can come between."""
        ...

    def delete(self, item_id: str, collection: str | None) -> None:
        """Forget an item. Raises NotFound."""
        ...

    def search(self, search: Search) -> Page:
        """A page of the items that match, in a total order. Raises BadInput."""
        ...

    def places(self, search: Search, *, limit: int = 250_000) -> Places:
        """Where the newest `limit` items lie that the search finds; its own limit and order don't count."""
        ...

    def collections(self) -> list[dict[str, Any]]:
        """Every collection as a STAC document, by id, with the extent of its items."""
        ...

    def put_collection(self, document: dict[str, Any]) -> None:
        """Store what is said about a collection, over what was said before."""
        ...

    def close(self) -> None:
        """Let go of files and connections; the next use opens them again."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def open_catalog(settings: Settings) -> Catalog:
    """The catalogue of a workspace. Nothing is created before the first write."""
    return SqliteCatalog(settings.catalog_path)


def find(ref: str, catalog: Catalog | Settings) -> Item:
    """The one item that a text names: an id, a unique title, or the beginning of a unique id.

    Raises NotFound with close names, BadInput if several items fit.
    """
    if isinstance(catalog, Settings):
        with open_catalog(catalog) as opened:
            return refs.find(ref, opened)
    return refs.find(ref, catalog)


def locate(ref: str, catalog: Catalog | Settings) -> str:
    """The URI of the pixels: of a file or URI that is there, or of an item's main data asset.

    Raises NotFound; BadInput if several items fit or the item has no one main asset.
    """
    if isinstance(catalog, Settings):
        with open_catalog(catalog) as opened:
            return refs.locate(ref, opened)
    return refs.locate(ref, catalog)
