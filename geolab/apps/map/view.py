"""What the map shows, for a job: items that were chosen, or those in the area, or in view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from geolab.apps.map import asked
from geolab.apps.map.found import Filters, Found, Name
from geolab.apps.map.offers import Scene

if TYPE_CHECKING:
    from geolab.apps.map.aoi import Area
    from geolab.apps.map.drawn import Drawn, Rows

MOST_LISTED = 200  # images and products that a job can choose from


def scene(found: Found, drawn: Drawn, area: Area, chosen: Sequence[str]) -> Scene:
    """chosen: keys of items that were picked. It asks the catalogue: call it in a thread."""
    places, box = found.places, area.bbox
    rows = places.within(*_turned(box)) if box else drawn.rows
    photos = [places.names[row] for row in found.rows_of(role="photo", rows=rows)]
    images, products = (found.items(_names(found, role, rows)) for role in ("image", "product"))
    filters, view = found.filters, drawn.view
    return Scene(
        chosen=found.items((key.partition("/")[0], key.partition("/")[2]) for key in chosen),
        images=images,
        photos=photos,
        products=products,
        whole=_whole(found, photos),
        area=area.geometry,
        box=box or (view.box if view else None),
        collection=filters.collection,
        datetime=asked.span(filters),
    )


def _turned(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """The box with an east that is greater than its west."""
    west, south, east, north = box
    return west, south, east + (360 if east < west else 0), north


def _names(found: Found, role: str, rows: Rows) -> list[Name]:
    return [found.places.names[row] for row in found.rows_of(role=role, rows=rows)][:MOST_LISTED]


def _whole(found: Found, photos: Sequence[Name]) -> frozenset[str]:
    """The collections of which all photos are among these."""
    counts: dict[str, int] = {}
    for collection, _ in photos:
        counts[collection] = counts.get(collection, 0) + 1
    return frozenset(name for name, count in counts.items() if _photo_count(found, name) == count)


def _photo_count(found: Found, collection: str) -> int:
    search = replace(Filters(collection=collection, role="photo").search(), limit=1)
    return found.catalog.search(search).matched
