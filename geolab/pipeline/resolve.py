"""What a node's run takes: values of its parameters, results and keys of the runs it needs, its own key."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from geolab.errors import BadInput, NotFound, one_line
from geolab.jobs import keys
from geolab.jobs.folders import KEY_DIGITS, REPORT
from geolab.jobs.parameters import contract, parse
from geolab.jobs.references import inputs
from geolab.pipeline import templates
from geolab.pipeline.check import fitted
from geolab.pipeline.nodes import Node
from geolab.settings import Settings

KeyOf = Callable[[Node], str]  # the key of a needed run, which is done


@dataclass(frozen=True)
class Resolved:
    """One run ready to be asked for. values: of its parameters; needs: keys of the runs it takes from."""

    values: dict[str, Any]
    needs: tuple[str, ...]


def resolve(node: Node, key_of: KeyOf, settings: Settings) -> Resolved:
    """What a node takes, everything it needs being done. Raises a GeolabError that names the parameter."""
    needed = {name: [(one, key_of(one)) for one in found] for name, found in node.needs().items()}
    at, pipeline = node.at, node.pipeline

    def look(name: str) -> Any:
        need, dot, result = name.partition(".")
        if not dot:
            return at[name] if name in at else pipeline.parameters[name]
        found = [_result(one, key, result, settings) for one, key in needed[need]]
        wanted = node.stage.need(need)
        return found if wanted and wanted.many else found[0]

    agreed, values = contract(node.stage.notebook), {}
    for name, template in node.stage.parameters.items():
        parameter = agreed.parameter(name)
        if parameter is None:
            raise NotFound(f"parameter of {agreed.name}", name, known=[p.name for p in agreed.parameters])
        try:
            values[name] = fitted(parameter, templates.fill(template, look), pipeline.path.parent)
        except ValueError as error:
            raise BadInput(f"{node.slot}, {name}", found=error, expected="a value") from error
    each = dict.fromkeys(key for found in needed.values() for _, key in found)
    return Resolved(values, tuple(each))


def key(node: Node, resolved: Resolved, settings: Settings) -> str:
    """The key that the run will have: that of `jobs.key_of`. Raises a GeolabError."""
    agreed = contract(node.stage.notebook)
    values = parse(agreed, resolved.values, settings=settings)
    found = inputs(agreed.parameters, values, settings)
    return keys.key(node.stage.notebook, values, found, resolved.needs)


def _result(node: Node, run_key: str, name: str, settings: Settings) -> Any:
    """One result of a needed run; of a mapping, a part of it."""
    found: Any = results(node.stage.notebook.stem, run_key, settings)
    if found is None:
        folder = settings.runs / node.stage.notebook.stem / run_key[:KEY_DIGITS]
        remedy = f"remove {folder} to have it done again"
        raise BadInput(f"report of {node.slot}", found="a damaged file", expected="results", remedy=remedy)
    for part in name.split("."):
        if not isinstance(found, dict) or part not in found:
            known = found if isinstance(found, dict) else ()
            raise NotFound(f"result of {node.slot}", name, known=map(str, known))
        found = found[part]
    return found


def results(notebook: str, run_key: str, settings: Settings) -> dict[str, Any] | None:
    """The results of the published run with this key; None where there is no sound report of it."""
    report = _report(notebook, run_key, settings)
    found = report.get("results") if report else None
    return found if isinstance(found, dict) else None


def published(notebook: str, run_key: str, settings: Settings) -> str | None:
    """The id of the published run with this key, maybe empty; None where there is no sound report of it."""
    report = _report(notebook, run_key, settings)
    if report is None or not isinstance(report.get("results"), dict):
        return None
    return one_line(report.get("run_id") or "", 14)


@lru_cache(maxsize=8192)  # neighbours ask for the same report
def _sound(path: str, run_key: str, _changed: int) -> dict[str, Any] | None:
    try:
        with open(path, "rb") as stream:  # noqa: PTH123 - 100,000 of them
            report = json.load(stream)
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(report, dict) or report.get("key") != run_key:
        return None
    return {name: report.get(name) for name in ("results", "run_id")}


def _report(notebook: str, run_key: str, settings: Settings) -> dict[str, Any] | None:
    path = f"{_root(settings)}/{notebook}/{run_key[:KEY_DIGITS]}/{REPORT}"  # pathlib costs as much as reading
    try:
        changed = os.stat(path).st_mtime_ns  # noqa: PTH116
    except OSError:
        return None
    return _sound(path, run_key, changed)


@lru_cache(maxsize=4)
def _root(settings: Settings) -> str:
    return str(settings.runs)
