"""Threads for kernels that release the GIL: one pool a process, made again after a fork."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Lock

PIECES = 6  # for each thread: the last to finish then waits little

_lock = Lock()
_pool: ThreadPoolExecutor | None = None
_size = 0


def _forget() -> None:
    """In a child process: the threads of its parent did not come along, nor did whoever held the lock."""
    global _lock, _pool, _size
    _lock, _pool, _size = Lock(), None, 0


os.register_at_fork(after_in_child=_forget)


def _at_least(threads: int) -> ThreadPoolExecutor:
    global _pool, _size
    with _lock:
        if _pool is None or _size < threads:
            # threads of the smaller pool end by themselves once it is forgotten and its work is done
            _pool, _size = ThreadPoolExecutor(threads, thread_name_prefix="splats"), threads
        return _pool


def evenly(total: int, threads: int, least: int) -> list[int]:
    """Cuts of 0..total into pieces for so many threads, none smaller than `least`."""
    pieces = max(1, min(threads * PIECES, total // least)) if threads > 1 else 1
    return [total * i // pieces for i in range(pieces + 1)]


def share(work: Callable[[int, int], None], cuts: Sequence[int], threads: int) -> None:
    """Calls work(cuts[i], cuts[i + 1]) for every piece, on so many threads; returns when all are done.

    What work computes must not depend on where the cuts are. The caller's thread works too, so that calls
    from many threads at once always go on. Raises what work raises.
    """
    pieces = len(cuts) - 1
    following = count()  # `next` of it is atomic

    def turns() -> None:
        while (piece := next(following)) < pieces:
            work(cuts[piece], cuts[piece + 1])

    helpers = min(threads, pieces) - 1
    if helpers <= 0:
        turns()
        return
    pool = _at_least(helpers)
    others = [pool.submit(turns) for _ in range(helpers)]
    try:
        turns()
    finally:
        for other in others:
            if not other.cancel():
                other.result()
