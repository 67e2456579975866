"""A part of a raster, cut for whoever asks, sent and forgotten."""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jupyter_server.auth.decorator import authorized
from tornado import web

from geolab.errors import BadInput
from geolab.ingest.unzip import label
from geolab.raster import clip
from geolab.service.jupyter import files
from geolab.service.jupyter.downloads import FileHandler
from geolab.service.jupyter.files import File
from geolab.service.jupyter.source import digest

_NUMBER = re.compile(r"[+-]?\d{1,4}(\.\d{1,20})?", re.ASCII)


class ClipHandler(FileHandler):
    @web.authenticated
    @authorized
    async def get(self, collection: str, item: str, asset: str) -> None:
        await self.send(lambda: self._cut(collection, item, asset), pool=self.source.clips)

    head = get

    @contextmanager
    def _cut(self, collection: str, item_id: str, asset: str) -> Iterator[File]:
        box = parse_box(self.only_parameters(bbox="")["bbox"])
        uri, version = self.source.asset(collection, item_id, asset)
        title = Path(files.name_of(self.source.item(collection, item_id), asset, uri)).stem
        with tempfile.TemporaryDirectory(prefix="geolab-clip-") as folder:
            made = Path(folder, "clip.tif")
            if not self.gone.is_set():
                clip(uri, box, made)
            tag = digest("clip", uri, version, repr(box))
            name = label(f"{title} clip.tif" if box else f"{title}.tif")
            with files.opened(Path(folder), (made.name,), name, version=tag) as file:
                made.unlink()  # gone with its last reader, even if this process is killed
                yield file


def parse_box(text: str) -> tuple[float, ...]:
    """West, south, east, north in degrees, of 'w,s,e,n'; () of nothing. Raises BadInput."""
    if not text:
        return ()
    parts = text.split(",")
    if len(parts) == 4 and all(_NUMBER.fullmatch(part) for part in parts):
        west, south, east, north = map(float, parts)
        if -180 <= west < east <= 180 and -90 <= south < north <= 90 and math.isfinite(east):
            return west, south, east, north
    raise BadInput(
        "bbox", found=text[:60], expected="west,south,east,north in degrees, west < east, south < north"
    )
