"""Jobs: a notebook with a parameters cell, checked, run in a process of its own, recorded.

Everything loads on first use; papermill is imported only by the process that runs a notebook.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geolab.jobs.listing import View, as_json, follow, log_path, runs, show, watch
    from geolab.jobs.notebook import find_notebook, notebooks
    from geolab.jobs.parameters import Contract, contract, parse
    from geolab.jobs.references import resolve
    from geolab.jobs.runner import Outcome, Submitted, cancel, kill, run, submit, wait
    from geolab.jobs.session import Run, context, report
    from geolab.jobs.values import Parameter

_HOME = {
    "Contract": "parameters",
    "Outcome": "runner",
    "Parameter": "values",
    "Run": "session",
    "Submitted": "runner",
    "View": "listing",
    "as_json": "listing",
    "cancel": "runner",
    "context": "session",
    "contract": "parameters",
    "find_notebook": "notebook",
    "follow": "listing",
    "kill": "runner",
    "log_path": "listing",
    "notebooks": "notebook",
    "parse": "parameters",
    "report": "session",
    "resolve": "references",
    "run": "runner",
    "runs": "listing",
    "show": "listing",
    "submit": "runner",
    "wait": "runner",
    "watch": "listing",
}

__all__ = [
    "Contract",
    "Outcome",
    "Parameter",
    "Run",
    "Submitted",
    "View",
    "as_json",
    "cancel",
    "context",
    "contract",
    "find_notebook",
    "follow",
    "kill",
    "log_path",
    "notebooks",
    "parse",
    "report",
    "resolve",
    "run",
    "runs",
    "show",
    "submit",
    "wait",
    "watch",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'geolab.jobs' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"geolab.jobs.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
