"""Models kept in memory: the most recently used, as long as they fit."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

from geolab import store

Thing = TypeVar("Thing")


class Kept(Generic[Thing]):
    """Things by key, read when they are asked for; `size` says what each takes, in bytes."""

    def __init__(self, size: Callable[[Thing], int], most_bytes: int):
        self._size, self._most = size, most_bytes
        self._things: OrderedDict[Hashable, Thing] = OrderedDict()

    def get(self, key: Hashable, read: Callable[[], Thing]) -> Thing:
        """The thing; the newest one stays even if it alone takes more than there is."""
        if key not in self._things:
            self._things[key] = read()
        self._things.move_to_end(key)
        while len(self._things) > 1 and self.bytes() > self._most:
            self._things.popitem(last=False)
        return self._things[key]

    def bytes(self) -> int:
        """What all take together."""
        return sum(map(self._size, self._things.values()))

    def __len__(self) -> int:
        return len(self._things)


def version(uri: str) -> tuple[Any, ...]:
    """What changes when a local file or folder does: size and time of it and of the files in it."""
    path = store.local_path(uri)
    if path is None or not path.exists():
        return (uri,)
    found = [path, *sorted(path.iterdir())] if path.is_dir() else [path]
    return (uri, *((one.name, s.st_size, s.st_mtime_ns) for one in found for s in [one.stat()]))
