"""One item in full: its pixels, what is known of it, its files, where it comes from, what to do with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets as widgets

from geolab.apps import parts
from geolab.apps.data import about, facts, give, lineage
from geolab.apps.data.lineage import Lineage
from geolab.apps.shell import Page
from geolab.errors import GeolabError, one_line
from geolab.maps import origin

Item = Mapping[str, Any]
MAP_HEIGHT = "380px"
LONGEST_JSON = 200_000  # characters of STAC JSON in the page; the rest is downloaded
FILES = (
    parts.Column("name", "File"),
    parts.Column("kind", "What it is"),
    parts.Column("size", "Size"),
    parts.Column("download", "", "link"),
)
BANDS = (
    parts.Column("asset", "File"),
    parts.Column("band", "Band", "number"),
    parts.Column("name", "Name"),
    parts.Column("wave", "Wavelength"),
    parts.Column("type", "Data type"),
    parts.Column("nodata", "Nodata"),
    parts.Column("scale", "Scale"),
    parts.Column("unit", "Unit"),
)


def build(page: Page, item: Item, on_back: Callable[[], None]) -> widgets.Widget:
    """The page of an item. on_back: shows the catalogue again."""
    title = one_line(origin.title(item), 200)
    back = parts.button("All data", on_back, hint="Back to the catalogue")
    description = str(item["properties"].get("description") or "")
    words = [parts.text(one_line(description, 2000))] if description else []
    known = parts.card("Facts", parts.facts(facts.main(item)), *properties(item))
    left = parts.stack(
        *words, pixels(page, item), use_in(page, item), files(page, item), lineage_card(page, item)
    )
    right = parts.stack(known, share_card(page, item), collection_card(page, item))
    return parts.stack(
        parts.row(back, parts.heading(title)),
        parts.grid(left, right, columns="minmax(0, 2fr) minmax(260px, 1fr)"),
        stac(item),
    )


# ---------------------------------------------------------------- how it looks


def pixels(page: Page, item: Item) -> widgets.Widget:
    """The item on a small map; a photo as it was taken too."""
    shown: list[widgets.Widget] = []
    if origin.role(item) == "photo":
        picture = parts.figure(origin.preview_url(item), origin.title(item))
        whole = parts.link("The whole photo", origin.original_url(item), new=True)
        shown += [picture, whole]
    place = parts.stack(parts.skeleton())
    shown.append(place)
    page.aside(lambda: None, lambda _: _draw(page, item, place))  # the map comes after the words
    return parts.stack(*shown)


def _draw(page: Page, item: Item, place: widgets.Box) -> None:
    try:
        shown = chart(item) if item.get("bbox") else parts.empty("This item says no place on Earth.")
        place.children = (shown,)
    except GeolabError as error:
        place.children = (parts.figure(origin.preview_url(item), str(error)),)
    except Exception as error:  # noqa: BLE001 (said on the page, and logged)
        place.children = (parts.figure(origin.preview_url(item), "Preview"),)
        page.fault(error)


def chart(item: Item) -> widgets.Widget:
    """A small map of nothing but the item: its pixels, its outline, or where a photo was taken."""
    from geolab.maps import specs  # Leaflet's widgets load with it
    from geolab.maps.chart import Chart
    from geolab.maps.layers import bounds, point

    made = Chart(height=MAP_HEIGHT, label=f"Map of {one_line(origin.title(item), 80)}")
    made.layers = [specs.tiles(item)] if specs.kind(item) else []
    made.shapes = {"outlines": specs.outlines([item])}
    legend, place = specs.legend(item), point(item)
    made.legends = [legend] if legend else []
    if place and not specs.kind(item):
        made.pin = {"lat": place[0], "lon": place[1]}
    if around := bounds([item]):
        made.fit(around)
    return made


def use_in(page: Page, item: Item) -> widgets.Widget:
    """Links to the pages that can work with the item."""
    ref, role = f"{item.get('collection') or ''}/{item['id']}", origin.role(item)
    links = [parts.link("Show on the map", page.link("map", item=ref))]
    if role == "image":
        links.append(parts.link("Change: as the earlier image", page.link("change", before=ref)))
        links.append(parts.link("Change: as the later image", page.link("change", after=ref)))
    if role == "photo":
        href = page.link("training", kind="splats", scene=item.get("collection"))
        links.append(parts.link("Train splats from this collection", href))
    if any(str(a.get("href", "")).endswith((".ply", ".spz")) for a in item["assets"].values()):
        links.append(parts.link("Turn it in 3-D", page.link("splats", item=item["id"])))
    return parts.row(*links)


# ---------------------------------------------------------------- what there is


def files(page: Page, item: Item) -> widgets.Widget:
    """Its files to download, its bands, and the part of it to take away."""
    shown: list[widgets.Widget] = [
        parts.Table(FILES, facts.assets(item), empty="It has no file.", label="Files"),
    ]
    bands = facts.bands(item)
    if bands:
        shown.append(parts.fold(f"Bands ({len(bands)})", parts.Table(BANDS, bands, label="Bands")))
    clip = give.clip(page, item)
    if clip is not None:
        shown.append(parts.fold("Take a part of it as GeoTIFF", clip))
    return parts.card("Files", *shown)


def share_card(page: Page, item: Item) -> widgets.Widget:
    """A link for somebody without a login."""
    return parts.card("Share", give.share(page, item))


def collection_card(page: Page, item: Item) -> widgets.Widget:
    """README, licence and contacts of the item's collection."""
    name = str(item.get("collection") or "")
    if not name:
        return parts.stack()
    told = about.document(page.settings, name)
    href = page.link("data", collection=name)
    return parts.card("Collection", about.said(told), parts.link("Everything in this collection", href))


