"""Threads for kernels that release the GIL: one pool a process, made again after a fork."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from threading import Lock

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
            # the smaller pool ends by itself when its last work is done
            _pool, _size = ThreadPoolExecutor(threads, thread_name_prefix="splats"), threads
        return _pool


def share(work: Callable[[int, int], None], count: int, threads: int, *, least: int = 1) -> None:
    """Calls work(start, stop) for ranges that cover 0..count, on so many threads; returns when all are done.

    least: no range is made smaller than this. What work computes must not depend on where ranges begin.
    """
    pieces = min(threads, count // least) if threads > 1 else 1
    if pieces <= 1:
        work(0, count)
        return
    cuts = [count * i // pieces for i in range(pieces + 1)]
    pool = _at_least(pieces - 1)
    others = [pool.submit(work, a, b) for a, b in pairwise(cuts[1:])]
    try:
        work(cuts[0], cuts[1])
    finally:
        for other in others:
            other.result()
