"""Splats in a page: an interactive view in JupyterLab and Voila, and its place on the map.

`show` draws in the browser, by a bundle that `make setup` builds from js/ where npm is there; without it,
or without WebGL, the same view is made of pictures that the kernel draws. Nothing comes from a CDN.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geolab.viewer.door import show
    from geolab.viewer.onmap import OnMap, on_map
    from geolab.viewer.widget import Viewer

_HOMES = {"show": "door", "Viewer": "widget", "on_map": "onmap", "OnMap": "onmap"}

__all__ = ["OnMap", "Viewer", "on_map", "show"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"geolab.viewer.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'geolab.viewer' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