def properties(item: Item) -> list[widgets.Widget]:
    """All other properties, folded; nothing without any."""
    others = facts.others(item)
    return [parts.fold("Every property", parts.facts(others))] if others else []


def stac(item: Item) -> widgets.Widget:
    """The item as STAC says it."""
    text = json.dumps(item, indent=2, ensure_ascii=False)[:LONGEST_JSON]
    return parts.stack(parts.fold("STAC JSON", text), parts.Copy("Copy STAC JSON", text, shown=False))


# ---------------------------------------------------------------- where it comes from


def lineage_card(page: Page, item: Item) -> widgets.Widget:
    """Runs that made and used it; looked up aside, since there may be thousands."""
    place = parts.stack(parts.skeleton(2))

    def tell(found: Lineage) -> None:
        place.children = tuple(told(page, item, found))

    page.aside(lambda: lineage.of(item, page.settings), tell)
    return parts.card("Lineage", place)


def told(page: Page, item: Item, found: Lineage) -> list[widgets.Widget]:
    """The lineage in words and links."""
    lines: list[widgets.Widget] = []
    if found.made is None:
        lines.append(parts.text(_made(item, found)))
    else:
        lines.append(parts.row("Made by", *run_links(page, found.made.run_id, found.made.notebook)))
    if found.sources or found.missing:
        gone = [parts.text(f"{one_line(one, 40)} (no longer here)", soft=True) for one in found.missing]
        lines.append(parts.row("From", *(item_link(page, one) for one in found.sources), *gone))
    if found.products:
        links = [item_link(page, one) for one in found.products[:30]]
        lines.append(parts.row("Products of it", *links))
    used = [
        parts.row(*run_links(page, run.run_id, run.notebook), parts.state(run.state)) for run in found.used
    ]
    lines += [parts.fold(f"Runs that used it ({len(used)})", *used)] if used else []
    if not used:
        lines.append(parts.text("No run has used it yet.", soft=True))
    return lines


def _made(item: Item, found: Lineage) -> str:
    run_id = item["properties"].get("geolab:run")
    if run_id and found.made is None:
        return f"Made by run {one_line(run_id, 60)}, which this workspace does not know."
    sources = facts.value("", item["properties"].get("geolab:sources") or [])
    return f"Ingested from {sources}." if sources else "It says nothing of where it comes from."


def run_links(page: Page, run_id: str, notebook: str) -> list[widgets.Widget]:
    """A run: its panel, its executed notebook and its log."""
    return [
        parts.link(f"{notebook} {run_id[-6:]}", page.link("monitor", run=run_id)),
        parts.link("executed notebook", origin.run_file_url(run_id, "notebook.ipynb"), download=True),
        parts.link("log", origin.run_file_url(run_id, "log.txt"), download=True),
    ]


def item_link(page: Page, item: Item) -> widgets.Widget:
    """A link to the page of another item."""
    href = page.link("data", collection=item.get("collection"), item=item["id"])
    return parts.link(one_line(origin.name(item), 80), href)
