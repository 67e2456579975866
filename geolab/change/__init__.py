"""Change between two dates: classic statistics, the siamese model, detection, scores.

Modules load on first use, so that `import geolab.change` costs next to nothing (no torch).
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geolab.change import (
        classic,
        coregister,
        detect,
        evaluate,
        export,
        metrics,
        model,
        pairs,
        radiometry,
        summary,
        train,
        vector,
    )

__all__ = [
    "classic",
    "coregister",
    "detect",
    "evaluate",
    "export",
    "metrics",
    "model",
    "pairs",
    "radiometry",
    "summary",
    "train",
    "vector",
]


# Threads of torch's OpenMP that wait for each other shall sleep, not spin. Spinning saves microseconds on
# an idle machine; where others want the cores too (8 processes on 2), it made training 3 to 5 times slower.
# It is read when torch is loaded, so it stands before every module that loads it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def __getattr__(name: str) -> Any:
    if name in __all__:
        return importlib.import_module(f"geolab.change.{name}")
    raise AttributeError(f"module 'geolab.change' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
