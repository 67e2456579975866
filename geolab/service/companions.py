"""Other programs' own pages behind this server's login: MLflow at <base_url>mlflow/, Dask at <base_url>dask/.

MLflow's is a process of its own on a socket in a private folder: started by the first request, ended
when nobody asked for half an hour, and with the server however that ends. Dask's dashboard is there
where DASK_SCHEDULER_ADDRESS names a scheduler. Analysts read in both; they change nothing.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import weakref
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from jupyter_server.utils import url_path_join
from jupyter_server_proxy.handlers import AddSlashHandler, NamedLocalProxyHandler, RemoteProxyHandler
from tornado import web
from tornado.ioloop import PeriodicCallback

from geolab import settings as settings_module
from geolab.jobs.template import die_with
from geolab.service.authorizer import PagesOnly

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

    from geolab.settings import Settings

START_S = 90.0
POLL_S = 0.05
IDLE_S = 30 * 60.0
DASHBOARD_PORT = 8787

# What MLflow's pages ask with POST and change nothing by; and what is no page of records at all
_READS = re.compile(r"(/search|/graphql|/get-history-bulk[\w-]*|/batchGet|/search-\w+)$")
_NEVER = re.compile(r"assistant|gateway|mcp|/jobs(/|$)|/v1/|scorers/|webhooks|secrets", re.IGNORECASE)


class Mlflow:
    """MLflow's server for a workspace: there when it is asked for."""

    def __init__(self, workspace: Settings):
        self.workspace = workspace
        self.folder = Path(tempfile.mkdtemp(prefix="geolab-mlflow-"))  # 0700
        self.socket = self.folder / "socket"
        self.process: subprocess.Popen[bytes] | None = None
        self._used = time.monotonic()
        self._starting = asyncio.Lock()
        self._finish = weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    async def ready(self) -> None:
        """Return when it answers. Raises HTTPError 503 when it does not."""
        self._used = time.monotonic()
        async with self._starting:
            if self.process is None or self.process.poll() is not None:
                self._start()
            await self._answers()

    def end(self) -> None:
        """End the process, and wait until it is gone."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None

    def close(self) -> None:
        """End it for good."""
        self.end()
        self._finish()

    def end_if_idle(self) -> None:
        """End it when nobody has asked for long."""
        if time.monotonic() - self._used > IDLE_S:
            self.end()

    def _start(self) -> None:
        self.socket.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "geolab.service.companions", str(self.socket), str(os.getpid())],
            env=os.environ | self._variables(),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _variables(self) -> dict[str, str]:
        own = self.workspace
        return {
            "_MLFLOW_SERVER_FILE_STORE": own.tracking_uri,
            "_MLFLOW_SERVER_REGISTRY_STORE": own.tracking_uri,
            "_MLFLOW_SERVER_ARTIFACT_ROOT": (own.home / "mlartifacts").as_uri(),
            "_MLFLOW_SGI_NAME": "uvicorn",
            # its own guards know only localhost; who may ask is this server's to say
            "MLFLOW_SERVER_ALLOWED_HOSTS": "*",
            "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": "*",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
        }

    async def _answers(self) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self.process is None or self.process.poll() is not None:
                raise web.HTTPError(503, "MLflow ended; the server's log says why")
            with suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(self.socket))
                return
            await asyncio.sleep(POLL_S)
        raise web.HTTPError(503, "MLflow does not answer")


class MlflowHandler(NamedLocalProxyHandler):
    """MLflow's pages; to analysts those of its requests that read."""

    name = "mlflow"

    def initialize(self, mlflow: Mlflow, read_only: bool) -> None:
        self.mlflow, self.read_only = mlflow, read_only
        self.unix_socket = str(mlflow.socket)
        self.proxy_base = "mlflow"

    async def proxy(self, port: int, path: str) -> None:
        self._allow(path)
        await self.mlflow.ready()
        await super().proxy(port, path)

    async def open(self, path: str) -> None:  # noqa: ARG002 (MLflow has no websockets)
        self.close()

    def _allow(self, path: str) -> None:
        reads = self.request.method in ("GET", "HEAD")
        if not reads and not self.check_origin():
            raise web.HTTPError(403, "asked for by another site")
        if self.read_only and (_NEVER.search(path) or not (reads or _READS.search(path))):
            raise web.HTTPError(403, "MLflow's records are read here, not changed")


class ElsewhereHandler(web.RequestHandler):
    """MLflow's pages are those of a server of its own."""

    def initialize(self, uri: str) -> None:
        self.uri = uri

    def get(self, _path: str) -> None:
        self.redirect(self.uri)


class DaskHandler(RemoteProxyHandler):
    """The pages of a scheduler whose address is configured; nothing is posted to it."""

    def initialize(self, host: str, port: int) -> None:
        self.place = (host, port)
        self.host_allowlist = [host]
        self.proxy_base = "dask"

    async def http_get(self, path: str) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return await self.proxy(*self.place, path)

    async def open(self, path: str) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return await self.proxy_open(*self.place, path)


def dashboard(environ: Any = os.environ) -> tuple[str, int] | None:
    """Host and port of the configured scheduler's dashboard; None without a scheduler."""
    given = environ.get("DASK_DASHBOARD_ADDRESS") or environ.get("DASK_SCHEDULER_ADDRESS", "")
    parts = urlsplit(given)
    if not parts.hostname:
        return None
    named = parts.port if environ.get("DASK_DASHBOARD_ADDRESS") else None
    return parts.hostname, named or DASHBOARD_PORT


# ---------------------------------------------------------------- the extension


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "geolab.service.companions"}]


def _load_jupyter_server_extension(server: ServerApp) -> None:
    base_url = server.web_app.settings["base_url"]
    workspace = settings_module.load()
    root = url_path_join(base_url, "mlflow")
    handlers: list[Any] = [(rf"{root}", AddSlashHandler)]
    if workspace.tracking_uri.startswith("http"):
        handlers.append((rf"{root}/(.*)", ElsewhereHandler, {"uri": workspace.tracking_uri}))
    else:
        mlflow = server.web_app.settings["geolab_mlflow"] = Mlflow(workspace)
        weakref.finalize(server, mlflow.close)  # also at the interpreter's end
        PeriodicCallback(mlflow.end_if_idle, 60_000).start()
        given = {"mlflow": mlflow, "read_only": isinstance(server.authorizer, PagesOnly)}
        handlers.append((rf"{root}/(.*)", MlflowHandler, given))
    if place := dashboard():
        dask = url_path_join(base_url, "dask")
        given = {"host": place[0], "port": place[1]}
        handlers += [(dask, AddSlashHandler), (rf"{dask}/(.*)", DaskHandler, given)]
    server.web_app.add_handlers(".*$", handlers)


def main(path: str, parent: int) -> None:
    """Be MLflow's server on a socket, until the parent ends."""
    import uvicorn

    die_with(parent)
    os.umask(0o077)
    uvicorn.run("mlflow.server.fastapi_app:app", uds=path, log_level="warning", access_log=False)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
