"""The key of a run: the same key means the same work, so a finished run can be found again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import geolab
from geolab.jobs.notebook import Version, cells, version
from geolab.jobs.references import Input


def key(
    notebook: Path, parameters: Mapping[str, Any], inputs: Iterable[Input] = (), needs: Iterable[str] = ()
) -> str:
    """The SHA-256, 64 hex digits, of all that decides a run's results.

    These are the code cells, the full parameters, the content of the inputs, geolab's version and
    the keys of the runs it needs. Where inputs lie counts only as far as the parameters say it.
    """
    described = {
        "parameters": dict(parameters),
        "inputs": sorted([i.parameter, i.sha256] for i in inputs),
        "needs": sorted(needs),
        "geolab": geolab.__version__,
    }
    hashed = _of_code(notebook, version(notebook)).copy()
    hashed.update(_json(described)[1:])
    return hashed.hexdigest()


def _json(value: Any) -> bytes:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")


@lru_cache(maxsize=256)
def _of_code(notebook: Path, _version: Version) -> Any:
    """The hash of the description's beginning, `{"code":[...],`: code comes first among its keys."""
    return hashlib.sha256(_json({"code": code(notebook)})[:-1] + b",")


def code(notebook: Path) -> list[str]:
    """The source of the code cells; neither text, outputs nor injected values count."""
    found = cells(notebook)
    return [c.source for c in found if c.kind == "code" and "injected-parameters" not in c.tags]
