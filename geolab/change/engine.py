"""Work in stages that overlap: a reader thread, parallel computing, writer threads.

Stages are joined by short queues, so memory stays constant, and the order of the items is kept,
so that nothing depends on which thread was faster. A stage that fails ends all of them and its
exception comes out where the results are taken.
"""

from __future__ import annotations

import ctypes
import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")

POLL_S = 0.1  # how often a blocked stage looks whether its neighbour still lives, seconds


@dataclass(frozen=True)
class _End:
    """The last thing in a queue: the items are complete, or `error` stopped them."""

    error: BaseException | None = None


class Stopped(Exception):
    """What a consumer's items raise when the work was abandoned; it never leaves this module."""


def ahead(items: Iterable[T], depth: int) -> Generator[T]:
    """The same items, made in a thread of their own, at most `depth` of them waiting.

    The iterable is advanced and closed in that thread only. Closing this generator stops it.
    """
    ready: queue.Queue[T | _End] = queue.Queue(depth)
    stop = threading.Event()
    thread = threading.Thread(target=_fill, args=(items, ready, stop), name="geolab-reader", daemon=True)
    thread.start()
    try:
        while not isinstance(item := ready.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stop.set()
        thread.join()


def _fill(items: Iterable[T], ready: queue.Queue[T | _End], stop: threading.Event) -> None:
    error: BaseException | None = None
    iterator = iter(items)
    try:
        for item in iterator:
            if not _put(ready, item, stop):
                break
        if isinstance(iterator, Generator):
            iterator.close()
    except BaseException as raised:  # noqa: BLE001 it is raised again by the thread that takes the items
        error = raised
    _put(ready, _End(error), stop)


def _put(into: queue.Queue[Any], item: object, stop: threading.Event) -> bool:
    """Whether the item went in before the other side stopped."""
    while not stop.is_set():
        try:
            into.put(item, timeout=POLL_S)
        except queue.Full:
            continue
        return True
    return False


def ordered(function: Callable[[T], R], items: Iterable[T], workers: int) -> Iterator[R]:
    """function(item) of every item in order, `workers` of them computed at a time.

    As many again are ready to be started, so that no worker waits for the taker of results.
    """
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="geolab-compute") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


class Sink:
    """The near end of a consumer that runs in its own thread; see `sink`."""

    def __init__(self, consume: Callable[[Iterator[Any]], None], depth: int):
        self._waiting: queue.Queue[Any] = queue.Queue(depth)
        self._dead = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(consume,), name="geolab-writer", daemon=True)
        self._thread.start()

    def put(self, item: object) -> None:
        """Hand over an item; waits while the queue is full. Raises what the consumer raised."""
        if not _put(self._waiting, item, self._dead) and self._error is not None:
            raise self._error

    def end(self, *, abandon: bool) -> None:
        """Say that no item follows. abandon: the consumer's items raise Stopped instead of ending."""
        _put(self._waiting, _End(Stopped() if abandon else None), self._dead)

    def join(self) -> BaseException | None:
        """What the consumer raised, once it has come to its end."""
        self._thread.join()
        return self._error

    def _run(self, consume: Callable[[Iterator[Any]], None]) -> None:
        try:
            consume(self._items())
        except BaseException as raised:  # noqa: BLE001 raised again by put() and finish()
            self._error = raised
        finally:
            self._dead.set()

    def _items(self) -> Iterator[Any]:
        while not isinstance(item := self._waiting.get(), _End):
            yield item
        if item.error is not None:
            raise item.error


def release_memory() -> None:
    """Give memory that was freed back to the system, where the C library can (glibc).

    Each thread frees into an arena of its own, which glibc keeps: without this the block cache of a
    finished stage stays resident while the next stage fills another one.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


@contextmanager
def sinks(*consumers: Callable[[Iterator[Any]], None], depth: int = 4) -> Iterator[list[Sink]]:
    """One sink a consumer; all have consumed everything when the block ends well.

    If the block or a consumer fails, the items of the others raise, so that none of them takes a
    part for the whole.
    """
    opened = [Sink(consume, depth) for consume in consumers]
    complete = False
    try:
        yield opened
        complete = True
    finally:
        for one in opened:
            one.end(abandon=not complete)
        errors = [one.join() for one in opened]
    for error in errors:
        if error is not None:
            raise error
