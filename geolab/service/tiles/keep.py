"""Encoded tiles that were drawn before."""

from __future__ import annotations

import threading
from collections import OrderedDict


class Cache:
    """The most recently used encoded tiles, up to a number of bytes; None is kept too (nothing there)."""

    def __init__(self, most_bytes: int = 64_000_000):
        self._most, self._size = most_bytes, 0
        self._tiles: OrderedDict[str, bytes | None] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> tuple[bool, bytes | None]:
        """Whether the tile is known, and its bytes."""
        with self._lock:
            if key not in self._tiles:
                return False, None
            self._tiles.move_to_end(key)
            return True, self._tiles[key]

    def put(self, key: str, data: bytes | None) -> None:
        with self._lock:
            self._size += _cost(data) - (_cost(self._tiles.pop(key)) if key in self._tiles else 0)
            self._tiles[key] = data
            while self._size > self._most and len(self._tiles) > 1:
                _, oldest = self._tiles.popitem(last=False)
                self._size -= _cost(oldest)


def _cost(data: bytes | None) -> int:
    return len(data or b"") + 200
