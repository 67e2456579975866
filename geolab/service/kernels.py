"""Kernels of pages: forked from a process that has imported what pages import, counted, ended when left.

A page's kernel only shows things. It takes messages of widgets and nothing else from a browser, it is
not started again when it dies, and it leaves the GPU to jobs.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import tempfile
import weakref
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.ioloop.restarter import AsyncIOLoopKernelRestarter
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager, ServerKernelManager
from tornado import web
from traitlets import Int, Type, default

from geolab import settings as settings_module
from geolab.jobs import ending, stamp
from geolab.jobs.kernels import OwnClient
from geolab.jobs.warm import OWN, Forked, NotWarm, Template
from geolab.service import preheat
from geolab.settings import Settings

COMMS = ("comm_open", "comm_msg", "comm_close", "comm_info_request", "kernel_info_request")
SECRETS = ("JUPYTER_TOKEN", "JUPYTERHUB_API_TOKEN", "JPY_API_TOKEN", "CONFIGPROXY_AUTH_TOKEN")
RETRY_AFTER_S = 60
FULL = "All places here are taken. Close pages that you no longer look at, or try again in a minute."

asking: ContextVar[str] = ContextVar("asking", default="")  # who asks for the page that is being opened

# Differ from page to page, and are read when they are used
_OF_A_PAGE = ("VOILA_", "JUPYTER", "JPY_", "HTTP_", "SERVER_", "QUERY_STRING", "SCRIPT_NAME", "PATH_INFO")


class PageTemplate(Template):
    """The process that kernels of pages are forked from."""

    module = preheat.NAME

    def __init__(self, settings: Settings):
        super().__init__(settings)
        self._forked: list[Forked] = []  # from the present process
        self._old: list[_Old] = []

    def now(self, environ: Mapping[str, str]) -> stamp.Stamp:
        """As that of jobs, whatever page is asked for."""
        return stamp.take({name: value for name, value in environ.items() if not name.startswith(_OF_A_PAGE)})

    def fork(self, argv: list[str], environ: Mapping[str, str], folder: str, output: int) -> Forked:
        """As that of jobs. A process that is out of date lives on until its pages are closed."""
        self._old = [old for old in self._old if not old.ended()]
        kernel = super().fork(argv, environ, folder, output)
        self._forked = [kernel, *(one for one in self._forked if one.poll() is None)]
        return kernel

    def _start(self, now: stamp.Stamp) -> None:
        if self.pid is not None and any(one.poll() is None for one in self._forked):
            assert self._process is not None
            assert self._control is not None
            self._old.append(_Old(self._process, self._control, self._forked))
            self._process = self._control = None
        self._forked = []
        super()._start(now)

    def end(self) -> None:
        """End the process, those before it, and all kernels forked from them."""
        self.close()
        for old in self._old:
            old.end()


@dataclass(frozen=True)
class _Old:
    """A process that was followed by another while pages were open."""

    process: subprocess.Popen[bytes]
    control: socket.socket
    forked: list[Forked]

    def ended(self) -> bool:
        """Whether its last page is closed; it is then ended itself."""
        if any(one.poll() is None for one in self.forked):
            return False
        self.end()
        return True

    def end(self) -> None:
        """End it, and its kernels with it."""
        self.control.close()
        try:
            self.process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Forks:
    """Forks without holding up the server: one at a time, in a thread of their own."""

    def __init__(self) -> None:
        self.template = PageTemplate(settings_module.load())
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="geolab-fork")

    async def fork(self, argv: list[str], environ: Mapping[str, str], folder: str) -> Forked:
        """A kernel that can be connected to. Raises NotWarm."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self.template.fork, argv, environ, folder, 2)

    def close(self) -> None:
        """End the process, and all kernels forked from it."""
        self._thread.shutdown(cancel_futures=True)
        self.template.end()


