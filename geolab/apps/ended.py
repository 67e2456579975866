"""Why a run did not succeed: one sentence, what can be done, the details folded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets as widgets

from geolab.apps import parts
from geolab.errors import one_line
from geolab.jobs.listing import View

if TYPE_CHECKING:
    from geolab.apps.shell import Page

_REMEDY = {
    "time-out": "Give it more time, or less to do.",
    "memory": "Give it more memory, or let it work on smaller pieces.",
    "disk full": "Free some space, then retry.",
    "kernel died": "Retry; if it dies again, let it work on smaller pieces.",
}


def sentence(view: View) -> str:
    """Why the run ended, in one line; "" for one that goes on or succeeded."""
    first = one_line(next(iter(view.error.strip().splitlines()), ""))
    if view.state == "cancelled":
        return "Cancelled: it was asked to stop."
    if view.state == "lost":
        return "Lost: its process ended without a word. Retry goes on from what it had finished."
    if view.state == "failed":
        return " ".join(filter(None, [first or "It failed without a word.", _REMEDY.get(view.cause, "")]))
    return ""


def told(page: Page, view: View) -> list[widgets.Widget]:  # noqa: ARG001
    """The sentence, and all that the run said, folded."""
    said = sentence(view)
    if not said:
        return []
    shown: list[widgets.Widget] = [parts.html(_line(view.state, said))]
    if view.error.strip() and view.error.strip() != said:
        shown.append(parts.fold("Details", view.error.strip()))
    return shown


def _line(state: str, said: str) -> str:
    from geolab.apps.parts.states import kind_of
    from geolab.maps.origin import safe

    return f'<p class="geolab-trouble geolab-is-{kind_of(state)}">{safe(said)}</p>'
