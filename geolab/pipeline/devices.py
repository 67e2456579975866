"""The GPUs of one machine, given to one run at a time."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from geolab.jobs import gpus

_VARIABLE = "CUDA_VISIBLE_DEVICES"


def visible() -> list[str]:
    """The devices that runs may use, as CUDA_VISIBLE_DEVICES names them."""
    named = os.environ.get(_VARIABLE)
    count = gpus.count()
    names = [one.strip() for one in named.split(",")] if named is not None else list(map(str, range(count)))
    return names[:count]


class Devices:
    """Devices that are taken and given back; safe with threads."""

    def __init__(self, names: list[str]):
        self.count = len(names)
        self._free = list(names)
        self._lock = threading.Lock()

    @property
    def free(self) -> int:
        """How many may be taken now."""
        return len(self._free)

    def take(self, number: int) -> tuple[str, ...]:
        """So many devices. Raises IndexError if they are not free."""
        with self._lock:
            if number > len(self._free):
                raise IndexError(f"{number} GPUs are wanted, {len(self._free)} are free")
            return tuple(self._free.pop() for _ in range(number))

    def give_back(self, names: tuple[str, ...]) -> None:
        """Let others take them."""
        with self._lock:
            self._free.extend(names)


@contextmanager
def only(names: tuple[str, ...]) -> Iterator[None]:
    """Let what this process starts meanwhile see these devices only; without any, as it was."""
    before = os.environ.get(_VARIABLE)
    if names:
        os.environ[_VARIABLE] = ",".join(names)
    try:
        yield
    finally:
        if names and before is None:
            del os.environ[_VARIABLE]
        elif before is not None:
            os.environ[_VARIABLE] = before
