"""What a process that has imported modules depends on: when it differs, the process is out of date.

A kernel forked from a template takes the template's modules with it. They are those that a new
process would import only while the code, the packages and the variables read at import are the same.
"""

from __future__ import annotations

import os
import resource
import site
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

PACKAGE = Path(__file__).parents[1]

# Read when they are used, not when modules are imported: they may differ from run to run.
_READ_LATE = (
    "GEOLAB_",
    "MLFLOW_",
    "JPY_",
    "AWS_",
    "JUPYTER_RUNTIME_DIR",
    "IPYTHONDIR",
    "CUDA_VISIBLE_DEVICES",
)
_MEANINGLESS = {"PWD", "OLDPWD", "SHLVL", "_", "DO_NOT_TRACK", "PYTEST_CURRENT_TEST"}

_LIMITS = [getattr(resource, name) for name in sorted(dir(resource)) if name.startswith("RLIMIT_")]


@dataclass(frozen=True)
class Stamp:
    """The state of this process and of the files that its children import."""

    python: str
    code: Mapping[str, tuple[int, int]]  # of every module of geolab: time of change, bytes
    packages: tuple[tuple[str, int], ...]  # of every folder of installed packages: name, time of change
    variables: Mapping[str, str]
    limits: tuple[tuple[int, int], ...]
    cores: frozenset[int]
    niceness: int


def take(environ: Mapping[str, str]) -> Stamp:
    """The stamp of a process that starts now with these variables."""
    return Stamp(
        python=sys.executable,
        code=dict(_modules(PACKAGE)),
        packages=tuple(_folders()),
        variables={name: value for name, value in environ.items() if _matters(name)},
        limits=tuple(resource.getrlimit(limit) for limit in _LIMITS),
        cores=frozenset(os.sched_getaffinity(0)),
        niceness=os.getpriority(os.PRIO_PROCESS, 0),
    )


@dataclass(frozen=True)
class Loaded:
    """What a process has imported since its stamp was taken."""

    files: tuple[str, ...] = ()  # geolab's own modules
    variables: Mapping[str, str] = field(default_factory=dict)  # that the imports have set


def difference(then: Stamp, now: Stamp, loaded: Loaded) -> str:
    """What differs, in words; empty when a fork is as good as a new process.

    Code counts that was loaded; variables count unless the imports set them to the same values.
    """
    if then.python != now.python:
        return "another Python"
    for name in loaded.files:
        if then.code.get(name) != now.code.get(name):
            return f"the code of {Path(name).name} changed"
    if then.packages != now.packages:
        return "the installed packages changed"
    if (then.limits, then.cores, then.niceness) != (now.limits, now.cores, now.niceness):
        return "the limits of the process changed"
    for name in sorted(then.variables.keys() | now.variables.keys()):
        wanted = now.variables.get(name)
        as_imported = wanted is not None and wanted == loaded.variables.get(name)
        if wanted != then.variables.get(name) and not as_imported:
            return f"the variable {name} changed"
    return ""


def _matters(name: str) -> bool:
    return not name.startswith(_READ_LATE) and name not in _MEANINGLESS


def _modules(folder: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda e: e.name):
            if entry.is_dir(follow_symlinks=False) and entry.name not in ("__pycache__", "js", "static"):
                yield from _modules(Path(entry.path))
            elif entry.name.endswith(".py"):
                facts = entry.stat()
                yield entry.path, (facts.st_mtime_ns, facts.st_size)


def _folders() -> Iterator[tuple[str, int]]:
    for folder in sorted({*site.getsitepackages(), site.getusersitepackages()}):
        if Path(folder).is_dir():
            yield folder, Path(folder).stat().st_mtime_ns
