"""Whether MLflow answers, without loading it."""

from __future__ import annotations

import sqlite3
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from geolab.errors import BadInput
from geolab.settings import Settings

TIMEOUT_S = 3.0


def health(settings: Settings) -> str:
    """Where experiments are recorded and how many runs there are, in words. Raises BadInput if it is away."""
    uri = settings.tracking_uri
    if uri.startswith("sqlite:///"):
        return _of_file(Path(uri.removeprefix("sqlite:///")))
    where = _without_password(uri)
    if not uri.startswith(("http://", "https://")):
        return where
    try:
        with urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=TIMEOUT_S) as answer:  # noqa: S310
            if answer.status == 200:
                return f"{where} answers"
            found = f"status {answer.status}"
    except (urllib.error.URLError, OSError, ValueError) as error:
        found = str(getattr(error, "reason", error))
    raise BadInput("MLflow", found=f"no answer from {where} ({found})", expected="a server that runs")


def _of_file(path: Path) -> str:
    if not path.is_file():
        return "made on first use"
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=TIMEOUT_S)
        ) as db:
            (count,) = db.execute("SELECT count(*) FROM runs WHERE lifecycle_stage = 'active'").fetchone()
    except sqlite3.Error as error:
        raise BadInput("MLflow", found=f"{path}: {error}", expected="a database of MLflow") from error
    return f"{count:,} run{'' if count == 1 else 's'} in {path.name}"


def _without_password(uri: str) -> str:
    parts = urlsplit(uri)
    host = parts.hostname or ""
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}{parts.path}"
