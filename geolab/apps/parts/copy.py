"""A text to take away: shown in one line, copied by a button."""

from __future__ import annotations

import traitlets as t

from geolab.apps.parts import assets
from geolab.apps.parts.base import Part


class Copy(Part):
    """label: of the button; text: what it copies, and shows; address: it is one of this origin."""

    _esm = assets.module("copy")

    label = t.Unicode("Copy").tag(sync=True)
    text = t.Unicode("").tag(sync=True)
    shown = t.Bool(True).tag(sync=True)
    address = t.Bool(False).tag(sync=True)

    def __init__(self, label: str, text: str, *, shown: bool = True):
        super().__init__(label=label, text=text, shown=shown)
