"""What all answers share: who may ask, what is said about errors, what a browser may keep."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from jupyter_server.base.handlers import APIHandler

from geolab.errors import (
    BadInput,
    FileRejected,
    GeolabError,
    NotFound,
    StorageError,
    TooLarge,
    one_line,
)
from geolab.service.jupyter.source import Source

STATUS: dict[type[GeolabError], int] = {
    NotFound: 404,
    TooLarge: 413,  # before its parent
    BadInput: 400,
    FileRejected: 422,
    StorageError: 507,
}
OF_THE_SERVER = {"token", "_xsrf", "no_track_activity"}  # parameters that are not ours
MAX_AGE_S = 600


class Handler(APIHandler):
    """One address of the extension."""

    auth_resource = "contents"  # who may read files here may see pictures of them

    def initialize(self, source: Source) -> None:
        self.source = source
        self.gone = threading.Event()

    def on_connection_close(self) -> None:
        self.gone.set()  # the map has moved on: don't draw what nobody waits for
        super().on_connection_close()

    def set_cors_headers(self) -> None:
        """None: pictures are for pages of this origin only, whatever the server allows elsewhere."""

    def compute_etag(self) -> None:
        """Nothing: the tags set here name versions of files, and hashing every answer costs time."""

    def query(self) -> dict[str, list[str]]:
        """The parameters that are ours; every one may come several times."""
        return {k: self.get_arguments(k) for k in self.request.query_arguments if k not in OF_THE_SERVER}

    def only_parameters(self, **allowed: str) -> dict[str, str]:
        """The values of parameters that may come once each, or their defaults. Raises BadInput for others."""
        found = self.query()
        for name, values in found.items():
            if name not in allowed:
                expected = f"only {', '.join(allowed)}" if allowed else "none"
                raise BadInput("query", found=one_line(name, 40), expected=expected)
            if len(values) != 1:
                raise BadInput(name, found=f"{len(values)} values", expected="one")
        return allowed | {name: values[0] for name, values in found.items()}

    def refuse(self, error: GeolabError) -> None:
        """Answer with the error's line and the status of its class."""
        status = next((s for cls, s in STATUS.items() if isinstance(error, cls)), 500)
        reason = error.reason if isinstance(error, FileRejected) else str(error)
        self.say(status, reason)

    def say(self, status: int, line: str) -> None:
        """Answer with a status and one line."""
        self.set_status(status)
        self.set_header("Cache-Control", "no-store")
        self.finish({"message": one_line(line)})

    async def work(self, do: Callable[[], Any]) -> Any:
        """What `do` returns, done in a thread; nothing if nobody waits for it any more."""
        return await asyncio.get_running_loop().run_in_executor(
            self.source.pool, lambda: None if self.gone.is_set() else do()
        )

    async def answer(self, do: Callable[[], tuple[bytes | None, str, str]]) -> None:
        """Send what `do` returns, done in a thread: (bytes, content type, ETag)."""
        try:
            data, kind, tag = await self.work(do) or (None, "", "")
        except GeolabError as error:
            self.refuse(error)
            return
        self._send(data, kind, tag)

    def keep(self, tag: str) -> None:
        """The headers of what this user's browser may keep for a while, and nobody else."""
        self.set_header("Cache-Control", f"private, max-age={MAX_AGE_S}")
        self.set_header("Cross-Origin-Resource-Policy", "same-origin")
        self.set_header("X-Content-Type-Options", "nosniff")
        if tag:
            self.set_header("Etag", f'"{tag}"')

    def _send(self, data: bytes | None, kind: str, tag: str) -> None:
        self.keep(tag)
        if tag and self.check_etag_header():
            self.set_status(304)
            self.finish()
        elif data is None:
            self.set_status(204)
            self.finish()
        else:
            self.finish(data, set_content_type=kind)
