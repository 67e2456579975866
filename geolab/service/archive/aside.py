"""The STAC API of an archive in a thread of this process: for a notebook's own sample, and for tests."""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from geolab.service.archive.app import make_app
from geolab.service.archive.faults import Faults
from geolab.service.archive.holdings import Holdings
from geolab.service.archive.server import HOST, _listening


@contextmanager
def aside(folder: str | Path, *, faults: Faults | None = None) -> Iterator[str]:
    """The address under which the archive in a folder answers until the block ends. Raises BadInput."""
    with _listening(0) as listener, tempfile.TemporaryDirectory(prefix="geolab-archive-") as scratch:
        origin = f"http://{HOST}:{listener.getsockname()[1]}"
        with Holdings(Path(folder), origin, Path(scratch)).opened() as holdings:
            app = make_app(holdings, faults or Faults())
            config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none")
            server = uvicorn.Server(config)
            thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])), daemon=True)
            thread.start()
            try:
                while not server.started and thread.is_alive():
                    time.sleep(0.01)
                yield origin
            finally:
                server.should_exit = server.force_exit = True
                thread.join()
