"""The process that serves an archive: on loopback, until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import uvicorn

from geolab.errors import BadInput
from geolab.service.archive.app import make_app
from geolab.service.archive.faults import Faults
from geolab.service.archive.holdings import Holdings

HOST = "127.0.0.1"


def serve(
    folder: str | Path, *, port: int = 0, ready: Callable[[str], None], faults: Faults | None = None
) -> None:
    """Serve the archive in a folder until SIGTERM, SIGINT; downloads under way are cut off then.

    port: 0 for a free one. ready: told the address when requests are answered. faults: of tests.
    Raises BadInput for a folder that is no archive, or a port that is taken.
    """
    with _listening(port) as listener, tempfile.TemporaryDirectory(prefix="geolab-archive-") as scratch:
        origin = f"http://{HOST}:{listener.getsockname()[1]}"
        with Holdings(Path(folder), origin, Path(scratch)).opened() as holdings:
            app = make_app(holdings, faults or Faults())
            config = uvicorn.Config(
                app, log_config=None, access_log=False, lifespan="off", ws="none", timeout_graceful_shutdown=1
            )
            asyncio.run(_Server(config, lambda: ready(origin)).serve([listener]))


class _Server(uvicorn.Server):
    """uvicorn that says when it listens, and whose process ends well after a signal."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]):
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {n: signal.signal(n, self._stop) for n in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.should_exit = self.force_exit = True  # waits for no download


@contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    if not 0 <= port <= 65535:
        raise BadInput("port", found=port, expected="0 to 65535; 0 takes a free one")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError as error:
            found = f"{port} ({error.strerror})"
            raise BadInput("port", found=found, expected="a free port; 0 takes one") from error
        listener.listen(128)
        yield listener
