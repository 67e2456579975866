"""What went wrong in a run, in words: the cell and its own traceback, not the machinery's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from geolab.errors import StorageError

LONGEST_ERROR = 20_000
SOURCE_LINES = 12

# terminal sequences (ECMA-48: CSI, OSC and two-byte escapes); tracebacks of kernels are coloured with them
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[0-~])")
# of the operating system, SQLite and GDAL
_FULL_DISK = re.compile(
    r"No space left on device|Disk quota exceeded|database or disk is full", re.IGNORECASE
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Words(str):
    """What went wrong, for people; and why, for programs: one of the record's causes, or nothing."""

    __slots__ = ("cause",)
    cause: str

    def __new__(cls, text: str, cause: str = "") -> Words:
        made = super().__new__(cls, text)
        made.cause = cause
        return made


def cause_of(error: str) -> str:
    """Why, if the error's maker said so."""
    return error.cause if isinstance(error, Words) else ""


@dataclass
class Place:
    """Where execution is. Written by the kernel's client, read by the thread that watches it."""

    number: int = 0  # of the cell, from 1, as the notebook was given
    source: str = ""
    started: int = 0  # code cells
    executed: int = 0
    total: int = 0

    def __str__(self) -> str:
        if not self.number:
            return "before the first cell (the kernel was starting)"
        first = next((line.strip() for line in self.source.splitlines() if line.strip()), "")
        return f"in cell {self.number} ({first[:60]})"


def clean(text: str) -> str:
    """The text without colours and control characters; of a line overwritten by returns, its last state."""
    lines = _ESCAPE.sub("", text).replace("\r\n", "\n").split("\n")
    return "\n".join(_CONTROL.sub("", line.rstrip("\r").rsplit("\r", 1)[-1]) for line in lines)


def of_cell(number: int, source: str, name: str, value: str, traceback: Sequence[str]) -> str:
    """The failing cell and its traceback.

    number: counted from 1 in the notebook as it was given, without the injected parameters.
    traceback: the lines of the kernel's error output.
    """
    head = f"cell {number} failed: {name}: {value}" if value else f"cell {number} failed: {name}"
    lines = source.strip().splitlines()
    shown = [f"    {line}" for line in lines[:SOURCE_LINES]]
    if len(lines) > SOURCE_LINES:
        shown.append(f"    … ({len(lines) - SOURCE_LINES} more lines)")
    text = shortened(clean("\n".join([head, "", *shown, "", *traceback])))
    return Words(text, "disk full" if _FULL_DISK.search(value) else "")


def shortened(text: str) -> str:
    """The text with its middle left out when it is very long: the ends say most."""
    if len(text) <= LONGEST_ERROR:
        return text
    half = LONGEST_ERROR // 2
    return f"{text[:half]}\n… ({len(text) - 2 * half} characters left out)\n{text[-half:]}"


def of_dead_kernel(cell: Place) -> str:
    """A kernel that ended by itself or was killed from outside."""
    return Words(
        f"the kernel died {cell}: killed, out of memory, or a crash in native code; "
        "the log may say more, and dmesg names processes killed for memory",
        "kernel died",
    )


def of_no_kernel(reason: object) -> str:
    """A kernel that died before its first cell."""
    return Words(f"the kernel did not start: {reason}", "kernel died")


def of_time_out(seconds: float, cell: Place) -> str:
    """A run stopped because its time was over."""
    return Words(f"stopped after {seconds:g} s (the time-out), {cell}", "time-out")


def of_memory(found_mb: float, limit_mb: float, cell: Place) -> str:
    """A run stopped because it took more memory than it may."""
    return Words(
        f"stopped {cell}: it took {found_mb:,.0f} MB of memory, its limit is {limit_mb:,.0f} MB; "
        "raise --memory-limit or let it work on smaller pieces",
        "memory",
    )


def of_storage(problem: StorageError, cell: Place) -> str:
    """A run whose files could not be written."""
    return Words(f"stopped {cell}: {problem}", "disk full" if problem.full else "")


def of_lost(run_id: str) -> str:
    """A run whose process is gone without a word."""
    return f"the process of run {run_id} ended without a word (killed, or the machine stopped); run it again"
