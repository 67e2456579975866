"""What an analyst may ask the apps' server for: pages, their widgets, pictures and files. Nothing else.

Two doors, each of which would do alone: `close` answers 404 wherever nothing of ours lies, whatever
extension is switched on one day; `PagesOnly` refuses what the handlers behind it would do.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.authorizer import Authorizer
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.services.kernels.websocket import KernelWebsocketHandler
from tornado import web
from tornado.routing import Matcher, Rule
from voila.handler import BaseVoilaHandler

if TYPE_CHECKING:
    from jupyter_server.auth.identity import User
    from tornado.httputil import HTTPServerRequest
    from tornado.web import Application

_KERNEL = r"[\w-]{1,64}"
OPEN = (
    ("GET", r"$"),
    ("GET", r"voila/render/\w{1,64}\.ipynb$"),
    ("GET", r"voila/(static|templates|labextensions)/"),
    ("GET", r"voila/api/themes/"),
    ("POST", rf"voila/api/shutdown/{_KERNEL}$"),
    ("GET", rf"api/kernels/{_KERNEL}(/channels)?$"),  # a page's own: nobody guesses its id
    ("GET", r"api(/status)?$"),
    ("GET POST", r"(login|logout)$"),
    ("GET", r"oauth_callback$"),
    ("GET", r"(favicon\.ico|static/.*)$"),
    ("GET POST PUT PATCH DELETE", r"(geolab|mlflow|dask)(/|$)"),
)


class PagesOnly(Authorizer):
    """Lets a page speak to its own kernel, and geolab's own handlers answer; refuses the rest."""

    def is_authorized(self, handler: JupyterHandler, user: User, action: str, resource: str) -> bool:  # noqa: ARG002
        if isinstance(handler, KernelWebsocketHandler):
            return (action, resource) == (
                "execute",
                "kernels",
            )  # of which allowed_message_types lets comms in
        if type(handler).__module__.startswith("geolab."):
            return True
        return (action, resource) in {("read", "api"), ("read", "kernels")}


class _Elsewhere(Matcher):
    """Matches whatever is not open."""

    def __init__(self, base_url: str):
        self._base = base_url
        self._open = [(set(methods.split()), re.compile(path)) for methods, path in OPEN]

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        path, method = str(request.path), "GET" if request.method == "HEAD" else str(request.method)
        if path == self._base.rstrip("/"):
            return None
        inside = path.startswith(self._base)
        rest = path.removeprefix(self._base)
        if inside and any(method in methods and place.match(rest) for methods, place in self._open):
            return None
        return {}


class NothingHere(BaseVoilaHandler):
    """404 in our own look, to whatever is asked."""

    async def prepare(self) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        await super().prepare()
        raise web.HTTPError(404)

    @web.authenticated
    def get(self, *_: Any) -> None:
        """Never reached."""

    def check_xsrf_cookie(self) -> None:
        """Nothing is done here that could be done for somebody else."""


def close(application: Application, base_url: str, voila_configuration: Any) -> None:
    """Answer 404 to whatever is not in OPEN, before any other handler is looked for."""
    given = {"voila_configuration": voila_configuration}
    application.default_router.rules.insert(0, Rule(_Elsewhere(base_url), NothingHere, given))
