"""What a notebook sees of its own run: a folder, its parameters, progress, and the report.

With a runner the folder is the run's private one, named by GEOLAB_RUN. Without (JupyterLab, nbmake)
it is a scratch folder `runs/<name>/scratch-...` in the workspace, so that the same notebook works.
"""

from __future__ import annotations

import json
import logging
import math
import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from geolab import settings as settings_module
from geolab import store
from geolab.errors import BadInput, FileRejected
from geolab.jobs import events, folders, ids
from geolab.jobs.stepfiles import RESULTS
from geolab.jobs.steps import Step, Steps
from geolab.settings import Settings

PROGRESS_EVERY_S = 0.1
METRIC_EVERY_S = 0.25


@dataclass
class Run:
    """The run of this notebook. Holds the time of the last progress event."""

    folder: Path
    settings: Settings
    name: str
    parameters: dict[str, Any] = field(default_factory=dict)
    id: str = ""  # empty without a runner
    key: str = ""  # empty without a runner
    attempt: int = 0  # 0 where it is not known
    _steps: Steps | None = field(default=None, repr=False)
    _last_progress: float = field(default=0.0, repr=False)
    _last_metric: dict[str, float] = field(default_factory=dict, repr=False)

    def path(self, name: str) -> Path:
        """The path of an output with this name, its folder made. Raises BadInput outside the run."""
        path = (self.folder / name).resolve()
        if not path.is_relative_to(self.folder.resolve()) or path == self.folder.resolve():
            raise BadInput("output", found=name, expected="a relative name inside the run's folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def checkpoints(self) -> Path:
        """A folder that stays until this work has succeeded: the next attempt may continue from it.

        Attempts with the same key share it, and no two of them run at once.
        """
        kept = folders.checkpoints(self.settings, self.key) if self.key else self.folder / "checkpoints"
        kept.mkdir(parents=True, exist_ok=True)
        return kept

    def step(self, name: str, *, depends: Any = None) -> Step:
        """A part of the work that is not done again when a killed run is taken up: see `geolab.jobs.steps`.

        depends: what it is made from: values, earlier steps, files (by content), or a dict or list of
        these; all earlier steps where nothing is said. Without a runner every step is done.
        """
        if self._steps is None:
            root = self.checkpoints() / "steps"
            self._steps = Steps(self.folder, root, self.key, self.id, self.attempt)
        return self._steps.step(name, depends)

    @property
    def open_step(self) -> str:
        """The name of the step whose body is being executed; empty outside of one."""
        step = self._steps.open if self._steps else None
        return step.name if step else ""

    def progress(self, done: float, total: float, what: str = "") -> None:
        """Record how far the work is; more than ten a second are thinned out."""
        now = time.monotonic()
        if now - self._last_progress >= PROGRESS_EVERY_S or done >= total:
            self._last_progress = now
            events.append(self.folder, "progress", done=_number(done), total=_number(total), what=what)

    def metric(self, name: str, value: float, step: int | None = None) -> None:
        """Record one value of a metric."""
        events.append(self.folder, "metric", name=name, value=_number(value), step=step)

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Record values of several metrics; of each more than four a second are thinned out."""
        now = time.monotonic()
        for name, value in values.items():
            if now - self._last_metric.get(name, float("-inf")) >= METRIC_EVERY_S:
                self._last_metric[name] = now
                self.metric(name, value, step)

    def log(self, text: str) -> None:
        """Record a remark."""
        events.append(self.folder, "log", text=str(text))

    def track(self, run_id: str) -> None:
        """Ask that the executed notebook and log be attached to this MLflow run when all is done."""
        events.append(self.folder, "tracked", run_id=run_id)


class _EventHandler(logging.Handler):
    """Puts what geolab logs into the events of a run."""

    def __init__(self, run: Run):
        super().__init__(logging.INFO)
        self.run = run

    def emit(self, record: logging.LogRecord) -> None:
        facts = {"level": record.levelname, "logger": record.name, "run_id": self.run.id}
        events.append(self.run.folder, "log", text=self.format(record), **facts)


_current: Run | None = None


def context() -> Run:
    """The run that this notebook is part of; without a runner, a new scratch folder."""
    global _current
    described = os.environ.get("GEOLAB_RUN")
    if described is None:
        _current = _scratch()
    elif _current is None:
        _current = _from_runner(Path(described))
    return _current


def _from_runner(described: Path) -> Run:
    try:
        facts = json.loads(described.read_bytes())
        facts.pop("inputs")
        run = Run(described.parent, settings_module.load(), **facts)
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise FileRejected(str(described), f"GEOLAB_RUN does not name a run ({error!r}); unset it") from error
    logger = logging.getLogger("geolab")
    logger.addHandler(_EventHandler(run))
    logger.setLevel(logging.INFO)
    return run


def _scratch() -> Run:
    settings = settings_module.load()
    # jupyter_server tells a kernel which notebook it serves
    served = Path(os.environ.get("JPY_SESSION_NAME", ""))
    name = served.stem if served.suffix == ".ipynb" else "notebook"
    folder = settings.runs / name / f"scratch-{ids.new()}"
    folder.mkdir(parents=True)
    return Run(folder, settings, name)


def report(**results: Any) -> None:
    """Hand over the results: the only way they leave a run. Call it once, in the last cell.

    Numbers, texts, booleans, None, and lists and dicts of them; paths become URIs, a number that is
    not finite becomes null. Raises BadInput for any other value or for a second call.
    """
    run = _current or context()
    target = run.folder / RESULTS
    if run.id and target.exists():
        raise BadInput("jobs.report", found="a second call", expected="one, in the last cell")
    if run.open_step:  # it would not be called when the step is found
        raise BadInput("jobs.report", found=f"a call inside step {run.open_step}", expected="one after it")
    plain = {name: plain_value(name, value, run.folder) for name, value in results.items()}
    _refuse_checkpoints(plain, run)
    handed_over = {"results": plain, "device": _device()}
    store.write_bytes(target, json.dumps(handed_over, ensure_ascii=False, allow_nan=False).encode())


def _refuse_checkpoints(value: Any, run: Run) -> None:
    """Raise BadInput for a path that is gone once the run has succeeded."""
    if not run.key:
        return
    kept = folders.checkpoints(run.settings, run.key)
    for one in _texts(value):
        if one.startswith((str(kept), kept.as_uri())):
            raise BadInput(
                "jobs.report", found=f"{one}, which is removed when the run has succeeded",
                expected="a file of the run", remedy="write it to run.path(...) before step.keep",
            )  # fmt: skip


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)


def _device() -> str:
    """The GPU that torch has used here; empty if it used none. Does not import torch."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return ""
    return str(torch.cuda.get_device_name())


def plain_value(name: str, value: Any, folder: Path) -> Any:
    """The value in JSON's types. Relative paths are relative to `folder`. Raises BadInput."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Path):
        return store.as_uri(folder / value)
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, dict):
        return {str(key): plain_value(f"{name}.{key}", one, folder) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain_value(f"{name}[{i}]", one, folder) for i, one in enumerate(value)]
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):  # a NumPy or torch scalar
        return plain_value(name, value.item(), folder)
    raise BadInput(
        f"result {name}",
        found=f"a {type(value).__name__}",
        expected="a number, text, boolean, None, path, or a list or dict of them",
        remedy="write anything larger to run.path(...) and report its path",
    )


def _number(value: Any) -> int | float | None:
    """A plain int or float; None when it is not finite, which JSON can't say."""
    if isinstance(value, int):
        return int(value)
    plain = float(value)
    return plain if math.isfinite(plain) else None
