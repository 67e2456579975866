"""Figures in words: durations, sizes, use of the machine, and numbers with the units of their names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

_UNITS = {
    "m2": "m²", "ha": "ha", "km2": "km²", "m": "m", "km": "km", "cm": "cm", "mm": "mm", "px": "px",
    "pct": "%", "s": "s", "ms": "ms", "mb": "MB", "gb": "GB", "db": "dB", "deg": "°", "min": "min",
}  # fmt: skip
_SHARES = ("share", "fraction")


def duration(seconds: float | None) -> str:
    """8 s, 3 min 20 s, 2 h 5 min."""
    if seconds is None or not math.isfinite(seconds):
        return ""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s" if seconds >= 10 or whole == seconds else f"{seconds:.1f} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def size(count: float) -> str:
    """A number of bytes: 812 B, 4.2 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def number(value: float) -> str:
    """A number with sensible digits: 12,345; 12.4; 0.00321."""
    if isinstance(value, int) or float(value).is_integer():
        return f"{int(value):,}" if abs(value) < 1e15 else f"{value:.3g}"
    if not math.isfinite(value):
        return "none"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def measure(name: str, value: Any) -> tuple[str, str]:
    """(label, text) of a result: the unit comes from the end of its name. changed_m2 12400 -> 12,400 m²."""
    stem, _, end = name.rpartition("_")
    if isinstance(value, bool):
        return label(name), "yes" if value else "no"
    if value is None:
        return label(name), "none"
    if not isinstance(value, int | float):
        return label(name), str(value)
    if stem and end in _SHARES:
        return label(name), f"{number(100 * value)} %"
    if stem and end in _UNITS:
        return label(stem), f"{number(value)} {_UNITS[end]}"
    return label(name), number(value)


def label(name: str) -> str:
    """A name as words: polygon_count -> polygon count."""
    return name.replace("_", " ")


def usage(used: Mapping[str, Any] | None) -> str:
    """What a run takes or took, on one line; "" where nothing is known."""
    known = {name: v for name, v in (used or {}).items() if isinstance(v, int | float) and math.isfinite(v)}
    told = []
    if known.get("cpu_pct", 0) >= 5:
        told.append(f"{known['cpu_pct'] / 100:.1f} cores")
    memory = known.get("memory_mb", known.get("memory_mb_peak"))
    if memory is not None:
        told.append(f"{size(memory * 1e6)} memory{' at most' if 'memory_mb' not in known else ''}")
    if "cpu_s" in known:
        told.append(f"{duration(known['cpu_s'])} of CPU")
    if known.get("gpu_pct"):
        told.append(f"GPU {known['gpu_pct']:.0f} %")
    return ", ".join(told)


def rate(per_s: float | None) -> str:
    """How fast something is counted: 12 per s, 3.1 per min."""
    if not per_s or not math.isfinite(per_s):
        return ""
    return f"{per_s:.3g} per s" if per_s >= 0.5 else f"{per_s * 60:.2g} per min"
