"""Runs: parameters, metrics, figures and files of one piece of work."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from geolab.errors import BadInput, NotFound
from geolab.settings import Settings
from geolab.track.client import checked, client, experiment_id

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Status = Literal["FINISHED", "FAILED", "KILLED"]

FLUSH_S = 2.0  # metrics wait for so long to be written together
BATCH = 500  # and at most so many; MLflow takes 1000
LONGEST_VALUE = 500  # of a parameter; servers before MLflow 2.8 take no more
TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


class Tracked:
    """A run that is being recorded; as a context manager it ends by itself.

    FINISHED after the block; KILLED when it was interrupted; FAILED after any other exception.
    """

    def __init__(self, settings: Settings, run_id: str):
        self.run_id = run_id
        self._client = client(settings)
        self._waiting: list[Any] = []
        self._flushed = time.monotonic()

    def __enter__(self) -> Tracked:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.end("FINISHED")
        else:
            self.end("FAILED" if issubclass(kind, Exception) else "KILLED")

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Record values of a step. They are written in batches: `flush` or the end writes the last."""
        from mlflow.entities import Metric

        now = time.time_ns() // 1_000_000
        self._waiting += [Metric(name, float(value), now, step) for name, value in values.items()]
        if len(self._waiting) >= BATCH or time.monotonic() - self._flushed > FLUSH_S:
            self.flush()

    def flush(self) -> None:
        """Write the metrics that wait."""
        waiting, self._waiting = self._waiting, []
        for start in range(0, len(waiting), BATCH):
            self._client.log_batch(self.run_id, metrics=waiting[start : start + BATCH])
        self._flushed = time.monotonic()

    def figure(self, figure: Figure, name: str) -> None:
        """Keep a figure as figures/<name>.png."""
        self._client.log_figure(self.run_id, figure, f"figures/{checked('figure', name)}.png")

    def file(self, path: str | os.PathLike[str], folder: str = "") -> None:
        """Keep a copy of a file (an executed notebook, a report) below a folder of the run."""
        if not Path(path).is_file():
            raise NotFound("file", os.fspath(path))
        self._client.log_artifact(self.run_id, os.fspath(path), checked("folder", folder) if folder else None)

    def tags(self, values: Mapping[str, object]) -> None:
        """Note facts on the run."""
        for key, value in values.items():
            self._client.set_tag(self.run_id, key, str(value)[:LONGEST_VALUE])

    def tag(self, key: str) -> str:
        """One fact noted on the run; empty if there is none."""
        return str(self._client.get_run(self.run_id).data.tags.get(key, ""))

    def untag(self, key: str) -> None:
        """Take a fact off the run; nothing if it has none."""
        if self.tag(key):
            self._client.delete_tag(self.run_id, key)

    @property
    def running(self) -> bool:
        """Whether nobody has ended the run yet."""
        return self._client.get_run(self.run_id).info.status == "RUNNING"

    def end(self, status: Status = "FINISHED") -> None:
        """Write what waits and close the run; ending it again corrects the status."""
        self.flush()
        self._client.set_terminated(self.run_id, status)


def start(
    settings: Settings,
    experiment: str,
    name: str,
    *,
    parameters: Mapping[str, object] | None = None,
    tags: Mapping[str, object] | None = None,
) -> Tracked:
    """A new run, running. The experiment is made if it is new."""
    mlflow = client(settings)
    told = {key: str(value)[:LONGEST_VALUE] for key, value in (tags or {}).items()}
    run = mlflow.create_run(experiment_id(settings, experiment), run_name=name, tags=told)
    from mlflow.entities import Param

    params = [Param(key, str(value)[:LONGEST_VALUE]) for key, value in (parameters or {}).items()]
    for first in range(0, len(params), 100):  # MLflow's limit of a batch
        mlflow.log_batch(run.info.run_id, params=params[first : first + 100])
    return Tracked(settings, run.info.run_id)


def attach(settings: Settings, run_id: str) -> Tracked:
    """A run that exists already, to add to it or to end it. Raises NotFound."""
    from mlflow.exceptions import MlflowException

    try:
        client(settings).get_run(run_id)
    except MlflowException as error:
        raise NotFound("run in MLflow", run_id) from error
    return Tracked(settings, run_id)


def tagged(settings: Settings, experiment: str, key: str, value: str) -> list[Tracked]:
    """The runs of an experiment that bear this tag."""
    if not TAG.fullmatch(key) or "'" in value:
        raise BadInput("tag", found=f"{key}={value!r}", expected="a plain name, and a value without quotes")
    where = f"tags.`{key}` = '{value}'"
    found = client(settings).search_runs([experiment_id(settings, experiment)], where)
    return [Tracked(settings, run.info.run_id) for run in found]
