"""Upload of files: by drag and drop or a button, with progress, straight to the server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import traitlets as t

from geolab.apps import faults
from geolab.apps.parts import assets
from geolab.apps.parts.base import Part
from geolab.maps import origin


@dataclass(frozen=True)
class Uploaded:
    """A file that the server has taken. size: bytes."""

    id: str
    name: str
    size: int
    sha256: str


class Upload(Part):
    """on_done: called with the files of one go once all of them are there, or have failed.

    accept: as in HTML, such as ".tif,.zip"; the server decides what it takes.
    """

    _esm = assets.module("upload")

    url = t.Unicode().tag(sync=True)
    accept = t.Unicode("").tag(sync=True)
    many = t.Bool(True).tag(sync=True)
    text = t.Unicode("").tag(sync=True)

    def __init__(
        self,
        on_done: Callable[[list[Uploaded]], None],
        accept: str = "",
        many: bool = True,
        *,
        text: str = "",
    ):
        self.on_done = on_done
        self.done: list[Uploaded] = []
        said = text or ("Drop files here" if many else "Drop a file here")
        super().__init__(url=origin.upload_url(), accept=accept, many=many, text=said)

    def _heard(self, kind: str, content: Mapping[str, Any]) -> None:
        listed = content.get("files")
        if kind != "done" or not isinstance(listed, list):
            return
        found = [one for one in map(_uploaded, listed) if one is not None]
        if found:
            self.done = [*self.done, *found]
            faults.call(self.on_done, found)


def _uploaded(told: Any) -> Uploaded | None:
    """What the page says of a file; the server knows better, by its id."""
    if not isinstance(told, dict) or type(told.get("size")) is not int:
        return None
    texts = [told.get(name) for name in ("id", "name", "sha256")]
    if not all(isinstance(text, str) for text in texts):
        return None
    return Uploaded(str(texts[0]), str(texts[1]), told["size"], str(texts[2]))
