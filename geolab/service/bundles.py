"""The scripts of Voila and of widgets: packed once, and kept by browsers for good.

A page needs some seventy of them. Their addresses hold a version or a hash, so what was fetched once
is never asked for again.
"""

from __future__ import annotations

import gzip
import mimetypes
import re
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from jupyter_server.base.handlers import JupyterHandler
from tornado import web

A_YEAR = "private, max-age=31536000, immutable"
AN_HOUR = "private, max-age=3600"
VERSION = re.sub(r"\W", "-", version("voila"))
_PACKED = (".js", ".css", ".json", ".svg", ".map")
_HASHED = re.compile(r"\.[0-9a-f]{8,}\.js$")


class BundleHandler(JupyterHandler):
    """Files below some folders, the first that has it; packed where the browser takes that."""

    def initialize(self, folders: list[str], versioned: bool) -> None:
        self.folders = tuple(str(Path(folder).resolve()) for folder in folders)
        self.versioned = versioned  # the address holds a version: what it names never changes

    @web.authenticated
    async def get(self, path: str) -> None:
        found = _found(self.folders, path)
        if found is None:
            raise web.HTTPError(404)
        forever = self.versioned or bool(_HASHED.search(path))
        self.set_header("Cache-Control", A_YEAR if forever else AN_HOUR)
        self.set_header("Content-Type", mimetypes.guess_type(path)[0] or "application/octet-stream")
        self.set_header("Vary", "Accept-Encoding")
        packed = path.endswith(_PACKED) and "gzip" in self.request.headers.get("Accept-Encoding", "")
        if packed:
            self.set_header("Content-Encoding", "gzip")
        self.finish(_content(str(found), found.stat().st_mtime_ns, packed=packed))

    def check_xsrf_cookie(self) -> None:
        """Not asked of files that anybody may read."""


def _found(folders: tuple[str, ...], path: str) -> Path | None:
    for folder in folders:
        file = (Path(folder) / path).resolve()
        if file.is_relative_to(folder) and file.is_file():
            return file
    return None


@lru_cache(maxsize=512)
def _content(path: str, _stamp: int, *, packed: bool) -> bytes:
    content = Path(path).read_bytes()
    return gzip.compress(content, 6) if packed else content
