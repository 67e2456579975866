"""Events of a run: one JSON object per line, appended by the notebook, readable at any moment."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

FILE = "events.jsonl"
TAIL_BYTES = 1 << 16


def append(folder: Path, event: str, **facts: Any) -> None:
    """Add one event with its time (seconds since 1970); a single write, so lines never mix."""
    line = json.dumps({"time": round(time.time(), 3), "event": event, **facts}, ensure_ascii=False)
    handle = os.open(folder / FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(handle, line.encode("utf-8", "replace") + b"\n")
    finally:
        os.close(handle)


def read(folder: Path) -> Iterator[dict[str, Any]]:
    """The events so far, oldest first; a last line that is still being written is left out."""
    try:
        with (folder / FILE).open("rb") as stream:
            yield from take(stream)
    except FileNotFoundError:
        return


def last(folder: Path, kind: str = "", at_least: int = TAIL_BYTES) -> list[dict[str, Any]]:
    """The newest events, oldest first: those of the file's end; of more of it if none is of this kind."""
    try:
        with (folder / FILE).open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - at_least))
            found = list(take(stream))
    except FileNotFoundError:
        return []
    if size <= at_least or not kind or any(event["event"] == kind for event in found):
        return found
    return last(folder, kind, at_least * 32)


def take(stream: IO[bytes]) -> Iterator[dict[str, Any]]:
    """The events from here on; the stream is left before a line that is still being written."""
    while line := stream.readline():
        if not line.endswith(b"\n"):
            stream.seek(-len(line), os.SEEK_CUR)
            return
        try:
            event = json.loads(line)
        except ValueError:
            continue  # a line cut off when its writer was killed
        if isinstance(event, dict) and "event" in event:
            yield event
