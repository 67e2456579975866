"""How kernels are compiled: once, kept on disk, anew when any source in this folder changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit

OPTIONS: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"contract"},  # a b + c in one instruction; nothing is reordered, NaN stays NaN
}


def _newest() -> tuple[float, int]:
    """Time and size of all sources here: Numba by itself looks at a kernel's own file only."""
    stats = [path.stat() for path in sorted(Path(__file__).parent.glob("*.py"))]
    return max(s.st_mtime for s in stats), sum(s.st_size for s in stats)


def kernel(function: Callable[..., Any]) -> Any:
    """The function, compiled at its first call with types that are new to it; it does not hold the GIL."""
    compiled: Any = njit(**OPTIONS)(function)
    index: Any = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
    if hasattr(index, "_source_stamp"):  # Numba 0.61-0.68; without it a stale cache must be removed by hand
        index._source_stamp = _newest()
    return compiled