class PageProvisioner(LocalProvisioner):
    """Forks the kernel where that can be done, and starts it anew elsewhere."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Have the kernel started, warm or cold."""
        assert isinstance(self.parent, PageKernel)
        environ, folder = without_secrets(kwargs.pop("env")), str(kwargs.get("cwd") or ".")
        try:
            kernel = await self.parent.forks.fork(cmd, environ, folder)
        except NotWarm as problem:
            self.log.warning("geolab | a page starts cold: %s", problem)
            return await super().launch_kernel(cmd, env=environ, **kwargs)
        self.process, self.cwd = kernel, folder
        self.pid = self.pgid = kernel.pid
        return self.connection_info


class PageRestarter(AsyncIOLoopKernelRestarter):
    """Notices that a kernel has died, and leaves it at that: a new one would not know its page."""

    restart_limit = Int(0)


class PageKernel(ServerKernelManager):
    """A kernel of this very Python, over local sockets, told of widgets."""

    restarter_class = Type(PageRestarter)

    def __init__(self, **kwargs: Any):
        super().__init__(transport="ipc", **kwargs)
        self.client_factory = OwnClient
        self.provisioner = PageProvisioner(
            parent=self, kernel_id=kwargs.get("kernel_id", ""), kernel_spec=self.kernel_spec
        )

    @property
    def forks(self) -> Forks:
        assert isinstance(self.parent, PageKernels)
        return self.parent.forks

    @property
    def kernel_spec(self) -> KernelSpec:
        extensions = [f"--IPKernelApp.extra_extensions={name}" for name in (ending.NAME, preheat.NAME)]
        argv = [*OWN, "-f", "{connection_file}", *extensions]
        return KernelSpec(argv=argv, display_name="geolab", language="python")


class PageKernels(AsyncMappingKernelManager):
    """The kernels of all pages that are open."""

    most = Int(24, config=True, help="Pages that can be open at once.")
    most_each = Int(16, config=True, help="Pages that one user can have open at once.")

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.kernel_manager_class = f"{__name__}.{PageKernel.__name__}"
        self.connection_dir = tempfile.mkdtemp(prefix="geolab-pages-")  # short: sockets' names are limited
        weakref.finalize(self, shutil.rmtree, self.connection_dir, ignore_errors=True)
        self.forks = Forks()
        self.forks.template.prepare()
        self._users: dict[str, str] = {}
        self._starting: list[str] = []

    @default("allowed_message_types")
    def _default_allowed_message_types(self) -> list[str]:
        return list(COMMS)

    def full(self, user: str) -> bool:
        """Whether this user must wait for a page to be closed."""
        self._users = {kernel: who for kernel, who in self._users.items() if kernel in self}
        mine = [who for who in (*self._users.values(), *self._starting) if who == user]
        return len(self._kernels) + len(self._starting) >= self.most or len(mine) >= self.most_each

    async def _async_start_kernel(self, **kwargs: Any) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        user = asking.get()
        if self.full(user):
            raise web.HTTPError(503, FULL)
        self._starting.append(user)
        try:
            kernel_id = await super()._async_start_kernel(**kwargs)
        finally:
            self._starting.remove(user)
        self._users[kernel_id] = user
        return kernel_id

    start_kernel = _async_start_kernel  # pyright: ignore[reportAssignmentType]

    async def _async_shutdown_all(self, now: bool = False) -> None:
        await super()._async_shutdown_all(now=now)
        self.forks.close()

    shutdown_all = _async_shutdown_all  # pyright: ignore[reportAssignmentType]


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that a page's kernel may have: nothing that lets it act as its reader."""
    kept = {name: value for name, value in environ.items() if name not in SECRETS}
    for name in ("QUERY_STRING", "VOILA_REQUEST_URL"):
        if name in kept:
            parts = urlsplit(kept[name] if name == "VOILA_REQUEST_URL" else f"?{kept[name]}")
            pairs = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] != "token"]
            text = urlunsplit(parts._replace(query=urlencode(pairs)))
            kept[name] = text if name == "VOILA_REQUEST_URL" else text.removeprefix("?")
    return kept
