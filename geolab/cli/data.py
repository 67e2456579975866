"""Commands about data: town, ingest, search."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Any

from geolab import settings
from geolab.cli import output, town
from geolab.errors import BadInput


def add(parsers: Any) -> None:
    """Add the commands."""
    town.add(parsers)
    ingest = output.command(
        parsers,
        "ingest",
        ingest_files,
        what="bring images and photos into the catalogue",
        example="geolab ingest photos/ 'scenes/*.tif' --collection valley",
    )
    ingest.add_argument("sources", metavar="SRC", nargs="+", help="file, folder, glob or URI")
    ingest.add_argument("--collection", default="images", help="where the items go (default images)")
    ingest.add_argument("--dry-run", action="store_true", help="say what would happen; change nothing")

    search = output.command(
        parsers,
        "search",
        search_items,
        what="find items in the catalogue",
        example="geolab search --bbox 8.9,48.9,9.1,49.1 --datetime 2024-01-01/2024-12-31",
    )
    search.add_argument("--collection", action="append", default=[], help="may be repeated")
    search.add_argument("--bbox", metavar="W,S,E,N", help="degrees, longitude first")
    search.add_argument(
        "--datetime", metavar="A/B", help="a day, an instant or an interval; .. leaves an end open"
    )
    search.add_argument("--filter", metavar="CQL2", help="such as \"gsd < 1 and title like 'town%%'\"")
    search.add_argument("--limit", type=int, default=100, help="at most so many (default 100)")


def ingest_files(args: argparse.Namespace) -> int:
    from geolab import ingest

    found = settings.load()
    outcomes = []
    with output.progress(quiet=args.json) as bar:
        total = len(ingest.plan(args.sources))
        task = bar.add_task("ingest", total=total)
        for outcome in ingest.ingest(
            args.sources, collection=args.collection, settings=found, dry_run=args.dry_run
        ):
            outcomes.append(outcome)
            bar.update(task, advance=1)
    if args.json:
        output.print_json(ingest_result(outcomes))
        return 0
    if rejected := [o for o in outcomes if o.status == "rejected"]:
        output.table(["rejected", "reason"], [(o.href, o.reason) for o in rejected])
    counts = Counter(o.status for o in outcomes)
    would = "would be " if args.dry_run else ""
    print(", ".join(f"{counts[s]} {would}{s}" for s in ("added", "updated", "unchanged", "rejected")))
    return 0


def ingest_result(outcomes: list[Any]) -> dict[str, Any]:
    """The stable JSON of an ingest."""
    ids = {
        status: sorted({o.id for o in outcomes if o.status == status})
        for status in ("added", "updated", "unchanged")
    }
    rejected = [{"href": o.href, "reason": o.reason} for o in outcomes if o.status == "rejected"]
    return {**ids, "rejected": rejected}


def search_items(args: argparse.Namespace) -> int:
    from geolab import catalog

    page = catalog.open_catalog(settings.load()).search(
        catalog.Search(
            collections=tuple(args.collection) or None,
            bbox=None if args.bbox is None else _bbox(args.bbox),
            datetime=args.datetime,
            filter=args.filter,
            limit=args.limit,
        )
    )
    if args.json:
        output.print_json(catalog.item_collection(page))
        return 0
    output.table(
        ["id", "collection", "date", "title"],
        [(i["id"], i.get("collection", ""), _date(i), i["properties"].get("title", "")) for i in page.items],
    )
    shown, total = len(page.items), page.matched
    print(f"{shown} of {total} items" if total is not None and total != shown else f"{shown} items")
    return 0


def _bbox(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise BadInput(
            "--bbox", found=repr(text), expected="W,S,E,N in degrees, such as 8.9,48.9,9.1,49.1"
        ) from error


def _date(item: dict[str, Any]) -> str:
    properties = item["properties"]
    return str(properties.get("datetime") or properties.get("start_datetime") or "")[:19]
