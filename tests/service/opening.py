"""Pages of the apps opened as a browser would, without one."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import websocket

_MARKDOWN = {"cell_type": "markdown", "metadata": {}, "id": "title", "source": "# A page\n\nFor tests."}
_PAGES = {
    "plain": ("import os\nfrom ipywidgets import HTML\nHTML('asked: ' + os.environ['QUERY_STRING'])",),
    "secret": ("import os\nfor name, value in os.environ.items():\n    print(name, value, sep='=')",),
    "slow": ("import time\ntime.sleep(120)",),
    "fails": ("import ipywidgets", "raise ValueError('what nobody may see')", "ipywidgets.Label('after')"),
}


def write_pages(folder: Path) -> Path:
    """The folder, with small pages: plain, secret, slow, fails."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, sources in _PAGES.items():
        code = {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": []}
        cells = [_MARKDOWN, *(code | {"id": f"c{i}", "source": s} for i, s in enumerate(sources))]
        kernel = {"name": "elsewhere", "display_name": "Another", "language": "python"}
        told = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
        (folder / f"{name}.ipynb").write_text(json.dumps(told))
    return folder


def page(server: Any, name: str = "plain", query: str = "") -> httpx.Response:
    """A page, read to its end."""
    return server.get(f"voila/render/{name}.ipynb{query}")


def kernel_of(text: str) -> str:
    """The id of the kernel that a page belongs to."""
    found = re.search(r'"kernelId": ?"([\w-]+)"', text)
    assert found, text[-2000:]
    return found[1]


def outputs(text: str) -> str:
    """What the cells of a page have put out, as Voila hands it to its scripts."""
    return " ".join(re.findall(r"voila\.cell-output\+json\">(.*?)</script>", text, re.DOTALL))


def kernels(server: Any) -> int:
    """How many kernels the server has."""
    return server.get("api/status").json()["kernels"]


def shut(server: Any, kernel: str) -> int:
    """What a page that is closed sends; the status of the answer."""
    headers = {"Authorization": f"token {server.token}"}
    address = f"{server.url}voila/api/shutdown/{kernel}"
    return httpx.post(address, headers=headers, timeout=60, trust_env=False).status_code


def until(true: Callable[[], object], what: str, *, seconds: float = 60) -> None:
    """Return when it is true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.05)


@contextmanager
def spoken(server: Any, kernel: str, *, protocol: str = "") -> Iterator[websocket.WebSocket]:
    """A websocket to a kernel, as a page opens it."""
    address = f"{server.url}api/kernels/{kernel}/channels?session_id=test".replace("http://", "ws://")
    given = {"subprotocols": [protocol]} if protocol else {}
    line = websocket.create_connection(
        address, header=[f"Authorization: token {server.token}"], timeout=30, **given
    )
    try:
        yield line
    finally:
        line.close()


def message(kind: str, content: dict[str, Any], *, channel: str = "shell") -> dict[str, Any]:
    """A message to a kernel."""
    header = {"msg_id": os.urandom(8).hex(), "msg_type": kind, "username": "a", "session": "test"}
    header |= {"version": "5.3", "date": "2026-01-01T00:00:00Z"}
    return {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": channel}


def answer(line: websocket.WebSocket, asked: dict[str, Any]) -> dict[str, Any]:
    """The reply to a message that was sent."""
    while True:
        said = json.loads(line.recv())
        replied = said["parent_header"].get("msg_id") == asked["header"]["msg_id"]
        if replied and said["msg_type"].endswith("_reply"):
            return said


def family(pid: int) -> list[psutil.Process]:
    """The processes below one, grandchildren included."""
    return psutil.Process(pid).children(recursive=True)
