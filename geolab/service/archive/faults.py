"""Faults on demand, for tests of what reads an archive: answers that fail for a while."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass
class _Rule:
    pattern: str
    status: int
    left: int | None


class Faults:
    """Which requests fail at the moment. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[_Rule] = []

    def fail(self, pattern: str, *, status: int = 503, times: int | None = None) -> None:
        """Answer requests whose path matches, such as "/assets/*/red.tif", with a status from now on.

        times: so many requests only; None until `mend`.
        """
        with self._lock:
            self._rules.append(_Rule(pattern, status, times))

    def mend(self) -> None:
        """Answer everything again."""
        with self._lock:
            self._rules.clear()

    def status(self, path: str) -> int | None:
        """The status with which a request fails; None if it does not. Counts the request."""
        with self._lock:
            for rule in self._rules:
                if rule.left != 0 and fnmatchcase(path, rule.pattern):
                    if rule.left is not None:
                        rule.left -= 1
                    return rule.status
        return None
