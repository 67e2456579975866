"""Gaussian splats that are maps: photos to cameras, training, rendering, products, files.

Modules load on first use, so that `import geolab.splats` costs next to nothing (no torch).
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geolab.splats import (
        find,
        flight,
        frame,
        gaussians,
        georef,
        images,
        io,
        items,
        judge,
        orthophoto,
        prepare,
        products,
        rasterize,
        record,
        render,
        results,
        scene,
        sfm,
        train,
        views,
    )

__all__ = [
    "find",
    "flight",
    "frame",
    "gaussians",
    "georef",
    "images",
    "io",
    "items",
    "judge",
    "orthophoto",
    "prepare",
    "products",
    "rasterize",
    "record",
    "render",
    "results",
    "scene",
    "sfm",
    "train",
    "views",
]

# torch's threads shall sleep while they wait, not spin; see geolab.change
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def __getattr__(name: str) -> Any:
    if name in __all__:
        return importlib.import_module(f"geolab.splats.{name}")
    raise AttributeError(f"module 'geolab.splats' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
