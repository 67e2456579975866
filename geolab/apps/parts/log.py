"""A log that grows: only what is new travels to the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import traitlets as t

from geolab.apps.parts import assets
from geolab.apps.parts.base import Part

MOST = 400_000  # characters that are kept


class Log(Part):
    """Lines of text; the page follows the end unless its reader has scrolled up."""

    _esm = assets.module("log")

    label = t.Unicode("Log").tag(sync=True)
    empty = t.Unicode("Nothing written yet.").tag(sync=True)

    def __init__(self, text: str = "", *, label: str = "Log", empty: str = "Nothing written yet."):
        self.text = ""
        super().__init__(label=label, empty=empty)
        self.append(text)

    def append(self, text: str) -> None:
        """Add text as it is; lines end with a newline."""
        if text:
            self.text = (self.text + text)[-MOST:]
            self.send({"kind": "more", "text": text[-MOST:]})

    def clear(self) -> None:
        """Begin anew."""
        self.text = ""
        self.send({"kind": "all", "text": ""})

    def _heard(self, kind: str, content: Mapping[str, Any]) -> None:  # noqa: ARG002
        if kind == "want":  # a page that has just been shown
            self.send({"kind": "all", "text": self.text})
