"""One item from several sightings of the same content, in whatever order they come."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from datetime import datetime
from pathlib import PurePath
from typing import Any

from geolab.ingest import dates
from geolab.ingest.dates import Taken

Item = dict[str, Any]
# Where a date may come from that the content does not hold: it depends on all known names and files.
OUTSIDE = ("filename", "file", "unknown")


def title_of(names: Sequence[str]) -> str:
    """The stem of the first name in alphabetical order."""
    first = min(names)
    return PurePath(first).stem or first


def outside_date(names: Sequence[str], modified: datetime | None) -> Taken | None:
    """The date that the names tell, else when the file was written; None for a remote file without."""
    return dates.from_names(names) or (Taken(modified, "file") if modified is not None else None)


def date_properties(taken: Taken | None) -> dict[str, Any]:
    """datetime and where it is from; without any the longest interval, since STAC asks for one."""
    if taken is None:
        return {
            "datetime": None,
            "start_datetime": "1900-01-01T00:00:00Z",
            "end_datetime": "9999-12-31T23:59:59Z",
            "geolab:datetime_source": "unknown",
        }
    return {"datetime": dates.rfc3339(taken.at), "geolab:datetime_source": taken.source}


def merged(known: Item, name: str, modified: datetime | None, role: str | None) -> Item:
    """A known item with one more source; the same whichever source came first.

    role: replaces the item's if given.
    """
    item = copy.deepcopy(known)
    properties = item["properties"]
    names = sorted({*properties.get("geolab:sources", []), name})
    properties["geolab:sources"] = names
    properties["title"] = title_of(names)
    if role is not None:
        properties["geolab:role"] = role
    if properties.get("geolab:datetime_source") in OUTSIDE:
        taken = outside_date(names, _earliest(properties, modified))
        for key in ("start_datetime", "end_datetime"):
            properties.pop(key, None)
        properties |= date_properties(taken)
    return item


def _earliest(properties: Item, modified: datetime | None) -> datetime | None:
    """The earliest writing of any file of this content, as far as it is known."""
    known = dates.parse(properties["datetime"]) if properties["geolab:datetime_source"] == "file" else None
    return min((m for m in (known, modified) if m is not None), default=None)
