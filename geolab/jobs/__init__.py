"""Jobs: a notebook with a parameters cell, checked, run in a process of its own, recorded.

Everything loads on first use; papermill is imported only by the process that runs a notebook.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geolab.jobs.notebook import find, notebooks
    from geolab.jobs.parameters import Contract, contract, parse
    from geolab.jobs.session import Run, context, report
    from geolab.jobs.values import Parameter

_HOME = {
    "Contract": "parameters",
    "Parameter": "values",
    "Run": "session",
    "context": "session",
    "contract": "parameters",
    "find": "notebook",
    "notebooks": "notebook",
    "parse": "parameters",
    "report": "session",
}

__all__ = ["Contract", "Parameter", "Run", "context", "contract", "find", "notebooks", "parse", "report"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'geolab.jobs' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"geolab.jobs.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
