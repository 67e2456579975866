"""The apps: pages of Voila and JupyterLab made of widgets. A notebook of notebooks/apps calls `show`.

A page looks at ledger, catalogue and files and submits jobs; it never does the work in its own kernel.
Everything loads on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geolab.apps import parts, results
    from geolab.apps.form import Form
    from geolab.apps.runpanel import RunPanel
    from geolab.apps.shell import Page, show

_HOME = {"Form": "form", "Page": "shell", "RunPanel": "runpanel", "show": "shell"}
_MODULES = ("parts", "results")

__all__ = ["Form", "Page", "RunPanel", "parts", "results", "show"]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"geolab.apps.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'geolab.apps' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"geolab.apps.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
