"""The process as a run needs it, and as it was before: one process may do run after run."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path

from geolab.jobs import environment, folders, logs
from geolab.jobs.logs import RunLog
from geolab.settings import Settings

_PR_SET_CHILD_SUBREAPER, _PR_GET_CHILD_SUBREAPER = 36, 37  # linux/prctl.h


@contextmanager
def of(settings: Settings, folder: Path, run_id: str, log: RunLog) -> Iterator[None]:
    """This process in the run's folder, with its kernel's variables, writing into its log."""
    with ExitStack() as stack:
        with folders.writing(folder):
            stack.enter_context(_printing_into(log))
            stack.enter_context(_inside(folder))
        stack.enter_context(environment.replaced(environment.of_kernel(settings, folder, run_id)))
        stack.enter_context(logs.into(log))
        stack.enter_context(adopting())
        yield


@contextmanager
def adopting() -> Iterator[None]:
    """Processes whose parents end become children of this one, so that the end of a run finds them."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    before = ctypes.c_int()
    if prctl is None or prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(before), 0, 0, 0) != 0:  # not Linux
        yield
        return
    prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        prctl(_PR_SET_CHILD_SUBREAPER, before.value, 0, 0, 0)


@contextmanager
def _printing_into(log: RunLog) -> Iterator[None]:
    """Standard output and error of this process and its children go into the file of the log."""
    target = log.fileno()
    kept = {number: os.dup(number) for number in (1, 2)}
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    try:
        for number in kept:
            os.dup2(target, number)
        stream = open(target, "w", closefd=False, buffering=1, errors="replace", encoding="utf-8")  # noqa: SIM115
        with stream, redirect_stdout(stream), redirect_stderr(stream):
            yield
    finally:
        for number, copy in kept.items():
            os.dup2(copy, number)
            os.close(copy)


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    try:
        before = os.getcwd()  # noqa: PTH109 - may raise, and is given back as it is
    except FileNotFoundError:
        before = "/"
    os.chdir(folder)
    try:
        yield
    finally:
        with suppress(FileNotFoundError):
            os.chdir(before)


@contextmanager
def on_signal(call: Callable[[str], None], *numbers: signal.Signals) -> Iterator[None]:
    """`call` instead of what these signals do, given a signal's name; only the main thread can be asked."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {n: signal.signal(n, lambda got, _: call(signal.Signals(got).name)) for n in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
