"""The apps: pages of Voila and JupyterLab made of widgets. A notebook of notebooks/apps calls `show`.

A page looks at ledger, catalogue and files and submits jobs; it never does the work in its own kernel.
Everything loads on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geolab.apps import parts
    from geolab.apps.form import Form  # pyright: ignore[reportMissingImports]
    from geolab.apps.results import results
    from geolab.apps.runpanel import RunPanel
    from geolab.apps.shell import Page, show

_HOME = {"Form": "form", "Page": "shell", "RunPanel": "runpanel", "results": "results", "show": "shell"}

__all__ = ["Form", "Page", "RunPanel", "parts", "results", "show"]


def __getattr__(name: str) -> Any:
    if name == "parts":
        return importlib.import_module("geolab.apps.parts")
    if name not in _HOME:
        raise AttributeError(f"module 'geolab.apps' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"geolab.apps.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
