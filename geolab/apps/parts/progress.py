"""How far something is: a bar, what it does now, how long it will take."""

from __future__ import annotations

import traitlets as t

from geolab.apps.parts import assets
from geolab.apps.parts.base import Part


class Progress(Part):
    """part: 0..1, or None while nobody knows; eta_s: seconds, or None; state: colours the bar."""

    _esm = assets.module("progress")

    part = t.Float(None, allow_none=True).tag(sync=True)
    text = t.Unicode("").tag(sync=True)
    eta_s = t.Float(None, allow_none=True).tag(sync=True)
    state = t.Unicode("running").tag(sync=True)

    def __init__(
        self, part: float | None = None, text: str = "", eta_s: float | None = None, state: str = "running"
    ):
        super().__init__(part=part, text=text, eta_s=eta_s, state=state)
