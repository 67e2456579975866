"""Kernels of this very Python: started anew, or forked from a template; quick to be ready and to end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import Empty
from typing import Any, ClassVar

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from geolab.jobs import ending
from geolab.jobs.warm import OWN, NotWarm, Template

POLL_S = 0.003  # how soon the end of a kernel is noticed
ASK_AGAIN_S = 0.25  # a kernel that says nothing was not listening yet


@dataclass(frozen=True)
class Start:
    """How the kernel of one run is started."""

    template: Template | None
    output: int  # descriptor that takes what the kernel's process itself writes
    say: Callable[[str], None]  # is told "warm", or "cold: " and why


class OwnProvisioner(LocalProvisioner):
    """Forks the kernel from the template where that can be done, and starts it anew elsewhere."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Have the kernel started, warm or cold."""
        assert isinstance(self.parent, OwnKernel)
        start, folder = self.parent.start, kwargs.get("cwd") or str(Path.cwd())
        try:
            if start.template is None:
                raise NotWarm("there is no template")
            kernel = start.template.fork(cmd, kwargs["env"], folder, start.output)
        except NotWarm as problem:
            start.say(f"cold: {problem}")
            return await super().launch_kernel(cmd, stdout=start.output, stderr=start.output, **kwargs)
        start.say("warm")
        self.process, self.cwd = kernel, folder
        self.pid = self.pgid = kernel.pid  # a session of its own
        return self.connection_info

    async def wait(self) -> int | None:
        """As that of the base class, which looks ten times a second."""
        while await self.poll() is None:
            await asyncio.sleep(POLL_S)
        return await super().wait()


class OwnClient(AsyncKernelClient):
    """A client that knows of nobody's heartbeat and waits no longer than it must."""

    def start_channels(
        self,
        shell: bool = True,
        iopub: bool = True,
        stdin: bool = False,
        hb: bool = False,
        control: bool = True,
    ) -> None:
        """Without those for input and heartbeat: a run has no input, and its manager knows if it lives."""
        super().start_channels(shell, iopub, stdin, hb, control)

    async def wait_for_ready(self, timeout: float | None = None) -> None:
        """Return when the kernel answers and what it publishes arrives here.

        jupyter_client 8.9 waits 0.2 s more, to be sure that nothing comes from before. Here the last
        word on a request of our own is awaited: what follows it belongs to later requests.
        """
        deadline = time.monotonic() + (timeout or float("inf"))
        while not await self._answers(self.kernel_info()):
            if not await self._async_is_alive():
                raise RuntimeError("Kernel died before replying to kernel_info")
            if time.monotonic() > deadline:
                raise RuntimeError(f"Kernel didn't respond in {timeout:g} seconds")

    async def _answers(self, request: str) -> bool:
        try:
            while not _is_idle(await self.iopub_channel.get_msg(timeout=ASK_AGAIN_S), request):
                continue
            while (reply := await self.shell_channel.get_msg(timeout=ASK_AGAIN_S))["parent_header"].get(
                "msg_id"
            ) != request:
                continue
        except Empty:
            return False
        self._handle_kernel_info_reply(reply)
        return True


def _is_idle(message: dict[str, Any], request: str) -> bool:
    return (
        message["parent_header"].get("msg_id") == request
        and message["msg_type"] == "status"
        and message["content"]["execution_state"] == "idle"
    )


class OwnKernel(AsyncKernelManager):
    """A kernel of this very Python, over local sockets.

    Not the kernelspec called python3, which may be another environment's. Local sockets because
    ipykernel 7.4 warns of unencrypted TCP in every run.
    """

    start: ClassVar[Start] = Start(None, 1, lambda _: None)

    def __init__(self, **kwargs: Any):
        super().__init__(transport="ipc", **kwargs)
        self.client_factory = OwnClient
        self.provisioner = OwnProvisioner(parent=self, kernel_id="", kernel_spec=self.kernel_spec)

    @property
    def kernel_spec(self) -> KernelSpec:
        argv = [*OWN, "-f", "{connection_file}", f"--IPKernelApp.extra_extensions={ending.NAME}"]
        return KernelSpec(argv=argv, display_name="geolab", language="python")

    async def _async_wait(self, pollinterval: float = POLL_S) -> None:  # noqa: ARG002 - 0.1 s in jupyter_client
        while await self._async_is_alive():
            await asyncio.sleep(POLL_S)


def manager(start: Start) -> type[OwnKernel]:
    """The class of the kernel of one run: papermill takes a class, not an object."""
    return type("KernelOfRun", (OwnKernel,), {"start": start})
