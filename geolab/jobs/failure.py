"""What went wrong in a run, in words: the cell and its own traceback, not the machinery's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

LONGEST_ERROR = 20_000
SOURCE_LINES = 12

# terminal sequences (ECMA-48: CSI, OSC and two-byte escapes); tracebacks of kernels are coloured with them
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[0-~])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


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
    return shortened(clean("\n".join([head, "", *shown, "", *traceback])))


def shortened(text: str) -> str:
    """The text with its middle left out when it is very long: the ends say most."""
    if len(text) <= LONGEST_ERROR:
        return text
    half = LONGEST_ERROR // 2
    return f"{text[:half]}\n… ({len(text) - 2 * half} characters left out)\n{text[-half:]}"


def of_dead_kernel(cell: Place) -> str:
    """A kernel that ended by itself or was killed from outside."""
    return (
        f"the kernel died {cell}: killed, out of memory, or a crash in native code; "
        "the log may say more, and dmesg names processes killed for memory"
    )


def of_time_out(seconds: float, cell: Place) -> str:
    """A run stopped because its time was over."""
    return f"stopped after {seconds:g} s (the time-out), {cell}"


def of_lost(run_id: str) -> str:
    """A run whose process is gone without a word."""
    return f"the process of run {run_id} ended without a word (killed, or the machine stopped); run it again"
