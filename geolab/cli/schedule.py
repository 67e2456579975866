"""The command schedule: a pipeline at fixed times, in the words of three schedulers."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from geolab import settings, store
from geolab.cli import output
from geolab.errors import BadInput

FORMATS = ("crontab", "jupyter", "airflow")


def add(parsers: Any) -> None:
    """Add the command."""
    made = output.command(
        parsers,
        "schedule",
        show,
        what="a pipeline at fixed times: as crontab line, job of jupyter-scheduler and DAG of Airflow",
        example='geolab schedule pipelines/yearly_change.yaml --cron "0 3 * * 1" --format crontab',
    )
    made.add_argument("file", metavar="FILE", help="a pipeline file, with schedule: or --cron")
    made.add_argument("-p", dest="parameters", metavar="name=value", action="append", default=[])
    made.add_argument("--cron", default="", metavar="TIMES", help="instead of the file's own schedule")
    made.add_argument(
        "--timezone", default="UTC", metavar="NAME", help="of the times; cron has the machine's"
    )
    made.add_argument("--format", choices=FORMATS, help="only one of the three")
    made.add_argument("--engine", default="", metavar="URL", help="as for `geolab pipeline run`")
    made.add_argument("--workers", type=int, default=0, metavar="N")
    made.add_argument("--out", type=Path, metavar="DIR", help="write files there instead of printing")


def show(args: argparse.Namespace) -> int:
    from geolab.cli.work import _assignment
    from geolab.pipeline import schedule, spec

    given = dict(_assignment(text) for text in args.parameters)
    pipeline = spec.load(args.file, given)
    found = schedule.of(
        pipeline,
        settings.load(),
        times=args.cron,
        timezone=args.timezone,
        engine=args.engine,
        workers=args.workers,
    )
    wanted: list[str] = [args.format] if args.format else list(FORMATS)
    if args.out:
        for path in _write(args.out, found, wanted):
            print(path)
    elif args.json:
        made = {name: _made(name, found) for name in wanted}
        output.print_json({"name": found.name, "cron": found.cron, "command": found.command} | made)
    else:
        print("\n".join(_section(name, found, alone=len(wanted) == 1) for name in wanted), end="")
    return 0


def _made(name: str, found: Any) -> Any:
    from geolab.pipeline import schedule

    return {"crontab": schedule.crontab, "jupyter": schedule.jupyter, "airflow": schedule.airflow}[name](
        found
    )


_ABOUT = {
    "crontab": "crontab -e (the machine's own time zone)",
    "jupyter": "POST /scheduler/job_definitions of a Jupyter server; --out DIR writes its notebook",
    "airflow": "a file in Airflow's folder of DAGs",
}


def _section(name: str, found: Any, *, alone: bool) -> str:
    made = _made(name, found)
    text = json.dumps(made, indent=2) if isinstance(made, dict) else made.rstrip("\n")
    return f"{text}\n" if alone else f"# {name}: {_ABOUT[name]}\n\n{text}\n"


def _write(folder: Path, found: Any, wanted: list[str]) -> list[Path]:
    """The files written, none of which was there before."""
    from geolab.pipeline import schedule

    files: dict[Path, str] = {}
    for name in wanted:
        made = _made(name, found)
        if name == "jupyter":
            files[folder / f"{found.name}-job.json"] = json.dumps(made, indent=2) + "\n"
            files[folder / schedule.notebook_name(found)] = schedule.notebook(found)
        else:
            ending = {"crontab": ".crontab", "airflow": "_dag.py"}[name]
            files[folder / f"{found.name}{ending}"] = made.rstrip("\n") + "\n"
    for path in files:
        if path.exists():
            raise BadInput(
                "--out", found=f"{path}, which is there", expected="a new file", remedy="remove it"
            )
    for path, text in files.items():
        store.write_bytes(path, text.encode())
    return list(files)
