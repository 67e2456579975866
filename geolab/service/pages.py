"""The server extension of the apps: Voila with our frame, nothing else that answers, and where it is.

<base_url>                          leads to Home
<base_url>voila/render/<page>.ipynb
<base_url>geolab/status             what the header of each page shows
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from jupyter_server.utils import url_path_join
from tornado.routing import Rule
from voila import server_extension as voila
from voila.paths import collect_static_paths
from voila.tornado.handler import TornadoVoilaHandler
from voila.utils import get_voila_labextensions_path

from geolab import settings as settings_module
from geolab.service import authorizer, bundles, models, status
from geolab.service.rendering import PageHandler

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_server.serverapp import ServerApp

# ---------------------------------------------------------------- the extension


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "geolab.service.pages"}]


def _load_jupyter_server_extension(server: ServerApp) -> None:
    """Load Voila, put our handlers in the place of its own, and shut all other doors."""
    base_url = server.web_app.settings["base_url"]
    workspace = settings_module.load()
    voila._load_jupyter_server_extension(server)
    theirs = next(rule for rule in _rules(server) if rule.target is TornadoVoilaHandler).target_kwargs
    static = collect_static_paths(["voila", "nbconvert"], "geolab")
    widgets = get_voila_labextensions_path(theirs["voila_configuration"].extra_labextensions_path)
    fixed, hashed = {"folders": static, "versioned": True}, {"folders": widgets, "versioned": False}
    root = url_path_join(base_url, "voila")
    ours: list[Any] = [
        (rf"{root}/render/(\w{{1,64}})\.ipynb", PageHandler, theirs),
        (rf"{root}/static/{bundles.VERSION}/(.+)", bundles.BundleHandler, fixed),
        (rf"{root}/labextensions/(.+)", bundles.BundleHandler, hashed),
        (url_path_join(base_url, "geolab/status"), status.StatusHandler, {"workspace": workspace}),
    ]
    server.web_app.add_handlers(".*$", ours)
    rules = server.web_app.default_router.rules
    rules.insert(0, rules.pop(-2))  # before Voila's own, which were added first
    authorizer.close(server.web_app, base_url, theirs["voila_configuration"])
    models.attach(server)


def _rules(server: ServerApp) -> Iterator[Rule]:
    for host in server.web_app.default_router.rules:
        yield from getattr(host.target, "rules", ())


async def _start_jupyter_server_extension(server: ServerApp) -> None:
    if not hasattr(server.identity_provider, "hub_auth"):  # behind a hub the token is a secret of the server
        sys.stderr.write(f"geolab | open {address(server)}\n")


def address(server: ServerApp) -> str:
    """Where a browser opens the apps, with the token that lets it in."""
    scheme = "https" if server.certfile else "http"
    token = server.identity_provider.token
    query = f"?token={quote(token)}" if token else ""
    return f"{scheme}://{server.ip or 'localhost'}:{server.port}{server.base_url}{query}"
