"""The client of MLflow, made on first use and told to be quiet."""

from __future__ import annotations

import fcntl
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from geolab.errors import BadInput
from geolab.settings import Settings

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")

_clients: dict[tuple[int, str], MlflowClient] = {}


def client(settings: Settings) -> MlflowClient:
    """The client of this process (a forked one makes its own); the first one makes the tables."""
    key = (os.getpid(), settings.tracking_uri)
    if key not in _clients:
        client_class = import_client()
        with _database_ready(settings.tracking_uri):
            _clients[key] = client_class(settings.tracking_uri, registry_uri=settings.tracking_uri)
    return _clients[key]


def recorded(settings: Settings) -> bool:
    """Whether anything may have been recorded: a look at a workspace without records makes no file."""
    uri = settings.tracking_uri
    return not uri.startswith("sqlite:///") or Path(uri.removeprefix("sqlite:///")).is_file()


@contextmanager
def _database_ready(uri: str) -> Iterator[None]:
    """Alone while the tables are being made, with others afterwards.

    MLflow 3.17 locks the making of its tables too, but another process takes tables that are
    still being migrated for finished ones ("duplicate column name: step").
    """
    if not uri.startswith("sqlite:///"):
        yield
        return
    from mlflow import __version__

    database = Path(uri.removeprefix("sqlite:///"))
    database.parent.mkdir(parents=True, exist_ok=True)
    with database.with_name(f".{database.name}.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        lock.seek(0)
        made_by = lock.read()
        if made_by == __version__ and database.is_file():
            yield
            return
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
        lock.truncate(0)
        lock.write(__version__)


def import_client() -> type[MlflowClient]:
    """MLflow, told before its import to send nothing and to say only what matters."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    from mlflow.tracking import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return MlflowClient


def experiment_id(settings: Settings, name: str) -> str:
    """The id of an experiment, made if it is new; its files then lie in the workspace."""
    server = client(settings)
    checked("experiment", name)
    local = settings.tracking_uri.startswith("sqlite:")
    location = (settings.home / "mlartifacts" / name).as_uri() if local else None
    found = server.get_experiment_by_name(name)
    if found is None:
        unless_exists(lambda: server.create_experiment(name, artifact_location=location))
        found = server.get_experiment_by_name(name)
    if found is None or found.lifecycle_stage != "active":
        raise BadInput("experiment", found=f"{name}, which was deleted", expected="another name")
    return found.experiment_id


def unless_exists(make: Callable[[], object]) -> None:
    """Make something that another process may just have made."""
    from mlflow.exceptions import MlflowException

    try:
        make()
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def checked(what: str, name: str) -> str:
    """The name, if it is one that can be part of a path and of a URL. Raises BadInput."""
    if not NAME.fullmatch(name):
        raise BadInput(what, found=repr(name), expected="letters, digits, '.', '_' and '-', at most 100")
    return name
