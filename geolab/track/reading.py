"""What was recorded, for those who compare: runs with their last values, histories, figures."""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geolab.errors import BadInput, NotFound
from geolab.settings import Settings
from geolab.track.client import client, recorded

if TYPE_CHECKING:
    from mlflow.entities import Run

MOST_RUNS = 1000
MOST_POINTS = 500  # of one history; a longer one is thinned evenly, its ends kept
LARGEST_FIGURE_BYTES = 8 << 20
_FIGURE = re.compile(r"figures/[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\.png")


@dataclass(frozen=True)
class Summary:
    """One recorded run. status: RUNNING, FINISHED, FAILED, KILLED or SCHEDULED; times: seconds since 1970.

    parameters: as texts. metrics: the last value of each, those that are no number left out.
    """

    run_id: str
    name: str
    experiment: str
    experiment_id: str
    status: str
    started: float = 0.0
    ended: float | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


def experiments(settings: Settings) -> dict[str, str]:
    """The names of the experiments that hold runs or may, with their ids."""
    if not recorded(settings):
        return {}
    found = client(settings).search_experiments()
    return {e.name: str(e.experiment_id) for e in sorted(found, key=lambda e: e.name)}


def runs(settings: Settings, experiment: str = "", *, limit: int = 200) -> list[Summary]:
    """The recorded runs, the newest first; of one experiment if it is named. Raises NotFound, BadInput."""
    if not 1 <= limit <= MOST_RUNS:
        raise BadInput("limit", found=limit, expected=f"a number from 1 to {MOST_RUNS}")
    known = experiments(settings)
    if experiment and experiment not in known:
        raise NotFound("experiment", experiment, known=known)
    wanted = {known[experiment]: experiment} if experiment else {i: name for name, i in known.items()}
    if not wanted:
        return []
    found = client(settings).search_runs(
        list(wanted), max_results=limit, order_by=["attributes.start_time DESC"]
    )
    return [_summary(run, wanted) for run in found]


def run(settings: Settings, run_id: str) -> Summary:
    """One recorded run. Raises NotFound."""
    from mlflow.exceptions import MlflowException

    try:
        found = client(settings).get_run(run_id)
        name = client(settings).get_experiment(found.info.experiment_id).name
    except MlflowException as error:
        raise NotFound("run in MLflow", run_id) from error
    return _summary(found, {str(found.info.experiment_id): name})


def _summary(run: Run, names: Mapping[str, str]) -> Summary:
    info, data = run.info, run.data
    experiment_id = str(info.experiment_id)
    return Summary(
        run_id=info.run_id,
        name=info.run_name or "",
        experiment=names.get(experiment_id, ""),
        experiment_id=experiment_id,
        status=str(info.status),
        started=(info.start_time or 0) / 1000,
        ended=info.end_time / 1000 if info.end_time else None,
        parameters=dict(data.params),
        metrics={name: value for name, value in data.metrics.items() if math.isfinite(value)},
        tags={k: v for k, v in data.tags.items() if not k.startswith("mlflow.")},
    )


def history(settings: Settings, run_id: str, metric: str) -> list[tuple[int, float]]:
    """(step, value) of one metric in the order of its steps, finite values only, at most `MOST_POINTS`."""
    told = client(settings).get_metric_history(run_id, metric)
    points = sorted((int(m.step), float(m.value)) for m in told if math.isfinite(m.value))
    return thinned(points)


def thinned(points: list[Any], most: int = MOST_POINTS) -> list[Any]:
    """At most so many points, evenly chosen, the first and the last among them."""
    if len(points) <= most:
        return points
    last = len(points) - 1
    return [points[round(i * last / (most - 1))] for i in range(most)]


def figures(settings: Settings, run_id: str) -> list[str]:
    """The paths of the figures of a run: figures/<name>.png."""
    from mlflow.exceptions import MlflowException

    try:
        listed = client(settings).list_artifacts(run_id, "figures")
    except MlflowException as error:
        raise NotFound("run in MLflow", run_id) from error
    return sorted(f.path for f in listed if not f.is_dir and _FIGURE.fullmatch(f.path))


def figure(settings: Settings, run_id: str, path: str) -> bytes:
    """The PNG of one of `figures`. Raises NotFound, BadInput."""
    from mlflow.artifacts import download_artifacts

    if path not in figures(settings, run_id):
        raise NotFound("figure", path)
    with tempfile.TemporaryDirectory(prefix="geolab-figure-") as folder:
        kept = download_artifacts(
            run_id=run_id, artifact_path=path, dst_path=folder, tracking_uri=settings.tracking_uri
        )
        return _png(Path(kept), path)


def _png(file: Path, name: str) -> bytes:
    if file.stat().st_size > LARGEST_FIGURE_BYTES:
        raise BadInput("figure", found=f"{name} of {file.stat().st_size:,} bytes", expected="at most 8 MiB")
    data = file.read_bytes()
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        raise BadInput("figure", found=name, expected="a PNG")
    return data
