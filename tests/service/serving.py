"""A real Jupyter server on a workspace, for tests; and rasters whose every pixel is known."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

REPOSITORY = Path(__file__).parents[2]
NOTEBOOKS = REPOSITORY / "notebooks"
APPS = NOTEBOOKS / "apps"
CONFIG = REPOSITORY / "jupyter_config" / "jupyter_server_config.py"
APPS_CONFIG = CONFIG.with_name("apps_config.py")


@dataclass(frozen=True)
class Server:
    origin: str
    base_url: str
    token: str
    log: Path
    pid: int = 0

    @property
    def url(self) -> str:
        return self.origin + self.base_url

    def get(self, path: str, *, token: bool = True, **options: object) -> httpx.Response:
        headers = {"Authorization": f"token {self.token}"} if token else {}
        headers |= dict(options.pop("headers", {}))  # type: ignore[call-overload]
        return httpx.get(self.url + path, headers=headers, timeout=60, trust_env=False, **options)  # type: ignore[arg-type]


@contextmanager
def serve(
    home: Path,
    scratch: Path,
    *,
    base_url: str = "/",
    root: Path = NOTEBOOKS,
    options: tuple[str, ...] = (),
    config: Path = CONFIG,
) -> Iterator[Server]:
    """A server that has answered; it and its kernels are gone after the block."""
    port, token = _free_port(), secrets.token_hex(16)
    log = scratch / "server.log"
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "GEOLAB", "VOILA"))}
    environment |= {"GEOLAB_HOME": str(home), "HOME": str(scratch), "JUPYTER_TOKEN": token}
    environment |= {"JUPYTER_CONFIG_DIR": str(scratch / "config"), "IPYTHONDIR": str(scratch / "ipython")}
    command = [
        sys.executable, "-m", "jupyter_server", f"--config={config}", "--no-browser", "--allow-root",
        "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0",
        f"--ServerApp.base_url={base_url}", f"--ServerApp.root_dir={root}", *options,
    ]  # fmt: skip
    with log.open("wb") as stream:
        process = subprocess.Popen(command, env=environment, stdout=stream, stderr=stream, cwd=scratch)
    server = Server(f"http://127.0.0.1:{port}", base_url, token, log, process.pid)
    try:
        _wait(server, process)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait(server: Server, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise AssertionError(f"the server ended:\n{server.log.read_text()}")
        try:
            if server.get("api/status").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"the server did not answer within a minute:\n{server.log.read_text()}")
