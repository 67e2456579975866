"""A pool of long-lived worker processes: the engine of one machine.

Each worker imports what a run needs once, keeps one warm kernel template, and executes one call at
a time in its main thread. The death of a worker costs the call it held and nothing else. When the
owner of the pool dies, every worker ends the call it holds (a run writes its own result into the
ledger) and then itself.
"""

from __future__ import annotations

import io
import os
import queue
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import IO, Any

import psutil

from geolab.errors import EngineError, WorkerLost
from geolab.jobs import environment
from geolab.settings import Settings

LOOK_S = 0.2  # how soon the silent death of a worker is noticed
START_S = 120.0  # for a worker to import what it needs, on a busy machine
END_S = 10.0  # for an idle worker to end itself
STARTS = 3  # attempts, one after another, before a pool gives up

_GONE = (EOFError, OSError)


@dataclass(frozen=True)
class _Call:
    future: Future[Any]
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Pool(Executor):
    """An executor of `workers` processes (0: as many as the settings say), started with the first call."""

    def __init__(self, settings: Settings, workers: int = 0):
        self.settings = settings
        self.workers = workers or settings.worker_count()
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        self._slots = [_Slot(settings, self._calls, number) for number in range(1, self.workers + 1)]

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """The future of a call in one of the workers. fn: a module's function; it travels by name."""
        future: Future[Any] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            self._calls.put(_Call(future, fn, args, kwargs))
            for slot in self._slots:
                slot.start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; the workers end when they have done those that wait, unless cancelled."""
        with self._lock:
            first, self._closed = not self._closed, True
        if cancel_futures:
            self._cancel_waiting()
        if first or cancel_futures:
            for _ in self._slots:
                self._calls.put(None)
        if wait:
            for slot in self._slots:
                slot.join()

    def kill(self) -> None:
        """End every worker with all that it started, at once; the calls they held fail with WorkerLost."""
        with self._lock:
            self._closed = True
        self._cancel_waiting()
        for slot in self._slots:
            slot.kill()
        self.shutdown(cancel_futures=True)

    def pids(self) -> list[int]:
        """The processes of the workers that live."""
        return [process.pid for slot in self._slots if (process := slot.process) and process.poll() is None]

    def _cancel_waiting(self) -> None:
        with suppress(queue.Empty):
            while True:
                call = self._calls.get_nowait()
                if call is not None:
                    call.future.cancel()
                    call.future.set_running_or_notify_cancel()  # wakes those who wait for it


class _Slot:
    """The place of one worker: a thread that gives it calls, and gives it a successor when it dies."""

    def __init__(self, settings: Settings, calls: queue.SimpleQueue[_Call | None], number: int):
        self.settings, self.number, self._calls = settings, number, calls
        self.process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._killed = False
        self._words: IO[bytes] = io.BytesIO()  # what the process prints, by itself
        self.thread = threading.Thread(target=self._serve, name=f"pool-{number}", daemon=True)

    def start(self) -> None:
        if self.thread.ident is None:
            self.thread.start()

    def join(self) -> None:
        if self.thread.ident is not None:
            self.thread.join()

    def kill(self) -> None:
        self._killed = True
        self._kill(0)

    def _kill(self, wait_s: float) -> None:
        """End the process with all that it started; one that is just ending itself has some time."""
        if self.process is None:
            return
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(wait_s)
            return
        with suppress(psutil.NoSuchProcess):
            family = psutil.Process(self.process.pid).children(recursive=True)
            self.process.kill()  # before its children: it would only wonder where they are
            self.process.wait()
            for child in family:
                with suppress(psutil.NoSuchProcess):
                    child.kill()
            psutil.wait_procs(family, timeout=1)

    def _serve(self) -> None:
        try:
            while (call := self._next()) is not None:
                self._answer(call)
        finally:
            self._end()

    def _next(self) -> _Call | None:
        """The next call, once there is a worker that can take it; None when there will be no more."""
        while not self._killed:
            problem = self._ensure()
            with suppress(queue.Empty):
                call = self._calls.get(timeout=LOOK_S * 5)
                if call is None or not problem:
                    return call
                if call.future.set_running_or_notify_cancel():
                    call.future.set_exception(EngineError(problem))
        return None

    def _answer(self, call: _Call) -> None:
        if not call.future.set_running_or_notify_cancel():
            return
        try:
            done, value = self._ask((call.function, call.args, call.kwargs))
        except _GONE:
            call.future.set_exception(WorkerLost(f"worker {self.number} of the pool died; {self._epitaph()}"))
        except Exception as problem:  # noqa: BLE001 - it belongs to the caller: what can't be pickled
            call.future.set_exception(problem)
        else:
            call.future.set_result(value) if done else call.future.set_exception(value)

    def _ask(self, message: Any) -> Any:
        assert self._connection is not None
        self._connection.send(message)
        return self._reply()

    def _reply(self, deadline: float = float("inf")) -> Any:
        """What the worker says next. Raises EOFError when it is dead or silent for too long."""
        assert self._connection is not None
        assert self.process is not None
        while not self._connection.poll(LOOK_S):
            dead = self.process.poll() is not None and not self._connection.poll()
            if dead or time.monotonic() > deadline:
                raise EOFError
        return self._connection.recv()

    # ------------------------------------------------------------ its process

    def _ensure(self) -> str:
        """Why there is no living worker; empty when there is one."""
        problem = ""
        for _ in range(STARTS):
            if self._killed or (self.process is not None and self.process.poll() is None):
                return ""
            try:
                self._start()
            except OSError as error:
                problem = f"a worker can't be started: {error}"
            except EOFError:
                problem = f"worker {self.number} of the pool does not start; {self._epitaph()}"
        return "" if self._killed or (self.process and self.process.poll() is None) else problem

    def _start(self) -> None:
        self._disconnect()
        mine, theirs = socket.socketpair()
        self._words.close()
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        with theirs:
            self._connection = Connection(mine.detach())
            self.process = subprocess.Popen(
                [sys.executable, "-m", "geolab.pipeline.poolworker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._words,
                stderr=self._words,
                start_new_session=True,  # Ctrl-C in the terminal is for the owner, who decides
                env=os.environ | environment.of_worker(self.settings),
            )
        if self._killed:
            self.kill()
        try:
            self._reply(time.monotonic() + START_S)  # its first word: ready
        except _GONE:
            self._kill(1)
            raise EOFError from None

    def _epitaph(self) -> str:
        """How it ended, and what it said last."""
        assert self.process is not None
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(END_S)
        code = self.process.returncode
        how = f"ended by signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        self._words.seek(0)
        said = self._words.read().decode(errors="replace").strip().splitlines()
        return f"{how}: {said[-1]}" if said else how

    def _end(self) -> None:
        """Let an idle worker end itself; it has been told when its connection closes."""
        self._disconnect()
        self._kill(END_S)
        self._words.close()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
