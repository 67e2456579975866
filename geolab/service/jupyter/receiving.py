"""Files that come in: written to disk as they arrive, checked, given an id."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import asdict
from typing import TypeVar

from jupyter_server.utils import ensure_async
from tornado import web

from geolab.errors import BadInput, GeolabError, one_line
from geolab.ingest import uploads
from geolab.service.jupyter.answers import Handler
from geolab.service.jupyter.source import Source

T = TypeVar("T")

CHUNK_BYTES = 1 << 20
NO_LIMIT = 10**30  # bytes, of the server, which has one for everything: ours is counted
AFTER_REFUSAL_S = 5.0  # so long what still comes is thrown away, so that the sender hears the answer


@web.stream_request_body
class UploadHandler(Handler):
    """POST upload?name=..., or PUT upload/<name>, with the file as the body. Answers an Upload as JSON."""

    def initialize(self, source: Source) -> None:
        super().initialize(source)
        self._receiving: uploads.Receiving | None = None
        self._chunks: list[bytes] = []
        self._held = 0  # bytes in them
        self._busy = asyncio.Lock()  # one thread at a time has the file

    async def prepare(self) -> None:
        """Decide by the headers whether the body may come."""
        self.request.connection.set_max_body_size(NO_LIMIT)  # type: ignore[union-attr]
        try:
            await super().prepare()  # login, origin, XSRF
            await self._authorize()
            self._receiving = await self._in_thread(self._create)
        except web.HTTPError as error:
            self.say(error.status_code, error.log_message or error.reason or "refused")
        except GeolabError as error:
            self.refuse(error)

    def check_xsrf_cookie(self) -> None:
        """As the base class, but for any cookie of that name: all servers of one host share them.

        Behind a hub its own check, which knows whose cookie is whose, is the only one.
        """
        told = self.request.headers.get("X-XSRFToken", "")
        sent = "; ".join(self.request.headers.get_list("Cookie")).split("; ")
        if not (told and f"_xsrf={told}" in sent and "JUPYTERHUB_SERVICE_PREFIX" not in os.environ):
            super().check_xsrf_cookie()

    async def _authorize(self) -> None:
        user = self.current_user
        if not user or not await ensure_async(
            self.authorizer.is_authorized(self, user, "write", self.auth_resource or "contents")
        ):
            raise web.HTTPError(403, "you may not upload here")

    def _create(self) -> uploads.Receiving:
        name = self.path_args[0] or self.only_parameters(name="")["name"]
        if not name:
            raise BadInput("upload", found="no name", expected="upload?name=... or upload/...")
        if self.request.headers.get("Content-Type", "").startswith("multipart/"):
            raise BadInput("upload", found="a form", expected="the file itself as the body")
        return uploads.create(self.source.settings, name, size=self._announced())

    def _announced(self) -> int | None:
        """The size that the sender says, bytes; None: it says none."""
        length = self.request.headers.get("Content-Length", "")
        if len(length) > 18:
            return 10**18
        return int(length) if length.isdecimal() else None

    async def data_received(self, chunk: bytes) -> None:
        """Hold a little, then write it in a thread, while the sender waits."""
        if self._receiving is None:
            return
        self._chunks.append(chunk)
        self._held += len(chunk)
        if self._held >= CHUNK_BYTES:
            try:
                await self._flush()
            except GeolabError as error:
                await self._give_up()
                self.refuse(error)

    async def _flush(self) -> None:
        async with self._busy:
            receiving, data = self._receiving, b"".join(self._chunks)
            self._chunks, self._held = [], 0
            if receiving is not None and data:
                await self._in_thread(lambda: receiving.write(data))

    async def post(self, name: str = "") -> None:  # noqa: ARG002 (prepare has read it)
        """The whole body is here."""
        if self._receiving is None:
            self._end()
            return
        try:
            await self._flush()
            done = await self._commit()
        except GeolabError as error:
            await self._give_up()
            self.refuse(error)
            self._end()
        else:
            self.set_status(201)
            self.finish(asdict(done))

    put = post

    async def _commit(self) -> uploads.Upload:
        async with self._busy:
            receiving = self._receiving
            if receiving is None:
                raise BadInput("upload", found="a sender that has gone", expected="one that waits")
            done = await self._in_thread(receiving.commit)
            self._receiving = None
            return done

    def on_connection_close(self) -> None:
        """The sender has gone, and with it what came so far."""
        super().on_connection_close()
        self._leaving = asyncio.ensure_future(self._give_up())

    async def _give_up(self) -> None:
        async with self._busy:
            receiving, self._receiving = self._receiving, None
            if receiving is not None:
                await self._in_thread(receiving.abort)

    def say(self, status: int, line: str) -> None:
        """Answer at once, and end later: a connection closed while bytes come may lose the answer."""
        self.set_header("Connection", "close")
        if "Expect" in self.request.headers:  # nothing comes: it waits to be told to go on
            super().say(status, line)
            return
        data = json.dumps({"message": one_line(line)}).encode()
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.set_header("Content-Length", str(len(data)))
        self.set_header("Cache-Control", "no-store")
        self.write(data)
        self.flush()
        asyncio.get_running_loop().call_later(AFTER_REFUSAL_S, self._end)

    def _end(self) -> None:
        if not self._finished:
            self.finish()

    async def _in_thread(self, do: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.source.files, do)
