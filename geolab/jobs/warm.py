"""Kernels forked from a process that has already imported the scientific stack.

`with warm.start(settings) as template:` once per worker, then `execute(..., template=template)` for
each run. Where a fork would not be as good as a new process, `fork` says why, and the run's kernel
is started anew.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from geolab.jobs import environment, stamp
from geolab.jobs.template import OWN_VARIABLES
from geolab.settings import Settings

PREPARE_TIMEOUT_S = 120.0
READY_TIMEOUT_S = 60.0
ATTEMPTS = 3  # at a template that ends without a word while it imports

OWN = [sys.executable, "-m", "ipykernel_launcher"]
# A kernel sets the first where it is missing; both are read when a process starts or imports
CONSTANT = {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "PYTHONUNBUFFERED": "1"}


class NotWarm(Exception):
    """There is no kernel to be had from the template. The text says why."""


class Forked:
    """A kernel forked from the template: what jupyter_client asks of a subprocess.Popen."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int, told: int):
        self.pid = pid
        self.returncode: int | None = None
        self._told = told  # the template writes the exit status here

    def poll(self) -> int | None:
        """The exit status; None while it lives."""
        return self._await(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, once it has ended."""
        status = self._await(timeout)
        if status is None:
            raise subprocess.TimeoutExpired("kernel", timeout or 0.0)
        return status

    def _await(self, timeout: float | None) -> int | None:
        if self.returncode is None and _readable([self._told], timeout):
            said = os.read(self._told, 32)
            os.close(self._told)
            if not said:  # the template is gone, and its kernels with it
                self._kill_if_left()
            self.returncode = int(said) if said else -signal.SIGKILL
        return self.returncode

    def _kill_if_left(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def fileno(self) -> int:
        """A descriptor that becomes readable when the kernel ends."""
        return self._told

    def send_signal(self, number: int) -> None:
        """Send a signal, if it lives."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)


class Template:
    """The process that kernels are forked from, started at need and again when it is out of date."""

    module = "geolab.jobs.template"  # what the process runs

    def __init__(self, settings: Settings):
        self._settings = settings
        self._off = _off(settings)  # why there shall be none
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._stamp: stamp.Stamp | None = None
        self._loaded = stamp.Loaded()
        self._ready = False  # to fork
        self._failures = 0  # to become ready
        self._broken = ""  # why a template with this stamp can't be had
        self._unread = b""  # of what it said

    @property
    def pid(self) -> int | None:
        """Of the template's process; None when there is none."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def prepare(self) -> None:
        """Begin to import, unless it is done and still good; `fork` waits for what is left of it.

        Call it before each run: a process that a run itself has started may be taken for the run's.
        """
        if not self._off:
            self._renew(self.now(environment.of_kernel(self._settings, Path("/"), "")))

    def now(self, environ: Mapping[str, str]) -> stamp.Stamp:
        """What a process with these variables would be, were it started now."""
        return stamp.take(environ)

    def fork(self, argv: list[str], environ: Mapping[str, str], folder: str, output: int) -> Forked:
        """A kernel, ready to be connected to. Raises NotWarm.

        argv: the command that would start it. output: descriptor for what its process writes.
        """
        if self._off:
            raise NotWarm(self._off)
        if argv[: len(OWN)] != OWN:
            raise NotWarm("another kernel is asked for")
        self._renew(self.now({**CONSTANT, **environ}))
        self._await_start()
        order = {"argv": argv, "environ": dict(environ), "folder": folder, "umask": _umask()}
        return self._fork(order, output)

    def close(self) -> None:
        """End the process and all kernels forked from it."""
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            try:
                self._process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    # ------------------------------------------------------------ the process

    def _renew(self, now: stamp.Stamp) -> None:
        """See to it that there is a process whose modules are those of today, or will be."""
        outdated = self._stamp is None or bool(stamp.difference(self._stamp, now, self._loaded))
        if outdated:
            self._broken, self._failures = "", 0
        if outdated or (self.pid is None and not self._broken):
            self._start(now)

    def _start(self, now: stamp.Stamp) -> None:
        self.close()
        self._stamp, self._loaded, self._ready, self._unread = now, stamp.Loaded(), False, b""
        self._control, theirs = socket.socketpair()
        parent = os.getpid() if threading.current_thread() is threading.main_thread() else 0
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self.module, str(theirs.fileno()), str(parent)],
                env={**now.variables, **OWN_VARIABLES, "GEOLAB_HOME": str(self._settings.home)},
                cwd="/",
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def _await_start(self) -> None:
        if self._broken:
            raise NotWarm(self._broken)
        if self._ready:
            return
        said = self._receive(PREPARE_TIMEOUT_S)
        self._loaded = stamp.Loaded(tuple(said.get("files", ())), said.get("added", {}))
        self._ready = not said["why"]
        if not self._ready:
            self._fail(said)
            raise NotWarm(said["why"])

    def _fail(self, said: Mapping[str, Any]) -> None:
        """Remember what can't be had: at once if it said so itself, later if it was killed."""
        self.close()
        self._failures += 1
        if "files" in said or self._failures >= ATTEMPTS:
            self._broken = said["why"]

    def _fork(self, order: dict[str, Any], output: int) -> Forked:
        assert self._control is not None
        told, tell = os.pipe()
        ready, begin = os.pipe()
        line = json.dumps(order).encode() + b"\n"
        try:
            sent = socket.send_fds(self._control, [line], [output, output, begin, tell])
            self._control.sendall(line[sent:])
            said = self._receive(READY_TIMEOUT_S)
        except OSError as problem:
            said: dict[str, Any] = {"why": f"the template can't be reached ({problem})"}
        finally:
            os.close(tell)
            os.close(begin)
        try:
            if said["why"]:
                os.close(told)
                raise NotWarm(said["why"])
            _readable([ready, told], READY_TIMEOUT_S)
            return Forked(said["pid"], told)
        finally:
            os.close(ready)

    def _receive(self, timeout: float) -> dict[str, Any]:
        """The template's next word."""
        assert self._control is not None
        deadline = time.monotonic() + timeout
        while b"\n" not in self._unread:
            self._control.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                part = self._control.recv(1 << 16)
            except TimeoutError:
                part = b""
            if not part:
                self.close()
                return {"why": "the template ended, or did not answer"}
            self._unread += part
        line, self._unread = self._unread.split(b"\n", 1)
        return json.loads(line)


@contextmanager
def start(settings: Settings) -> Iterator[Template]:
    """A template for the runs of this process; it and its kernels end with the block, or with the process."""
    template = Template(settings)
    template.prepare()
    try:
        yield template
    finally:
        template.close()


def _off(settings: Settings) -> str:
    """Why there shall be no template; empty when there may be one."""
    if not settings.warm:
        return "switched off by the setting warm"
    if sys.platform != "linux":
        return f"kernels are not forked on {sys.platform}"
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError as problem:  # an old kernel, or a container that forbids it
        return f"this system has no pidfd_open ({problem})"
    return ""


def _readable(descriptors: list[int], timeout: float | None) -> bool:
    """Whether one of them can be read, or was closed on the other side."""
    poll = select.poll()  # select.select knows only the first 1024 descriptors
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(None if timeout is None else timeout * 1000))


def _umask() -> int:
    """Of this process, without the moment at which another thread could see a changed one."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("Umask:")), 8)
