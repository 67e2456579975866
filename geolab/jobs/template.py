"""The process that kernels are forked from: `python -m geolab.jobs.template SOCKET PARENT`.

It imports the scientific stack, ends the threads that this has started, and then waits for orders
on its socket. It ends when the other side of the socket is closed, and its kernels end with it.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

# What notebooks import. Not here: what asks at import whether it is in a kernel (ipywidgets and what
# builds on it, matplotlib_inline.backend_inline), what sets up logging for everybody (mlflow).
STACK = (
    "numpy", "scipy.ndimage", "scipy.signal", "pandas", "xarray", "rasterio.features", "rioxarray",
    "pyproj", "shapely", "pyogrio", "geopandas", "odc.geo.xr", "odc.stac", "pystac_client",
    "pyarrow.parquet", "matplotlib.pyplot", "matplotlib.backends.backend_agg", "PIL.Image", "skimage",
    "numba", "torch", "psutil",
    "geolab.jobs.session", "geolab.catalog", "geolab.figures", "geolab.raster", "geolab.ingest",
    "geolab.town", "geolab.change.classic", "geolab.change.detect", "geolab.change.model",
    "ipykernel.kernelapp", "ipykernel.ipkernel", "ipykernel.debugger", "ipykernel.iostream",
    "ipykernel.displayhook", "IPython.core.completerlib", "IPython.extensions.storemagic",
    "geolab.jobs.ending", "geolab.jobs.forked",
)  # fmt: skip

# Variables of the template only. Arrow's jemalloc purges in a thread of its own, from import on;
# without it, whoever frees memory purges. And ipykernel's debugger need not say what it can't do.
OWN_VARIABLES = {
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
}

_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15  # linux/prctl.h
_libc = ctypes.CDLL(None)


@dataclass
class Order:
    """One kernel that is asked for. `files`: its output, its errors, where its readiness is told."""

    argv: list[str]
    environ: dict[str, str]
    folder: str
    umask: int
    files: list[int]


@dataclass
class _Kernels:
    """The kernels that live: by the descriptor of each process, its pid and where its end is told."""

    living: dict[int, tuple[int, int]] = field(default_factory=dict)

    def descriptors(self) -> list[int]:
        return [*self.living, *(told for _, told in self.living.values())]


def main(descriptor: int, parent: int, stack: Iterable[str] = STACK) -> None:
    """Import, say what came of it, serve; returns only in a kernel, at its end."""
    del sys.path[0]  # the folder of this process, as ipykernel_launcher does
    control = socket.socket(fileno=descriptor)
    die_with(parent)
    _name(b"geolab-template")
    said = prepare(stack)
    _send(control, said)
    if said["why"]:
        return
    order = serve(control)
    importlib.import_module("geolab.jobs.forked").run(order, added=said["added"])


def die_with(parent: int) -> None:
    """Have this process killed when its parent ends; 0: the parent only closes the socket."""
    if parent:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


def _name(name: bytes) -> None:
    _libc.prctl(_PR_SET_NAME, name, 0, 0, 0)


# ------------------------------------------------------------ before the first fork


def prepare(stack: Iterable[str] = STACK) -> dict[str, Any]:
    """Import the stack and become single-threaded. What came of it; `why` is empty when all is well."""
    before, began = dict(os.environ), time.monotonic()
    try:
        _import(stack)
        importlib.import_module("geolab.jobs.forked").end_threads()
        why = obstacle()
    except Exception as problem:  # noqa: BLE001 - any package may fail in any way; runs go on without it
        traceback.print_exc()
        why = f"the template can't import: {problem!r}"
    added = {name: value for name, value in os.environ.items() if before.get(name) != value}
    return {"why": why, "added": added, "files": _files(), "seconds": time.monotonic() - began}


def _files() -> list[str]:
    ours = (module for name, module in list(sys.modules.items()) if name.partition(".")[0] == "geolab")
    return sorted({str(file) for module in ours if (file := getattr(module, "__file__", None))})


def _import(stack: Iterable[str]) -> None:
    gc.disable()
    for name in stack:
        importlib.import_module(name)
    gc.enable()
    gc.collect()
    gc.freeze()  # a collection in a kernel leaves these objects alone, and their pages shared


def obstacle() -> str:
    """What stands against a fork of this process, in words; empty when nothing does."""
    threads = len(list(Path("/proc/self/task").iterdir()))
    if threads > 1:
        return f"imports left {threads - 1} threads running"
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return "imports initialised CUDA"
    if any(map(_is_device, Path("/proc/self/fd").iterdir())):
        return "imports opened a GPU"
    return ""


def _is_device(descriptor: Path) -> bool:
    with suppress(FileNotFoundError):
        return str(descriptor.readlink()).startswith("/dev/nvidia")
    return False


# ------------------------------------------------------------ serving


def serve(control: socket.socket) -> Order:
    """Fork a kernel for each order and tell how it ended. Returns in the kernels; the template never does."""
    kernels = _Kernels()
    while True:
        watched = [control.fileno(), *kernels.living]
        for ready in select.select(watched, [], [])[0]:
            if ready != control.fileno():
                _tell_end(kernels, ready)
            elif (order := _receive(control)) is None:
                _end(kernels)
            elif _fork(control, kernels, order):
                return order


def _receive(control: socket.socket) -> Order | None:
    """The next order; None when the other side is gone."""
    data, files = b"", []
    while not data.endswith(b"\n"):
        try:
            part, received, _, _ = socket.recv_fds(control, 1 << 16, 8)
        except ConnectionResetError:
            return None
        if not part:
            return None
        data, files = data + part, files + received
    return Order(**json.loads(data), files=files)


def _send(control: socket.socket, message: dict[str, Any]) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):
        control.sendall(json.dumps(message).encode() + b"\n")


def _fork(control: socket.socket, kernels: _Kernels, order: Order) -> bool:
    """Whether this is the new kernel."""
    told = order.files.pop()
    if why := obstacle():
        _send(control, {"why": why})
        _close([told, *order.files])
        return False
    template, pid = os.getpid(), os.fork()
    if pid:
        kernels.living[os.pidfd_open(pid)] = (pid, told)
        _close(order.files)
        _send(control, {"why": "", "pid": pid})
        return False
    os.setsid()
    die_with(template)
    _name(b"geolab-kernel")
    _close([control.detach(), told, *kernels.descriptors()])
    return True


def _tell_end(kernels: _Kernels, descriptor: int) -> None:
    pid, told = kernels.living.pop(descriptor)
    _, status = os.waitpid(pid, 0)
    with suppress(BrokenPipeError):
        os.write(told, b"%d" % os.waitstatus_to_exitcode(status))
    _close([descriptor, told])


def _end(kernels: _Kernels) -> NoReturn:
    for pid, _ in kernels.living.values():
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
    os._exit(0)


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
