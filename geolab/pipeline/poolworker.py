"""A worker process of a pool: `python -m geolab.pipeline.poolworker DESCRIPTOR`.

It answers calls from its owner's socket, one after another in the main thread, until the socket is
closed: by the owner, or by the system when the owner has died.
"""

from __future__ import annotations

import importlib
import logging
import os
import pickle
import sys
import traceback
from multiprocessing.connection import Connection
from typing import Any

from geolab import settings as settings_module
from geolab.errors import GeolabError
from geolab.jobs import warm, worker
from geolab.pipeline import devices
from geolab.settings import Settings

_settings: Settings | None = None
_template: warm.Template | None = None


def perform(run_id: str, gpus: tuple[str, ...] = ()) -> str:
    """The state in which this worker left the run; empty if somebody else has it.

    gpus: the devices that are the run's own; it may see no others.
    """
    with devices.only(gpus):
        return worker.perform(run_id, settings=_settings, template=_template)


def main(descriptor: int) -> None:
    """Serve the socket with this number until it is closed."""
    global _settings, _template
    os.set_inheritable(descriptor, False)  # a kernel must not hold it open when this process is dead
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    connection = Connection(descriptor)
    _settings = settings_module.load()
    with warm.start(_settings) as _template:
        importlib.import_module("geolab.jobs.execute")  # papermill: a second or two, once
        _say(connection, "ready")
        while (call := _hear(connection)) is not None:
            _say(connection, _answer(*call))


def _hear(connection: Connection) -> Any:
    try:
        return connection.recv()
    except (EOFError, OSError):
        return None


def _say(connection: Connection, message: Any) -> None:
    try:
        connection.send(message)
    except (BrokenPipeError, ConnectionResetError):
        sys.exit(0)  # nobody is left who wants to know


def _answer(function: Any, args: Any, kwargs: Any) -> tuple[bool, Any]:
    try:
        return True, function(*args, **kwargs)
    except SystemExit:
        raise
    except BaseException as problem:  # noqa: BLE001 - it belongs to the caller
        return False, _portable(problem)


def _portable(problem: BaseException) -> BaseException:
    """The exception, if it can travel; else one that says the same."""
    problem.add_note("in the worker:\n" + "".join(traceback.format_exception(problem)))
    try:
        pickle.loads(pickle.dumps(problem))  # noqa: S301 - our own, made a line before
    except Exception:  # noqa: BLE001 - whatever an exception's own constructor does
        return GeolabError(str(problem)) if isinstance(problem, GeolabError) else RuntimeError(repr(problem))
    return problem


if __name__ == "__main__":
    # the functions of calls are found in the module by its name, not in __main__
    from geolab.pipeline import poolworker

    poolworker.main(int(sys.argv[1]))
