"""The process: answers on a socket that only this user can open, and ends when nobody stays.

python -m geolab.modelserver SOCKET [seconds that it waits when nobody stays any more]
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import time
from contextlib import suppress
from pathlib import Path

from geolab.errors import GeolabError, one_line
from geolab.modelserver import asked, wire
from geolab.modelserver.line import Line
from geolab.modelserver.work import Work

GRACE_S = 20.0

log = logging.getLogger(__name__)


class Server:
    """Holds the line and those who stay."""

    def __init__(self, work: Work, *, grace_s: float = GRACE_S):
        self._work, self._line = work, Line(work.perform)
        self._grace_s, self._staying, self._empty_since = grace_s, 0, time.monotonic()
        self.over = asyncio.Event()

    async def serve(self, path: Path) -> None:
        """Answer until nobody has stayed for the time of grace."""
        server = await asyncio.start_unix_server(self._answer, path, limit=wire.LONGEST_LINE)
        path.chmod(0o600)
        log.info("models are served at %s, drawn by %s", path, self._work.choice.name)
        watch = asyncio.create_task(self._watch())
        try:
            await self.over.wait()
        finally:
            watch.cancel()
            path.unlink(missing_ok=True)  # nobody new comes in
            server.close()

    async def _watch(self) -> None:
        while self._staying or time.monotonic() - self._empty_since < self._grace_s:
            await asyncio.sleep(min(1.0, self._grace_s / 4))
        self.over.set()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, EOFError):
            try:
                told = await wire.receive(reader)
                await self._do(told, reader, writer)
            except GeolabError as error:
                writer.write(wire.frame({"error": type(error).__name__, "message": str(error)}))
            except (RuntimeError, MemoryError, OSError, ValueError) as error:
                log.exception("a request failed")
                reason = one_line(f"the model server failed: {error}")
                writer.write(wire.frame({"error": "failed", "message": reason}))
            await writer.drain()
        writer.close()

    async def _do(self, told: wire.Told, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if told.get("do") == "stay":
            await self._stay(reader, writer)
        elif told.get("do") == "status":
            writer.write(wire.frame({"status": self.status()}))
        else:
            job = await asyncio.to_thread(asked.of, told)  # looks at files
            doing = asyncio.create_task(
                self._line.do(job, lambda before: writer.write(wire.frame({"before": before})))
            )
            gone = asyncio.create_task(reader.read(1))  # nothing more is said: this is its end
            await asyncio.wait({doing, gone}, return_when=asyncio.FIRST_COMPLETED)
            gone.cancel()
            if not doing.done():
                doing.cancel()
                return
            facts, data = doing.result()
            writer.write(wire.frame({"result": facts}, data))

    async def _stay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._staying += 1
        try:
            writer.write(wire.frame({"staying": self._staying}))
            await writer.drain()
            await reader.read(1)
        finally:
            self._staying -= 1
            self._empty_since = time.monotonic()

    def status(self) -> wire.Told:
        """What it does and holds."""
        memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        return self._work.status() | {
            "pid": os.getpid(),
            "staying": self._staying,
            "waiting": len(self._line),
            "done": self._line.done,
            "batches": self._line.batches,
            "peak_mb": round(memory_mb),
        }


def main(path: str, grace_s: float = GRACE_S) -> None:
    """Serve at a path; returns when it is over."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    asyncio.run(Server(Work(), grace_s=grace_s).serve(Path(path)))
