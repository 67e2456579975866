"""What the workspace stands on, as a short list: each service, its state, a few words."""

from __future__ import annotations

import ipywidgets as widgets

from geolab.apps import parts
from geolab.apps.parts.plain import state_markup
from geolab.errors import one_line
from geolab.jobs import Services
from geolab.jobs.panel import Service
from geolab.maps.origin import safe


def lines(found: Services) -> widgets.HTML:
    """All services; those that are not well say what to do."""
    return parts.html(f'<ul class="geolab-services">{"".join(map(_line, found.lines))}</ul>')


def _line(one: Service) -> str:
    words = one_line(f"{one.detail}{f': {one.remedy}' if one.remedy else ''}")
    head = f"<span>{safe(one.what)}</span>{state_markup(one.state)}"
    return f'<li><div>{head}</div><span class="geolab-soft">{safe(words)}</span></li>'
