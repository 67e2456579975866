"""One small process on a machine that draws splats and predicts change for every page that is open.

Pages only show things: their kernels hold no model on a GPU. They ask here, wait in one bounded line,
and are told their place in it. What is asked of one model at once is done at once.

    asked = modelserver.render("model.ply", camera)      JPEG bytes
    modelserver.stay()                                   starts it, keeps it; gone when nobody stays
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geolab.modelserver.client import address, portrait, predict, render, status
    from geolab.modelserver.process import Stay, stay

_HOME = {
    "Stay": "process",
    "address": "client",
    "portrait": "client",
    "predict": "client",
    "render": "client",
    "status": "client",
    "stay": "process",
}

__all__ = ["Stay", "address", "portrait", "predict", "render", "status", "stay"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'geolab.modelserver' has no attribute {name!r}")
    return getattr(importlib.import_module(f"geolab.modelserver.{_HOME[name]}"), name)
