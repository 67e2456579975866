"""A button that makes a file in the kernel and saves it in the browser."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import traitlets as t

from geolab.apps.parts import assets
from geolab.apps.parts.base import Part

if TYPE_CHECKING:
    from geolab.apps.shell import Page


class Download(Part):
    """make: the file's bytes, made in a thread when somebody asks for them. name: what the file is called."""

    _esm = assets.module("download")

    label = t.Unicode("").tag(sync=True)
    name = t.Unicode("").tag(sync=True)
    busy = t.Bool(False).tag(sync=True)

    def __init__(self, page: Page, label: str, name: str, make: Callable[[], bytes]):
        self.page, self.make = page, make
        super().__init__(label=label, name=name)

    def _heard(self, kind: str, content: Mapping[str, Any]) -> None:  # noqa: ARG002
        if kind == "want" and not self.busy:
            self.busy = True
            self.page.aside(self._made, self._give)

    def _made(self) -> bytes | Exception:
        try:
            return self.make()
        except Exception as error:  # noqa: BLE001 (raised again on the loop)
            return error

    def _give(self, made: bytes | Exception) -> None:
        self.busy = False
        if isinstance(made, Exception):
            raise made
        self.send({"kind": "file"}, [made])
