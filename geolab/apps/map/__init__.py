"""Map: everything with a place in the workspace: find it, compare it, read it, use it in a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geolab.apps import parts
from geolab.apps.map.atlas import Atlas

if TYPE_CHECKING:
    import ipywidgets as widgets

    from geolab.apps.shell import Page


def build(page: Page) -> widgets.Widget:
    """The page."""
    atlas = Atlas(page)
    asks = any(page.asked[name] for name in ("collection", "role", "text", "datetime", "item"))
    if not len(atlas.found.places) and not asks:
        return parts.stack(
            parts.empty(
                "Nothing to show yet: bring in images or photos, or make the sample world.",
                parts.link("Bring in data", page.link("data")),
            ),
            atlas.widget,
        )
    return atlas.widget
