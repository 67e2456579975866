"""STAC items: build them, and check them against the schemas they name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from geolab.catalog import shapes

STAC_VERSION = "1.1.0"
PREFIX = "geolab:"  # of the properties that are our own
ROLES = ("image", "label", "dsm", "photo", "product")  # of geolab:role

EXTENSIONS = {  # prefix of the fields: address of the schema
    "eo": "https://stac-extensions.github.io/eo/v2.0.0/schema.json",
    "file": "https://stac-extensions.github.io/file/v2.1.0/schema.json",
    "processing": "https://stac-extensions.github.io/processing/v1.2.0/schema.json",
    "proj": "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "raster": "https://stac-extensions.github.io/raster/v2.0.0/schema.json",
    "view": "https://stac-extensions.github.io/view/v1.0.0/schema.json",
}


def item(
    item_id: str,
    *,
    collection: str,
    geometry: Mapping[str, Any] | None,
    datetime: str | None,
    properties: Mapping[str, Any] | None = None,
    assets: Mapping[str, Mapping[str, Any]] | None = None,
    links: Iterable[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """A STAC 1.1 item with its bbox and the extensions that its fields belong to.

    geometry: GeoJSON in longitude and latitude, or None.
    datetime: RFC 3339, or None when properties hold start_datetime and end_datetime.
    Raises BadInput for a geometry that is none.
    """
    members: dict[str, Any] = {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": [],
        "id": item_id,
        "collection": collection,
        "geometry": None if geometry is None else dict(geometry),
        "properties": {"datetime": datetime, **(properties or {})},
        "links": [dict(link) for link in links],
        "assets": {name: dict(asset) for name, asset in (assets or {}).items()},
    }
    # STAC asks for a link of rel "collection" wherever a collection is named
    if not any(link.get("rel") == "collection" for link in members["links"]):
        members["links"].append({"rel": "collection", "href": "./collection.json"})
    if geometry is not None:
        members["bbox"] = bbox(geometry)
    members["stac_extensions"] = sorted(extensions(members))
    return members


def bbox(geometry: Mapping[str, Any]) -> list[float]:
    """West, south, east, north of a GeoJSON geometry; west > east across the antimeridian."""
    around = shapes.boxes(shapes.read(geometry, "geometry"))
    west, east = shapes.longitudes([(box[0], box[2]) for box in around])
    return [west, min(box[1] for box in around), east, max(box[3] for box in around)]


def extensions(item: Mapping[str, Any]) -> set[str]:
    """The schemas of the extensions whose fields an item uses."""
    prefixes = {name.partition(":")[0] for name in _fields(item) if ":" in name}
    return {EXTENSIONS[prefix] for prefix in prefixes & set(EXTENSIONS)}


def _fields(item: Mapping[str, Any]) -> Iterator[str]:
    """Names of all fields of the properties, the assets, and their bands."""
    for holder in (item["properties"], *item["assets"].values()):
        yield from holder
        for band in holder.get("bands", ()):
            yield from band


def validate(item: Mapping[str, Any]) -> None:
    """Check an item against the STAC schema and those of the extensions it names, offline.

    Raises BadInput with the first fault, or for an extension whose schema geolab does not hold.
    """
    from geolab.catalog import validation  # pystac and jsonschema take a quarter of a second

    validation.validate(item)
