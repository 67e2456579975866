"""The widget that every page carries once: style sheet, pulse, address and the line at the top."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anywidget
import traitlets as t

from geolab.apps.parts import assets


class Frame(anywidget.AnyWidget):
    """What a page's browser tells and is told.

    period_s: how often it shall say that the page is seen; 0: never. address: query values to be kept in
    the page's address. notice: {text, kind, details}, or {}.
    """

    _esm = assets.module("frame")
    _css = assets.style()

    period_s = t.Float(0.0).tag(sync=True)
    address = t.Dict().tag(sync=True)
    notice = t.Dict().tag(sync=True)
    _wake = t.Int(0).tag(sync=True)

    def __init__(self, **traits: Any):
        self.on_pulse: Callable[[], None] | None = None
        super().__init__(**traits)
        self.on_msg(self._hear)

    def wake(self) -> None:
        """Ask for a pulse now."""
        self._wake += 1

    def _hear(self, _widget: object, content: Any, _buffers: object) -> None:
        kind = content.get("kind") if isinstance(content, dict) else None
        if kind == "pulse" and self.on_pulse is not None:
            self.on_pulse()
        elif kind == "dismissed":
            self.notice = {}
