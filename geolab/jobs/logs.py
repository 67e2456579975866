"""The log of a run, twice: text for people (log.txt), and lines with time, level and cell in its events."""

from __future__ import annotations

import io
import json
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from geolab.jobs import events, failure, folders
from geolab.jobs.failure import Place

LONGEST_LINE = 10_000
_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class RunLog(io.TextIOBase):
    """A stream for what cells print. Each line goes into the events too, when it is complete."""

    def __init__(self, folder: Path, run_id: str, place: Place):
        self.folder, self.run_id, self.place = folder, run_id, place
        self._handle = -1
        self._line = ""
        self._lock = threading.RLock()

    def fileno(self) -> int:
        """The file's descriptor; the file is made when it is needed first."""
        if self._handle < 0:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            self._handle = os.open(self.folder / folders.LOG, flags, 0o666)
        return self._handle

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        """Add text as it is. Raises OSError on a full disk."""
        with self._lock:
            self.text(text)
            *lines, self._line = (self._line + text).split("\n")
            for line in lines:
                self.event(line)
            self._line = self._line[-LONGEST_LINE:]
        return len(text)

    def text(self, text: str) -> None:
        """Add text to the file for people only."""
        rest = text.encode("utf-8", "replace")
        while rest:
            rest = rest[os.write(self.fileno(), rest) :]

    def event(self, line: str, *, level: str = "INFO", logger: str = "notebook") -> None:
        """Add one line to the events only."""
        facts = {"level": level, "logger": logger, "run_id": self.run_id, "cell": self.place.number or None}
        events.append(self.folder, "log", text=failure.clean(line)[:LONGEST_LINE], **facts)

    def end(self, state: str, error: str) -> None:
        """Say how a run that did not succeed ended; a full disk is no reason to stumble here."""
        with suppress(OSError), self._lock:
            self.text(f"\n{state}: {error}\n")
            self._flush_line()
            level = "WARNING" if state == "cancelled" else "ERROR"
            self.event(f"{state}: {error}", level=level, logger="geolab.jobs")

    def close(self) -> None:
        """Close the file; a last line without an end counts as one."""
        with self._lock:
            with suppress(OSError):
                self._flush_line()
            if self._handle >= 0:
                os.close(self._handle)
                self._handle = -1
        super().close()

    def _flush_line(self) -> None:
        line, self._line = self._line, ""
        if line:
            self.event(line)


class _Handler(logging.Handler):
    """Puts what geolab's own code logs into the log of the run."""

    def __init__(self, log: RunLog):
        super().__init__(logging.INFO)
        self.log = log
        self.setFormatter(logging.Formatter(_TEXT))

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):
            self.log.text(self.format(record) + "\n")
            self.log.event(_message(record), level=record.levelname, logger=record.name)


@contextmanager
def into(log: RunLog) -> Iterator[None]:
    """Whatever is logged in this process goes into the run's log, and nowhere else."""
    root, ours, theirs = logging.getLogger(), logging.getLogger("geolab"), logging.getLogger("papermill")
    before = root.handlers[:], ours.level, theirs.level
    root.handlers[:] = [_Handler(log)]
    ours.setLevel(logging.INFO)
    theirs.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.handlers[:] = before[0]
        ours.setLevel(before[1])
        theirs.setLevel(before[2])


# ---------------------------------------------------------------- lines for machines


def lines(found: Iterator[dict[str, Any]], run_id: str) -> Iterator[dict[str, Any]]:
    """What a run's events say in words: time (RFC 3339), level, logger, text, run_id and cell."""
    cell = None
    for event in found:
        if event["event"] == "cell":
            cell = event.get("number")
        elif event["event"] == "log":
            yield {
                "time": _when(event["time"]),
                "level": event.get("level", "INFO"),
                "logger": event.get("logger", "notebook"),
                "text": event.get("text", ""),
                "run_id": run_id,
                "cell": event.get("cell", cell),
            }


class JsonFormatter(logging.Formatter):
    """One JSON object per record, with the fields of a run's lines."""

    def format(self, record: logging.LogRecord) -> str:
        facts = {"time": _when(record.created), "level": record.levelname, "logger": record.name}
        facts |= {"text": _message(record), "pid": record.process}
        return json.dumps(facts | {"run_id": getattr(record, "run_id", "")}, ensure_ascii=False)


def configure(environ: Mapping[str, str] = os.environ) -> None:
    """Logging of a process that serves many runs: to stderr, JSON lines if GEOLAB_LOG is json."""
    handler = logging.StreamHandler()
    as_json = environ.get("GEOLAB_LOG") == "json"
    handler.setFormatter(JsonFormatter() if as_json else logging.Formatter(_TEXT))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("geolab").setLevel(logging.INFO)


def _message(record: logging.LogRecord) -> str:
    text = record.getMessage()
    trace = logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
    return f"{text}\n{trace}" if trace else text


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
