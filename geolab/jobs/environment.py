"""The variables of geolab's processes: a worker gets all settings, a kernel only what it needs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

from geolab.jobs import folders
from geolab.settings import Settings, redacted

# of the worker and its ledger: no business of a notebook, and they may hold a password
_NOT_FOR_KERNELS = ("PGPASSWORD", "PGPASSFILE", "PGSERVICE", "PGSERVICEFILE", "GEOLAB_LOG")
_LEDGER = "GEOLAB_LEDGER_URL"


def of_worker(settings: Settings) -> dict[str, str]:
    """The variables by which another process has the same settings."""
    return {f"GEOLAB_{f.name.upper()}": str(getattr(settings, f.name)) for f in fields(settings)}


def of_run(folder: Path, run_id: str) -> dict[str, str]:
    """The variables of one run: its description, and nothing of the user's Jupyter set-up."""
    runtime = folders.runtime(run_id)
    return {
        "GEOLAB_RUN": str(folder / folders.DESCRIBED),
        "JUPYTER_RUNTIME_DIR": str(runtime),
        "IPYTHONDIR": str(runtime / "ipython"),  # no start-up files, no shared history
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "PYTHONUNBUFFERED": "1",
    }


def of_kernel(settings: Settings, folder: Path, run_id: str) -> dict[str, str]:
    """All variables of a run's kernel: those of this process, without the way into the ledger.

    A ledger's password does not pass, so that no notebook can print it into a page; a file is no secret.
    """
    own = without_secrets(os.environ | of_worker(settings))
    return own | of_run(folder, run_id)


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that a kernel may have."""
    kept = {name: value for name, value in environ.items() if name not in _NOT_FOR_KERNELS}
    if _LEDGER in kept:
        kept[_LEDGER] = redacted(kept[_LEDGER])
    return kept


@contextmanager
def replaced(variables: dict[str, str]) -> Iterator[None]:
    """This process with these variables and no others; then as it was."""
    before = dict(os.environ)
    _set(variables)
    try:
        yield
    finally:
        _set(before)


def _set(variables: dict[str, str]) -> None:
    for name in [name for name in os.environ if name not in variables]:
        del os.environ[name]
    os.environ.update(variables)
