"""Items for results: rasters that stay where a run put them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from geolab import raster, store
from geolab.catalog import items
from geolab.errors import BadInput, one_line
from geolab.ingest import dates, rasters


def product_item(
    uri: str,
    *,
    item_id: str,
    collection: str,
    title: str,
    properties: Mapping[str, Any],
    derived_from: Iterable[str] = (),
    datetime: str | None = None,
) -> dict[str, Any]:
    """An item for a raster that stays at `uri`; only its header is read.

    properties: win over what the header says. derived_from: ids of the items it was made from, in the same
    or any collection. datetime: used if neither properties nor the header hold a time (a moment, or
    START_DATETIME and END_DATETIME of a composite).
    Raises NotFound, FileRejected, BadInput without a date.
    """
    info = raster.read_info(uri)
    rasters.check_header(info, _size(uri))
    given = dict(properties)
    if "datetime" not in given and not {"start_datetime", "end_datetime"} <= set(given):
        given |= dates.span(info.tags) or _moment(info, datetime)
        if given.get("datetime", "") is None:
            raise BadInput(
                "properties", found="no date", expected="datetime, or start_datetime and end_datetime"
            )
    asset = {
        "href": store.as_uri(uri),
        "type": rasters.COG_TYPE,
        "roles": ["data"],
        "file:size": _size(uri),
        "bands": rasters.bands(info),
    }
    moment = given.pop("datetime", None)
    return items.item(
        item_id,
        collection=collection,
        geometry=raster.footprint_lonlat(info),
        datetime=moment,
        properties={"title": title, **_said(info), **rasters.grid_properties(info), **given},
        assets={"data": asset},
        links=[
            {"rel": "derived_from", "href": f"#items/{source}", "title": source} for source in derived_from
        ],
    )


def _moment(info: raster.Info, otherwise: str | None) -> dict[str, str | None]:
    taken = rasters.taken(info)
    return {"datetime": dates.rfc3339(taken.at) if taken else otherwise}


def _said(info: raster.Info) -> dict[str, Any]:
    """Role, and the vertical datum that the header of a height model names."""
    said = {"geolab:role": "product"}
    if datum := one_line(info.tags.get("VERTICAL_DATUM", ""), 80):
        said["geolab:vertical_datum"] = datum
    return said


def _size(uri: str) -> int:
    return next(iter(store.iter_files(uri))).size_bytes
