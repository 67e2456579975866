"""What to do next, by what there is: each step one sentence and one way to begin."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from geolab.apps import parts
from geolab.apps.home.inventory import RESULTS, Inventory

if TYPE_CHECKING:
    from geolab.apps.shell import Page

Start = Callable[..., Any]
MOST = 3
PAIR, FLIGHT = 2, 3  # images that can be compared, photos that can become a model


def steps(page: Page, found: Inventory, start: Start) -> list[widgets.Widget]:
    """The next steps, the nearest first."""
    return (_begin(page, start) if not found.items else _further(page, found))[:MOST]


def _begin(page: Page, start: Start) -> list[widgets.Widget]:
    def sample() -> None:
        start("01_ingest", source="town", collection="town")

    make = parts.button(
        "Make the sample world",
        sample,
        primary=True,
        hint="Two dates of a small town, what changed between them, and photos; about half a minute",
    )
    words = "The workspace is empty. Begin with a small made-up town, or with files of your own."
    add = page.link("data", tab="add")
    return [parts.text(words), make, parts.link("Upload files, or ingest a folder", add)]


def _further(page: Page, found: Inventory) -> list[widgets.Widget]:
    roles, names = found.roles, {one.name for one in found.collections}
    listed = []
    if roles.get("image", 0) >= PAIR and RESULTS not in names:
        listed.append(("Find what changed between two dates", page.link("change")))
    if roles.get("label") and not found.models:
        listed.append(("Train a network on the labels", page.link("training")))
    if roles.get("photo", 0) >= FLIGHT:
        listed.append(("Turn photos into a 3-D model", page.link("training", kind="splats")))
    if RESULTS in names:
        listed.append(("Look at what was found", page.link("change")))
    listed += [
        ("See everything on the map", page.link("map")),
        ("Add more data", page.link("data", tab="add")),
    ]
    return [parts.link(words, href) for words, href in listed]
