"""Jobs: a notebook with a parameters cell, checked, run in a process of its own, recorded.

Everything loads on first use; papermill is imported only by the process that runs a notebook.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geolab.jobs.listing import View, as_json, follow, log_lines, log_path, runs, show, watch
    from geolab.jobs.notebook import find_notebook, notebooks
    from geolab.jobs.panel import Services, services
    from geolab.jobs.parameters import Contract, contract, parse
    from geolab.jobs.references import resolve
    from geolab.jobs.retries import retry, to_retry
    from geolab.jobs.runner import Outcome, cancel, kill, run, successor, wait
    from geolab.jobs.session import Run, context, report
    from geolab.jobs.submission import Submitted, enqueue, key_of, submit
    from geolab.jobs.values import Parameter
    from geolab.jobs.worker import perform

_HOME = {
    "Contract": "parameters",
    "Outcome": "runner",
    "Parameter": "values",
    "Run": "session",
    "Services": "panel",
    "Submitted": "submission",
    "View": "listing",
    "as_json": "listing",
    "cancel": "runner",
    "context": "session",
    "contract": "parameters",
    "enqueue": "submission",
    "find_notebook": "notebook",
    "follow": "listing",
    "key_of": "submission",
    "kill": "runner",
    "log_lines": "listing",
    "log_path": "listing",
    "notebooks": "notebook",
    "parse": "parameters",
    "perform": "worker",
    "report": "session",
    "resolve": "references",
    "retry": "retries",
    "run": "runner",
    "runs": "listing",
    "services": "panel",
    "show": "listing",
    "submit": "submission",
    "successor": "runner",
    "to_retry": "retries",
    "wait": "runner",
    "watch": "listing",
}

__all__ = [
    "Contract",
    "Outcome",
    "Parameter",
    "Run",
    "Services",
    "Submitted",
    "View",
    "as_json",
    "cancel",
    "context",
    "contract",
    "enqueue",
    "find_notebook",
    "follow",
    "key_of",
    "kill",
    "log_lines",
    "log_path",
    "notebooks",
    "parse",
    "perform",
    "report",
    "resolve",
    "retry",
    "run",
    "runs",
    "services",
    "show",
    "submit",
    "successor",
    "to_retry",
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
