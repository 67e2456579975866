"""What came of a splat model: its orthophoto, heights and cameras, and its page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from geolab import catalog
from geolab.apps.map.found import Found
from geolab.maps import specs
from geolab.splats.names import KIND

if TYPE_CHECKING:
    from geolab.apps.shell import Page
    from geolab.catalog import Item

MOST = 2_000  # cameras


def is_model(item: Item) -> bool:
    """Whether an item is a model in 3-D."""
    return item["properties"].get("geolab:product") == KIND


def sources(item: Item) -> list[str]:
    """Ids of the items that an item was made from."""
    return [
        str(link.get("title"))
        for link in item.get("links", [])
        if link.get("rel") == "derived_from" and link.get("title")
    ]


def links(page: Page, item: Item) -> list[tuple[str, str]]:
    """Where to go on from an item: (words, address)."""
    three = [("Open in 3-D", page.link("splats", item=item["id"]))] if is_model(item) else []
    return [*three, ("Its page", page.link("data", collection=item["collection"], item=item["id"]))]


def products(found: Found, model: Item) -> list[Item]:
    """Rasters that were made from a model, or by the run that made it; heights first, images above them."""
    run = model["properties"].get("geolab:run")
    search = catalog.Search(collections=(str(model["collection"]),), bbox=model["bbox"], limit=500)
    near = found.catalog.search(search).items
    made = [
        i
        for i in near
        if specs.kind(i) and (model["id"] in sources(i) or (run and i["properties"].get("geolab:run") == run))
    ]
    return sorted(made, key=lambda item: specs.kind(item) == "image")


def cameras(found: Found, model: Item) -> dict[str, Any]:
    """Where the photos of a model were taken, as GeoJSON."""
    ids = sources(model)[:MOST]
    items: Sequence[Item] = found.catalog.search(catalog.Search(ids=ids, limit=MOST)).items if ids else ()
    places = [i["properties"].get("geolab:position") for i in items]
    known = [p[:2] for p in places if isinstance(p, list) and len(p) >= 2]
    return {"type": "MultiPoint", "coordinates": known}
