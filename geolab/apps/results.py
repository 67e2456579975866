"""What a run has made: its products on a map, its numbers, its figures, its files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets as widgets

from geolab.apps import parts

if TYPE_CHECKING:
    from geolab.apps.shell import Page
    from geolab.jobs.listing import View


def results(page: Page, view: View) -> widgets.Widget:  # noqa: ARG001
    """The results of a run that succeeded."""
    report = view.report or {}
    return parts.stack(parts.facts(report.get("results") or {}))
