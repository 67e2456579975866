"""What was made before and may be asked for again: encoded tiles, decoded blocks."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


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


class Kept(Generic[T]):
    """The most recently used values, up to a number of bytes; each is made once, by whoever comes first."""

    def __init__(self, most_bytes: int, cost: Callable[[T], int]):
        self._most, self._cost, self._size = most_bytes, cost, 0
        self._values: OrderedDict[Hashable, T] = OrderedDict()
        self._making: dict[Hashable, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value of a key, made if it is not there; others who want it wait meanwhile."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
            making = self._making.setdefault(key, threading.Lock())
        with making:
            with self._lock:
                if key in self._values:
                    return self._values[key]
            try:
                value = make()
            finally:
                with self._lock:
                    self._making.pop(key, None)
            self._put(key, value)
            return value

    def _put(self, key: Hashable, value: T) -> None:
        with self._lock:
            self._values[key] = value
            self._size += self._cost(value)
            while self._size > self._most and len(self._values) > 1:
                self._size -= self._cost(self._values.popitem(last=False)[1])
