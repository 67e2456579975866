"""Processes that end together: with their parent, however it ends."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
TIED = Path(__file__).with_name("tied.py")
RESTARTS, WITHIN_S = 5, 60


@dataclass
class Child:
    """One process that is started again when it dies, unless it dies too often."""

    name: str
    command: list[str]
    env: Mapping[str, str]
    log: Path
    again: bool = True
    process: subprocess.Popen[bytes] | None = None
    starts: list[float] = field(default_factory=list)

    def start(self) -> None:
        self.starts = [t for t in self.starts if t > time.monotonic() - WITHIN_S] + [time.monotonic()]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(TIED), *self.command],
                env=dict(self.env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches the parent, which then ends them in order
            )

    @property
    def ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    @property
    def hopeless(self) -> bool:
        return self.ended and (not self.again or len(self.starts) >= RESTARTS)

    def terminate(self) -> None:
        if self.process is not None and not self.ended:
            self.process.terminate()


def adopt() -> None:
    """Whatever loses its parent below this process becomes a child of it, so that it can be ended (Linux)."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end(children: list[Child], grace_s: float = 20) -> None:
    """End them all: first asked, then, with everything below this process, killed."""
    for child in children:
        child.terminate()
    last = time.monotonic() + grace_s
    while time.monotonic() < last and any(c.process and not c.ended for c in children):
        time.sleep(0.1)
    for _ in range(50):  # killing one may hand us its children
        left = [p for p in psutil.Process().children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE]
        if not left:
            return
        for process in left:
            _kill(process)
        psutil.wait_procs(left, timeout=1)
        reap()


def _kill(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(signal.SIGKILL)


def reap(known: frozenset[int] = frozenset()) -> None:
    """Take leave of adopted processes that have ended; those of `known` belong to their Popen."""
    for process in psutil.Process().children():
        if process.pid not in known and process.status() == psutil.STATUS_ZOMBIE:
            with suppress(ChildProcessError):
                os.waitpid(process.pid, os.WNOHANG)
