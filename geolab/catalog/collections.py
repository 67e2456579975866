"""STAC collections: what a user said about one, with the extent of its items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from geolab.catalog import times
from geolab.errors import BadInput, one_line


@dataclass(frozen=True)
class Extent:
    """What the items of a collection cover; None where no item says."""

    bbox: tuple[float, float, float, float] | None
    start: int
    stop: int


def check_collection(document: Mapping[str, Any]) -> str:
    """The id of the collection. Raises BadInput if it has none."""
    if not isinstance(document, Mapping):
        raise BadInput("STAC collection", found=one_line(repr(document), 60), expected="an object")
    collection_id = document.get("id")
    if not isinstance(collection_id, str) or not collection_id:
        raise BadInput("id of a STAC collection", found=one_line(repr(collection_id), 60), expected="a text")
    return collection_id


def collection(collection_id: str, given: Mapping[str, Any], extent: Extent | None) -> dict[str, Any]:
    """The STAC document of a collection.

    given: what was put; its extent holds only as long as the collection has no item.
    """
    document = {
        "type": "Collection",
        "stac_version": "1.1.0",
        "id": collection_id,
        "description": f"Items of {collection_id}",
        "license": "other",
        "links": [],
        **given,
    }
    whole = {"spatial": {"bbox": [[-180.0, -90.0, 180.0, 90.0]]}, "temporal": {"interval": [[None, None]]}}
    document["extent"] = {**whole, **(document.get("extent") or {})}
    if extent is not None:
        document["extent"]["temporal"] = {"interval": [[times.iso(extent.start), times.iso(extent.stop)]]}
        if extent.bbox is not None:
            document["extent"]["spatial"] = {"bbox": [list(extent.bbox)]}
    return document
