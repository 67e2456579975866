"""A page of the apps as its reader gets it: the frame at once, the kernel behind it, then the cells.

Voila renders the notebook. Different from Voila's own handler: the frame is sent before a kernel is
started, a kernel that can't start ends the page in words, and a reader who leaves takes the kernel along.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

import nbformat
from jupyter_core.utils import ensure_async
from tornado import web
from tornado.httputil import split_host_and_port
from tornado.iostream import StreamClosedError
from voila.handler import BaseVoilaHandler
from voila.notebook_renderer import NotebookRenderer
from voila.utils import ENV_VARIABLE, get_page_config

from geolab.service import kernels

KEEP_ALIVE_S = 10.0  # proxies close what is silent for long
KERNEL = {"name": "python3", "display_name": "geolab", "language": "python"}
_FAILED = "<script>geolab.failed()</script>\n"
_ALIVE = "<script>window.voila_heartbeat()</script>\n"


class Renderer(NotebookRenderer):
    """Voila's, which starts the kernel itself when the frame is out."""

    def __init__(self, handler: PageHandler, **kwargs: Any):
        super().__init__(request_handler=handler, **kwargs)
        self.handler = handler

    async def load_notebook(self, path: str) -> Any:
        """The notebook with this page's kernel, whichever it names."""
        notebook = nbformat.read(self.handler.folder / path, as_version=4)
        notebook.metadata.kernelspec = nbformat.from_dict(KERNEL)
        notebook.metadata.title = f"{Path(path).stem.capitalize()} · geolab"
        return notebook

    async def _jinja_kernel_start(self, nb: Any, kernel_id: Any, kernel_future: Any) -> str:  # noqa: ARG002
        started = await self.handler.started()
        return await super()._jinja_kernel_start(nb, started, self.handler.kernel_manager.get_kernel(started))


class PageHandler(BaseVoilaHandler):
    """`voila/render/<page>.ipynb`, for the notebooks of the folder of the apps."""

    def initialize(self, template_paths: list[str], config: Any, voila_configuration: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().initialize(voila_configuration=voila_configuration)
        self.template_paths, self.traitlet_config = template_paths, config
        self._left = asyncio.Event()
        self._starting: asyncio.Future[str] | None = None

    @property
    def folder(self) -> Path:
        return Path(self.settings["server_root_dir"]).expanduser()

    def on_connection_close(self) -> None:
        self._left.set()
        super().on_connection_close()

    @web.authenticated
    async def get(self, name: str) -> None:
        if not (self.folder / f"{name}.ipynb").is_file():
            raise web.HTTPError(404)
        user = getattr(self.current_user, "username", "")
        kernels.asking.set(user)
        assert isinstance(self.kernel_manager, kernels.PageKernels)
        if self.kernel_manager.full(user):
            raise web.HTTPError(503, kernels.FULL)
        self.set_header("Content-Type", "text/html; charset=UTF-8")
        self.set_header("Cache-Control", "no-store")
        _ = self.xsrf_token  # sets its cookie: with it the page sends files, and says that it was left
        renderer = self._renderer(f"{name}.ipynb")
        await renderer.initialize(template=None, theme=None)
        try:
            await self._send(renderer.generate_content_generator())
        except StreamClosedError:
            self._left.set()
        except Exception:
            self.log.exception("geolab | the page %s could not be made", name)
            self.write(_FAILED)
        if self._left.is_set():
            await self._end()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        if status_code == 503:
            self.set_header("Retry-After", str(kernels.RETRY_AFTER_S))
        super().write_error(status_code, **kwargs)

    # ------------------------------------------------------------ the kernel

    async def started(self) -> str:
        """The id of a kernel for this page. Raises HTTPError 503 when all places are taken."""
        begun = self.kernel_manager.start_kernel(path="", env=self._environment())
        self._starting = asyncio.ensure_future(begun)
        return await asyncio.shield(self._starting)  # half started, it would belong to nobody

    async def _end(self) -> None:
        """End the kernel of a page that nobody waits for."""
        if self._starting is not None:
            with suppress(web.HTTPError):
                kernel = await self._starting
                if kernel in self.kernel_manager:
                    await ensure_async(self.kernel_manager.shutdown_kernel(kernel, now=True))

    def _environment(self) -> dict[str, str]:
        """What CGI programs are told too: the page asked for, and with which query."""
        host, port = split_host_and_port(self.request.host.lower())
        return os.environ | {
            ENV_VARIABLE.SCRIPT_NAME: self.request.path,
            ENV_VARIABLE.PATH_INFO: "",
            ENV_VARIABLE.QUERY_STRING: str(self.request.query),
            ENV_VARIABLE.SERVER_NAME: host,
            ENV_VARIABLE.SERVER_PORT: str(port or ""),
            ENV_VARIABLE.SERVER_PROTOCOL: str(self.request.version),
            ENV_VARIABLE.VOILA_BASE_URL: self.base_url,
        }

    # ------------------------------------------------------------ the page

    def _renderer(self, path: str) -> Renderer:
        return Renderer(
            self,
            voila_configuration=self.voila_configuration,
            traitlet_config=self.traitlet_config,
            notebook_path=path,
            template_paths=self.template_paths,
            config_manager=self.config_manager,
            contents_manager=self.contents_manager,
            base_url=self.base_url,
            kernel_spec_manager=self.kernel_spec_manager,
            page_config=self._page_config(),
            mathjax_url="",
            mathjax_config="",
        )

    def _page_config(self) -> dict[str, Any]:
        """What Voila's scripts are told; the search for extensions is done once."""
        known = self.settings.get("geolab_page_config")
        if known is None:
            given: dict[str, Any] = {
                "base_url": self.base_url,
                "settings": self.settings,
                "log": self.log,
                "voila_configuration": self.voila_configuration,
            }
            known = get_page_config(**given)
            if hook := self.voila_configuration.page_config_hook:
                known = hook(known, **given, notebook_path="")
            self.settings["geolab_page_config"] = known
        return deepcopy(known)

    async def _send(self, pieces: AsyncGenerator[tuple[str, Any], None]) -> None:
        async for piece in _alive(pieces, self._left):
            self.write(piece)
            await self.flush()


async def _alive(pieces: AsyncGenerator[tuple[str, Any], None], left: asyncio.Event) -> AsyncIterator[str]:
    """The pieces until the reader leaves, and a sign of life whenever the next one takes long."""
    leaving = asyncio.ensure_future(left.wait())
    following: asyncio.Future[Any] = leaving
    try:
        while True:
            following = asyncio.ensure_future(anext(pieces, None))
            while not await _first(following, leaving):
                yield _ALIVE
            if not following.done() or (piece := following.result()) is None:
                return
            yield piece[0]
    finally:
        leaving.cancel()
        following.cancel()


async def _first(*waited: asyncio.Future[Any]) -> set[asyncio.Future[Any]]:
    """Those that are done, as soon as one is; none when all take long."""
    return (await asyncio.wait(waited, timeout=KEEP_ALIVE_S, return_when=asyncio.FIRST_COMPLETED))[0]
