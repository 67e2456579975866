"""What the widgets with a script of their own have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import anywidget

from geolab.apps import faults


class Part(anywidget.AnyWidget):
    """A widget that hears messages of the page: {"kind": ...}. What its callbacks raise goes to the page."""

    def __init__(self, **traits: Any):
        super().__init__(**traits)
        self.on_msg(self._hear)

    def _heard(self, kind: str, content: Mapping[str, Any]) -> None:
        """Answer one message; a browser may send anything."""

    def _hear(self, _widget: object, content: Any, _buffers: object) -> None:
        if isinstance(content, dict) and isinstance(content.get("kind"), str):
            faults.call(self._heard, content["kind"], content)


OnIds = Callable[[list[str]], None]


def texts(value: Any) -> list[str]:
    """The texts of a list that a browser sent; nothing where it sent anything else."""
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
