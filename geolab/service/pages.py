"""The server extension of the apps: it says where they are."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "geolab.service.pages"}]


def _load_jupyter_server_extension(server: ServerApp) -> None:  # noqa: ARG001
    """Nothing yet; the start says where the apps are."""


async def _start_jupyter_server_extension(server: ServerApp) -> None:
    sys.stderr.write(f"geolab | open {address(server)}\n")


def address(server: ServerApp) -> str:
    """Where a browser opens the apps, with the token that lets it in."""
    scheme = "https" if server.certfile else "http"
    token = server.identity_provider.token
    query = f"?token={quote(token)}" if token else ""
    return f"{scheme}://{server.ip or 'localhost'}:{server.port}{server.base_url}{query}"
