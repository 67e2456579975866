"""How far a run is, how fast it goes and when it will be done, by its newest events."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geolab.jobs import events

WINDOW_S = 60.0  # the rate is that of the last minute, or of the last two events


@dataclass(frozen=True)
class Progress:
    """part: 0..1. rate: of what is counted, per second. None and empty: not known."""

    part: float | None = None
    doing: str = ""
    rate: float | None = None
    eta_s: float | None = None


NONE = Progress()


def of(folder: Path) -> Progress:
    """The progress of the run that works in this folder."""
    found = events.last(folder, "cell")
    cell = max((i for i, event in enumerate(found) if event["event"] == "cell"), default=-1)
    counted = [e for e in found if e["event"] == "progress" and e.get("total")]
    newest = counted[-1] if counted and found.index(counted[-1]) > cell else None
    if newest is not None:
        return _counted(counted, found[cell] if cell >= 0 else None)
    if cell < 0:
        return NONE
    at = found[cell]
    step = next((event for event in reversed(found[cell:]) if event["event"] == "step"), {})
    doing = f"step {step['name']}" if step.get("state") == "running" else f"cell {at['number']}"
    return Progress(at["done"] / max(at["total"], 1), doing)


def _counted(counted: list[dict[str, Any]], cell: dict[str, Any] | None) -> Progress:
    newest = counted[-1]
    done, total = newest["done"] or 0, newest["total"]
    doing = newest.get("what") or (f"cell {cell['number']}" if cell else "")
    rate = _rate(counted)
    return Progress(done / total, doing, rate, (total - done) / rate if rate else None)


def _rate(counted: list[dict[str, Any]]) -> float | None:
    """Of the series that the newest event belongs to: the same total, never counting back."""
    newest = first = counted[-1]
    for event in reversed(counted[:-1]):
        same = event["total"] == newest["total"] and (event["done"] or 0) <= (first["done"] or 0)
        if not same or (newest["time"] - event["time"] > WINDOW_S and first is not newest):
            break
        first = event
    seconds, done = newest["time"] - first["time"], (newest["done"] or 0) - (first["done"] or 0)
    return done / seconds if seconds > 0 and done > 0 else None
