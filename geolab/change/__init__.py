"""Change between two dates: classic statistics, the siamese model, detection, scores.

Modules load on first use, so that `import geolab.change` costs next to nothing (no torch).
"""

from __future__ import annotations

import importlib
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
    "train",
    "vector",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return importlib.import_module(f"geolab.change.{name}")
    raise AttributeError(f"module 'geolab.change' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
