"""The pages of the apps, each with the sentence that its notebook says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets as widgets

from geolab import jobs
from geolab.apps import parts, query
from geolab.errors import GeolabError

if TYPE_CHECKING:
    from geolab.apps.shell import Page

PAGES = ("data", "map", "training", "models", "change", "splats", "monitor")


def pages(page: Page) -> widgets.Widget:
    """A card for each page that is there."""
    rows = []
    for name in PAGES:
        try:
            found = jobs.contract(query.notebook_of(name))
        except GeolabError:
            continue  # not in this installation
        rows.append({"id": name, "title": found.title, "note": found.summary, "href": page.link(name)})
    return parts.card("Pages", parts.Cards(rows, label="Pages")) if rows else parts.stack()
