"""Home: what is in the workspace, what runs, what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets as widgets

from geolab.apps import parts
from geolab.apps.runpanel import RunPanel

if TYPE_CHECKING:
    from geolab.apps.shell import Page


def build(page: Page) -> widgets.Widget:
    """The page."""
    shown = [RunPanel(page, page.asked["run"])] if page.asked["run"] else []
    return parts.stack(parts.heading("Home"), *shown)
