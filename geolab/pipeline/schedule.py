"""A pipeline at fixed times: as a crontab line, a job of jupyter-scheduler, or a DAG of Airflow.

Each runs `geolab pipeline run FILE`, which goes on where an earlier run ended. Values of parameters are
data in all three: nothing in them is taken for shell, cron's %, Jinja or Python.
"""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from geolab.errors import BadInput
from geolab.pipeline import cron
from geolab.pipeline.model import Pipeline
from geolab.settings import Settings

LONGEST_LINE = 990  # Debian's cron cuts commands off at 998 characters


@dataclass(frozen=True)
class Schedule:
    """When a pipeline runs, and how. command: its words; no shell is meant to read them."""

    name: str
    cron: str
    timezone: str
    command: tuple[str, ...]
    home: Path


def of(
    pipeline: Pipeline,
    settings: Settings,
    *,
    times: str = "",
    timezone: str = "UTC",
    engine: str = "",
    workers: int = 0,
) -> Schedule:
    """The schedule of a pipeline. times: in cron's words, instead of the file's own. Raises BadInput."""
    times = times or pipeline.schedule
    if not times:
        remedy = 'add schedule: "0 3 * * 1" to the file, or give --cron'
        raise BadInput(pipeline.path.name, found="no schedule", expected="one", remedy=remedy)
    try:
        ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        expected = "the name of one, such as Europe/Berlin"
        raise BadInput("time zone", found=repr(timezone), expected=expected) from error
    command = [sys.executable, "-m", "geolab", "pipeline", "run", str(pipeline.path)]
    for name, value in pipeline.given.items():
        command += ["-p", f"{name}={_text(value)}"]
    command += ["--engine", engine] if engine else []
    command += ["--workers", str(workers)] if workers else []
    for word in command:
        if not word.isprintable():
            raise BadInput("schedule", found=f"{word!r}", expected="words of printable characters")
    return Schedule(pipeline.name, cron.checked(times), timezone, tuple(command), settings.home)


def _text(value: Any) -> str:
    """A value as `-p` reads it."""
    return value if isinstance(value, str) else json.dumps(value)


# ---------------------------------------------------------------- cron


def crontab(schedule: Schedule) -> str:
    """The line for `crontab -e`. Raises BadInput if cron would cut it off. Times are the machine's own."""
    logs = schedule.home / "logs"
    words = " ".join(map(_for_cron, schedule.command))
    home, log = _for_cron(str(schedule.home)), _for_cron(str(logs / f"{schedule.name}.log"))
    command = f"mkdir -p {_for_cron(str(logs))} && GEOLAB_HOME={home} {words} >> {log} 2>&1"
    if len(command.encode()) > LONGEST_LINE:
        raise BadInput(
            "schedule", found=f"a command of {len(command)} characters", expected=f"at most {LONGEST_LINE}",
            remedy="write the parameters into the pipeline's file",
        )  # fmt: skip
    return f"{schedule.cron} {command}"


def _for_cron(word: str) -> str:
    r"""The word as cron hands it to its shell: a bare % would end the command.

    The quotes before \% end and begin a quoted text. Without them a word with a backslash before its %
    would escape cron's escape.
    """
    quoted = shlex.quote(word)
    return (
        (quoted if quoted.startswith("'") else f"'{quoted}'").replace("%", "''\\%") if "%" in word else quoted
    )


# ---------------------------------------------------------------- jupyter-scheduler


def jupyter(schedule: Schedule) -> dict[str, Any]:
    """The body of POST /scheduler/job_definitions. It names the notebook that `notebook` gives.

    No parameters: jupyter-scheduler 2.12 puts their texts into the notebook as Python, unquoted.
    """
    return {
        "name": schedule.name,
        "input_uri": notebook_name(schedule),
        "runtime_environment_name": _environment_name(),
        "output_formats": ["ipynb"],
        "tags": ["geolab"],
        "schedule": schedule.cron,
        "timezone": schedule.timezone,
    }


def _environment_name() -> str:
    """What jupyter-scheduler 2.12 calls this environment: a conda environment's name, or python's."""
    in_conda = Path(sys.prefix, "conda-meta").is_dir()
    return Path(sys.prefix if in_conda else sys.executable).name


def notebook_name(schedule: Schedule) -> str:
    """The file name of the notebook that a job of jupyter-scheduler executes."""
    return f"{schedule.name}-scheduled.ipynb"


def notebook(schedule: Schedule) -> str:
    """The notebook that a job of jupyter-scheduler executes: it fails when the pipeline does."""
    told = f"# {schedule.name}\n\nRuns the pipeline.\n\nReads and writes what its stages do."
    home, command = str(schedule.home), json.dumps(schedule.command)
    defaults = f"home: str = {home!a}  # the workspace\ncommand: str = {command!a}  # words, as JSON"
    work = (
        "import json\nimport os\nimport subprocess\n\n"
        'environment = os.environ | {"GEOLAB_HOME": home}\n'
        "subprocess.run(json.loads(command), env=environment, check=True)"
    )
    cells = [_cell("markdown", told), _cell("code", defaults, "parameters"), _cell("code", work)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    made = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(made, indent=1) + "\n"


def _cell(kind: str, source: str, *tags: str) -> dict[str, Any]:
    cell = {
        "cell_type": kind,
        "id": f"{kind}-{len(source)}",
        "metadata": {"tags": list(tags)} if tags else {},
    }
    code = {"outputs": [], "execution_count": None} if kind == "code" else {}
    return cell | code | {"source": source}


# ---------------------------------------------------------------- Airflow

_DAG = '''"""The pipeline {name} as a DAG, written by `geolab schedule`; for Airflow 2.4 and later, and 3."""

import datetime
import os
import subprocess
import zoneinfo

try:
    from airflow.sdk import DAG, task
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.decorators import task

COMMAND = {command}
ENVIRONMENT = {environment}

with DAG(
    dag_id={dag_id},
    schedule={cron},
    start_date=datetime.datetime(2024, 1, 1, tzinfo=zoneinfo.ZoneInfo({timezone})),
    catchup=False,
    max_active_runs=1,
    tags=["geolab"],
) as dag:

    @task(task_id="run", retries=0)
    def run():
        subprocess.run(COMMAND, env=os.environ | ENVIRONMENT, check=True)

    run()
'''


def airflow(schedule: Schedule) -> str:
    """The text of a DAG file for Airflow's folder of DAGs."""
    words = "".join(f"    {word!a},\n" for word in schedule.command)
    return _DAG.format(
        name=schedule.name,
        command=f"[\n{words}]",
        environment=ascii({"GEOLAB_HOME": str(schedule.home)}),
        dag_id=ascii(schedule.name),
        cron=ascii(schedule.cron),
        timezone=ascii(schedule.timezone),
    )
