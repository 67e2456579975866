"""Events of a run: one JSON object per line, appended by the notebook, readable at any moment."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FILE = "events.jsonl"


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
        text = (folder / FILE).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return
    for line in text.split("\n")[:-1]:
        try:
            event = json.loads(line)
        except ValueError:
            continue  # a line cut off when its writer was killed
        if isinstance(event, dict):
            yield event
