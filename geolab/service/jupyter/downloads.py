"""Files that go out: whole or by ranges, never more than a block of them in memory, saved and not run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import AbstractContextManager, ExitStack
from datetime import timedelta
from time import time
from typing import Any
from urllib.parse import urlsplit

from jupyter_server.auth.decorator import allow_unauthenticated, authorized
from tornado import web
from tornado.iostream import StreamClosedError

from geolab import share, store
from geolab.errors import GeolabError, one_line
from geolab.service.jupyter import files, ranges
from geolab.service.jupyter.answers import Handler
from geolab.service.jupyter.files import File
from geolab.service.jupyter.pictures import picture_type
from geolab.service.jupyter.source import digest

PIECE_BYTES = 1 << 20
SIGNED_FOR = timedelta(minutes=15)  # links into a bucket: time enough to begin


class FileHandler(Handler):
    """Sends an open file as RFC 9110 wants it."""

    @property
    def content_security_policy(self) -> str:
        """A page or picture with scripts that is opened by itself does nothing and belongs to nobody."""
        return "default-src 'none'; sandbox"

    async def send(
        self,
        open_file: Callable[[], AbstractContextManager[File]],
        *,
        inline: bool = False,
        pool: Executor | None = None,
    ) -> None:
        """Open in a thread (of `pool`), send, close. inline: a picture may be shown where it is asked for."""
        stack, loop = ExitStack(), asyncio.get_running_loop()
        try:
            file = await loop.run_in_executor(
                pool or self.source.files, lambda: stack.enter_context(open_file())
            )
            await self._send_file(file, inline=inline)
        except GeolabError as error:
            self.refuse(error)
        except StreamClosedError:
            return  # nobody listens any more
        except OSError as error:
            self._broken(error)
        finally:
            await self._in_thread(stack.close)

    async def _send_file(self, file: File, *, inline: bool) -> None:
        head = await self._in_thread(lambda: file.stream.read(16)) if inline else b""
        self._describe(file, inline=file.kind in files.SHOWN and picture_type(head) == file.kind)
        tag = self._headers["Etag"]
        status = ranges.precondition(self.request.headers, tag, file.modified)
        if status != 200:
            self._nothing(status)
            return
        wanted = self.request.headers.get("Range") if self.request.method == "GET" else None
        if not ranges.still_the_same(self.request.headers.get("If-Range"), tag, file.modified):
            wanted = None
        try:
            found = ranges.spans(wanted, file.size)
        except ranges.Unsatisfiable:
            self.set_header("Content-Range", f"bytes */{file.size}")
            self._nothing(416)
            return
        await self._send_spans(file, found)

    def _describe(self, file: File, *, inline: bool) -> None:
        self.keep(digest(file.tag, str(file.size)))
        self.set_header("Cache-Control", "private, no-cache")  # kept, but asked for again by its tag
        self.set_header("Accept-Ranges", "bytes")
        self.set_header("Last-Modified", ranges.http_date(file.modified))
        self.set_header("Content-Disposition", files.disposition(file.name, inline=inline))

    def _broken(self, error: OSError) -> None:
        """The file can't be read on: say so, or end an answer that has begun, so that it is known as cut."""
        if not self._headers_written:
            self.say(502, f"the file can't be read: {error.strerror or error}")
            return
        self.log.warning("geolab | a download broke off: %s", one_line(error))
        self.request.connection.stream.close()  # type: ignore[union-attr]

    def _nothing(self, status: int) -> None:
        self.set_status(status)
        self.finish(set_content_type="text/plain")

    async def _send_spans(self, file: File, found: list[ranges.Span]) -> None:
        whole = [ranges.Span(0, file.size)]
        kind, size = file.kind, sum(span.size for span in found or whole)
        frame = ranges.parts(found, file.size, kind) if len(found) > 1 else None
        if found:
            self.set_status(206)
        if frame is not None:
            kind, size = frame.content_type, frame.size
        elif found:
            self.set_header("Content-Range", found[0].of(file.size))
        self.set_header("Content-Type", kind)
        self.set_header("Content-Length", str(size))
        if self.request.method != "HEAD":
            for index, span in enumerate(found or whole):
                if frame is not None:
                    self.write(frame.heads[index])
                await self._send_span(file, span)
            self.write(frame.end if frame is not None else b"")
        self.finish(set_content_type=kind)

    async def _send_span(self, file: File, span: ranges.Span) -> None:
        position = span.start
        while position < span.stop:
            data = await self._in_thread(_piece(file, position, min(PIECE_BYTES, span.stop - position)))
            if not data:
                raise StreamClosedError  # it has become shorter: an answer cut off is no whole file
            self.write(data)
            await self.flush()  # waits until the reader has taken it
            position += len(data)

    async def _in_thread(self, do: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self.source.files, do)


def _piece(file: File, position: int, size: int) -> Callable[[], bytes]:
    def read() -> bytes:
        file.stream.seek(position)
        return file.stream.read(size)

    return read


class AssetHandler(FileHandler):
    @web.authenticated
    @authorized
    async def get(self, collection: str, item: str, asset: str) -> None:
        await self.send(lambda: self._asset(collection, item, asset))

    head = get

    def _asset(self, collection: str, item_id: str, asset: str) -> AbstractContextManager[File]:
        self.only_parameters()
        uri, version = self.source.asset(collection, item_id, asset)
        name = files.name_of(self.source.item(collection, item_id), asset, uri)
        return files.asset(self.source.settings, uri, name, version)


class RunFileHandler(FileHandler):
    @web.authenticated
    @authorized
    async def get(self, run_id: str, name: str) -> None:
        await self.send(lambda: self._file(run_id, name), inline=True)

    head = get

    def _file(self, run_id: str, name: str) -> AbstractContextManager[File]:
        self.only_parameters()
        return files.of_run(self.source.settings, run_id, name)


class SharedHandler(AssetHandler, RunFileHandler):
    """One file for whoever has a link that was signed here and has not expired."""

    @allow_unauthenticated
    async def get(self, token: str) -> None:
        try:
            self.only_parameters()
            shared = await self._in_thread(lambda: share.check(self.source.settings, token))
            signed = await self._in_thread(lambda: self._signed(shared))
        except share.Expired as error:
            self.say(403, str(error))
        except GeolabError as error:
            self.refuse(error)
        else:
            if signed:
                self.set_header("Cache-Control", "no-store")
                self.redirect(signed)
                return
            open_file = self._asset if shared.kind == "asset" else self._file
            await self.send(lambda: open_file(*shared.names))

    head = get

    def _signed(self, shared: share.Shared) -> str:
        """A link into the bucket where the file lies, so that its bytes don't pass here; else ''."""
        if shared.kind != "asset":
            return ""
        uri, _ = self.source.asset(*shared.names)
        if urlsplit(uri).scheme != "s3":
            return ""
        left = timedelta(seconds=max(1, shared.expires - int(time())))
        return store.share_link(uri, expires=min(left, SIGNED_FOR))
