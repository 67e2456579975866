"""What goes over the socket: a line of JSON, then as many bytes as it says. Nothing is pickled."""

from __future__ import annotations

import asyncio
import json
from typing import IO, Any

from geolab.errors import BadInput

LONGEST_LINE = 1 << 16
MOST_BYTES = 1 << 28

Told = dict[str, Any]


def frame(told: Told, data: bytes = b"") -> bytes:
    """A message as it is sent."""
    return json.dumps(told | {"bytes": len(data)}, allow_nan=False).encode() + b"\n" + data


async def receive(reader: asyncio.StreamReader) -> Told:
    """A message without bytes. Raises BadInput for anything else, EOFError at the end."""
    try:
        line = await reader.readline()
    except ValueError as error:  # longer than the reader's limit
        raise BadInput("message", found="a long line", expected=f"at most {LONGEST_LINE} bytes") from error
    return _parsed(line)


def take(stream: IO[bytes]) -> tuple[Told, bytes]:
    """A message and its bytes. Raises EOFError when the other side has gone."""
    told = _parsed(stream.readline(LONGEST_LINE))
    size = told.pop("bytes", 0)
    if not isinstance(size, int) or not 0 <= size <= MOST_BYTES:
        raise BadInput("message", found=f"{size} bytes", expected=f"at most {MOST_BYTES}")
    data = stream.read(size)
    if len(data) != size:
        raise EOFError
    return told, data


def _parsed(line: bytes) -> Told:
    if not line:
        raise EOFError
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise BadInput("message", found="no JSON object", expected="one line of JSON")
    return told
