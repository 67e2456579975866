"""geolab: change detection and Gaussian splats for Earth observation, in notebooks that run.

Public modules load on first use, so that `import geolab` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geolab import (
        catalog,
        change,
        errors,
        figures,
        ingest,
        jobs,
        maps,
        raster,
        settings,
        store,
        town,
        track,
    )

__version__ = "0.1.0"

__all__ = [
    "__version__",
    "catalog",
    "change",
    "errors",
    "figures",
    "ingest",
    "jobs",
    "maps",
    "raster",
    "settings",
    "store",
    "town",
    "track",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return importlib.import_module(f"geolab.{name}")
    raise AttributeError(f"module 'geolab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
