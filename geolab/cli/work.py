"""Commands about work: demo, notebooks, run, runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from geolab import settings
from geolab.cli import output
from geolab.errors import BadInput, one_line
from geolab.settings import Settings

if TYPE_CHECKING:
    from geolab.jobs import Outcome


def add_demo(parsers: Any) -> None:
    """Add the command that newcomers type first."""
    output.command(
        parsers,
        "demo",
        run_demo,
        what="the whole path on the sample world: images, catalogue, model, change map",
        example="GEOLAB_HOME=/tmp/demo geolab demo",
    )


def add(parsers: Any) -> None:
    """Add the other commands."""
    notebooks = output.command(
        parsers,
        "notebooks",
        list_notebooks,
        what="what can be run, with every parameter's type, default and help",
        example="geolab notebooks 04_detect_change",
    )
    notebooks.add_argument("name", metavar="NAME", nargs="?")

    run = output.command(
        parsers,
        "run",
        run_notebook,
        what="run a notebook as a job: checked, recorded, found again",
        example="geolab run 04_detect_change -p before=town-2021-06-12 -p after=town-2024-08-15",
    )
    run.add_argument("name", metavar="NAME", help="a name from `geolab notebooks`, or an .ipynb file")
    run.add_argument("-p", dest="parameters", metavar="name=value", action="append", default=[])
    run.add_argument("--force", action="store_true", help="run again even if the same run is finished")
    run.add_argument("--timeout", type=float, metavar="S", help="stop the run after so many seconds")

    _add_runs(parsers)


def _add_runs(parsers: Any) -> None:
    example = "geolab runs --state failed"
    runs = output.command(parsers, "runs", list_runs, what="the runs so far", example=example)
    runs.add_argument("--state", choices=["queued", "running", "succeeded", "failed", "cancelled", "lost"])
    verbs = runs.add_subparsers(title="one run", metavar="show|logs|cancel", parser_class=type(runs))
    for verb, call, what in (
        ("show", show_run, "all that is known of one run"),
        ("logs", print_log, "its log; -f follows it"),
        ("cancel", cancel_run, "stop it"),
    ):
        one = output.command(
            verbs, verb, call, what=what, example=f"geolab runs {verb} ID", json_output=verb != "logs"
        )
        one.add_argument("id", metavar="ID")
        if verb == "logs":
            one.add_argument("-f", dest="follow", action="store_true", help="go on until the run ends")


def run_demo(args: argparse.Namespace) -> int:
    from geolab.cli import demo

    return demo.show(settings.load(), as_json=args.json)


def list_notebooks(args: argparse.Namespace) -> int:
    from geolab import jobs

    if args.name is None:
        contracts = [jobs.contract(path) for path in jobs.notebooks().values()]
        if args.json:
            output.print_json([_contract(c) for c in contracts])
        else:
            output.table(["notebook", "purpose"], [(c.name, c.summary) for c in contracts])
        return 0
    contract = jobs.contract(jobs.find_notebook(args.name))
    if args.json:
        output.print_json(_contract(contract))
        return 0
    print(f"{contract.name}: {contract.summary}\n")
    rows = [(p.name, p.type, _literal(p.default), p.kind, p.help) for p in contract.parameters]
    output.table(["parameter", "type", "default", "values", "help"], rows)
    return 0


def _contract(contract: Any) -> dict[str, Any]:
    parameters = [
        {"name": p.name, "type": p.type, "default": p.default, "help": p.help, "kind": p.kind}
        for p in contract.parameters
    ]
    return {
        "name": contract.name,
        "title": contract.title,
        "summary": contract.summary,
        "parameters": parameters,
    }


def _literal(value: Any) -> str:
    return repr(value) if isinstance(value, str) else str(value)


def run_notebook(args: argparse.Namespace) -> int:
    from geolab import jobs

    found = settings.load()
    texts = dict(_assignment(text) for text in args.parameters)
    outcome = execute(
        args.name, texts, settings=found, force=args.force, timeout_s=args.timeout, quiet=args.json
    )
    if args.json:
        output.print_json(jobs.as_json(outcome))
    else:
        show_outcome(outcome)
    return 0 if outcome.state == "succeeded" else 1


def execute(
    name: str,
    parameters: Mapping[str, Any],
    *,
    settings: Settings,
    force: bool = False,
    timeout_s: float | None = None,
    quiet: bool = False,
) -> Outcome:
    """The outcome of a run, its progress drawn while it lasts; Ctrl-C cancels it."""
    from geolab import jobs

    submitted = jobs.submit(name, parameters, settings=settings, force=force, timeout_s=timeout_s)
    try:
        with output.progress(quiet=quiet) as bar:
            task = bar.add_task(name, total=None)
            for event in jobs.watch(submitted.run_id, settings=settings):
                if event["event"] == "progress" and event["total"]:
                    what = f"{name}  {one_line(event['what'], 60)}"
                    bar.update(task, completed=event["done"], total=event["total"], description=what)
        outcome = jobs.wait(submitted.run_id, settings=settings, reused=submitted.reused)
    except KeyboardInterrupt:
        if not submitted.reused:
            jobs.cancel(submitted.run_id, settings=settings)
        raise
    if submitted.reused and outcome.state in ("cancelled", "lost"):  # somebody else's was stopped: our turn
        return execute(name, parameters, settings=settings, force=force, timeout_s=timeout_s, quiet=quiet)
    return outcome


def _assignment(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name.isidentifier():
        raise BadInput("-p", found=repr(text), expected="name=value, such as -p epochs=3")
    return name, value


def show_outcome(outcome: Outcome) -> None:
    """What a person wants to know of a run that has ended."""
    if outcome.state != "succeeded":
        print(outcome.error or f"the run is {outcome.state}", file=sys.stderr)
    reused = " (found: the same run was finished before; --force repeats it)" if outcome.reused else ""
    print(f"{outcome.state}{reused}")
    output.table(["result", "value"], [(k, output.number(v)) for k, v in (outcome.results or {}).items()])
    print(f"run {outcome.run_id} in {outcome.folder}")


def list_runs(args: argparse.Namespace) -> int:
    from geolab import jobs

    rows = jobs.runs(settings=settings.load(), state=args.state)
    if args.json:
        output.print_json([jobs.as_json(r) for r in rows])
        return 0
    columns = ["run", "notebook", "state", "created", "took"]
    table = [(r.run_id, r.notebook, r.state, r.created[:19], output.duration(r.seconds)) for r in rows]
    output.table(columns, table, numbers=["took"])
    return 0


def show_run(args: argparse.Namespace) -> int:
    from geolab import jobs

    record = jobs.as_json(jobs.show(args.id, settings=settings.load()))
    if args.json:
        output.print_json(record)
    else:
        output.table(["field", "value"], [(k, output.number(v)) for k, v in record.items() if v is not None])
    return 0


def print_log(args: argparse.Namespace) -> int:
    from geolab import jobs

    found = settings.load()
    pieces = jobs.follow(args.id, settings=found) if args.follow else [_log(args.id, found)]
    for text in pieces:
        sys.stdout.write(text)
        sys.stdout.flush()
    return 0


def _log(run_id: str, found: Settings) -> str:
    from geolab import jobs
    from geolab.jobs.failure import clean

    path = jobs.log_path(run_id, settings=found)
    return clean(path.read_text(encoding="utf-8", errors="replace").replace("\r", "\n"))


def cancel_run(args: argparse.Namespace) -> int:
    from geolab import jobs

    record = jobs.cancel(args.id, settings=settings.load())
    if args.json:
        output.print_json(jobs.as_json(record))
    else:
        print(f"run {record.run_id} is {record.state}")
    return 0
