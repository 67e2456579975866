"""A kernel in a process forked from the template: make it what a new process would be, then run it."""

from __future__ import annotations

import atexit
import gc
import io
import itertools
import logging
import multiprocessing
import multiprocessing.process
import os
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
from ipykernel.kernelapp import IPKernelApp

if TYPE_CHECKING:
    from geolab.jobs.template import Order

_LAUNCHER = find_spec("ipykernel_launcher")


_numexpr_threads = 0  # as its import has set it


def end_threads() -> None:
    """End the threads that imports have started in this process; a kernel starts them again."""
    global _numexpr_threads
    numexpr = sys.modules.get("numexpr")
    _numexpr_threads = numexpr.set_num_threads(1) if numexpr else 0
    child = os.fork()  # OpenBLAS ends its threads before any fork, and starts them at the next product
    if not child:
        os._exit(0)
    os.waitpid(child, 0)


def run(order: Order, *, added: Mapping[str, str]) -> None:
    """Be the kernel that the order describes, to its end; does not return.

    added: the variables that the template's imports set, as the same imports of a notebook would.
    """
    try:
        _take_place(order, added)
        _renew_chance()
        status = _serve(order)
    except BaseException:  # noqa: BLE001 - nothing may return into the template's code
        traceback.print_exc(file=sys.__stderr__)
        status = 1
    os._exit(status)


def _take_place(order: Order, added: Mapping[str, str]) -> None:
    """Take over output, folder, variables and arguments as a process started for this would have them."""
    for target, source in zip((1, 2), order.files[:2], strict=True):
        os.dup2(source, target)
        os.close(source)
    os.umask(order.umask)
    os.chdir(order.folder)
    parent = {"JPY_PARENT_PID": str(os.getppid())}
    wanted = {**added, **order.environ, **parent}
    for name in [name for name in os.environ if name not in wanted]:
        del os.environ[name]
    os.environ.update(wanted)
    assert _LAUNCHER is not None
    sys.argv = [str(_LAUNCHER.origin), *order.argv[3:]]
    sys.orig_argv = order.argv
    threading._counter = itertools.count(1).__next__  # pyright: ignore[reportAttributeAccessIssue] # in names
    multiprocessing.process.ORIGINAL_DIR = order.folder  # pyright: ignore[reportAttributeAccessIssue]


def _renew_chance() -> None:
    """Draw anew what every process draws for itself; Python's own generator does so after a fork."""
    np.random.seed()  # noqa: NPY002 - the generator that old code uses
    if torch := sys.modules.get("torch"):
        torch.default_generator.seed()
    multiprocessing.current_process().authkey = os.urandom(32)
    if _numexpr_threads:
        sys.modules["numexpr"].set_num_threads(_numexpr_threads)


def _serve(order: Order) -> int:
    """Run ipykernel as its launcher does; the exit status."""
    handlers = list(_handlers_on(sys.stderr))
    app = IPKernelApp.instance(parent_handle=os.getppid())
    app.initialize(sys.argv[1:])
    for handler in handlers:  # imported in the notebook, they would have found the kernel's stream
        handler.stream = sys.stderr
    ready = order.files[2]
    with suppress(BrokenPipeError):
        os.write(ready, b"1")
    os.close(ready)
    app.start()
    return _finish(app)


def _handlers_on(stream: object) -> Iterator[logging.StreamHandler]:
    for logger in list(logging.root.manager.loggerDict.values()):
        for handler in getattr(logger, "handlers", ()):
            if isinstance(handler, logging.StreamHandler) and handler.stream is stream:
                yield handler


def _finish(app: IPKernelApp) -> int:
    """What the interpreter does at its end for a notebook's sake, without taking 2,000 modules apart."""
    threading._shutdown()  # pyright: ignore[reportAttributeAccessIssue] # waits for threads
    atexit._run_exitfuncs()
    if app.shell is not None:
        app.shell.user_ns.clear()
    gc.collect()
    for thing in gc.get_objects():
        if isinstance(thing, io.TextIOWrapper | io.BufferedWriter | io.BufferedRandom) and not thing.closed:
            with suppress(OSError, ValueError):
                thing.flush()
    return 0
