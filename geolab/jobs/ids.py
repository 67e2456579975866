"""Ids of runs: short, unique, and in the order in which they were made."""

from __future__ import annotations

import re
import secrets
import time

# no i, l, o, u: an id is read aloud and typed
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
PATTERN = re.compile(rf"[{_DIGITS}]{{14}}")


def new() -> str:
    """A new id: 9 characters of milliseconds since 1970, 5 at random (1 in 33 million)."""
    return _text(time.time_ns() // 1_000_000, 9) + _text(secrets.randbelow(32**5), 5)


def _text(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 32)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
