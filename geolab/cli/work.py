"""Commands about work: demo, notebooks, run, runs."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from geolab import settings
from geolab.cli import output
from geolab.errors import BadInput, GeolabError, one_line
from geolab.settings import Settings

if TYPE_CHECKING:
    from geolab.jobs import Outcome, Submitted


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
    _add_terms(run)

    _add_runs(parsers)


def _add_terms(run: argparse.ArgumentParser) -> None:
    """How a run is to be done: limits, further attempts, who waits for it."""
    run.add_argument("--timeout", type=float, metavar="S", help="stop the run after so many seconds")
    run.add_argument(
        "--memory-limit", type=_megabytes, metavar="SIZE", help="stop it above this, such as 4GB or 500MB"
    )
    run.add_argument("--retries", type=int, default=0, metavar="N", help="further attempts after a failure")
    run.add_argument(
        "--backoff",
        type=float,
        default=10,
        metavar="S",
        help="wait before the first of them, then twice as long",
    )
    run.add_argument("--priority", type=int, default=0, metavar="N", help="with --queue: higher ones first")
    when = run.add_mutually_exclusive_group()
    when.add_argument("--detach", action="store_true", help="do not wait: it goes on without this terminal")
    when.add_argument("--queue", action="store_true", help="leave it to a `geolab worker`")


def _megabytes(text: str) -> float:
    """A size such as 4GB, 500MB or 0.5TB in units of 1e6 bytes."""
    found = re.fullmatch(r"([0-9.]+)\s*([MGT])i?B?", text.strip(), re.IGNORECASE)
    if found is None:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a size such as 4GB or 500MB")
    return float(found[1]) * {"M": 1.0, "G": 1e3, "T": 1e6}[found[2].upper()]


def _add_runs(parsers: Any) -> None:
    example = "geolab runs --state failed"
    runs = output.command(parsers, "runs", list_runs, what="the runs so far", example=example)
    runs.add_argument("--state", choices=["queued", "running", "succeeded", "failed", "cancelled", "lost"])
    verbs = runs.add_subparsers(title="one run", metavar="show|logs|cancel|retry", parser_class=type(runs))
    for verb, call, what in (
        ("show", show_run, "all that is known of one run"),
        ("logs", print_log, "its log; -f follows it"),
        ("cancel", cancel_run, "stop it"),
    ):
        one = output.command(verbs, verb, call, what=what, example=f"geolab runs {verb} ID")
        one.add_argument("id", metavar="ID")
        if verb == "logs":
            one.add_argument("-f", dest="follow", action="store_true", help="go on until the run ends")
    what, example = "try a run that did not succeed once more", "geolab runs retry --failed"
    again = output.command(verbs, "retry", retry_run, what=what, example=example)
    again.add_argument("id", metavar="ID", nargs="?")
    again.add_argument("--failed", action="store_true", help="all whose last attempt failed or was lost")
    again.add_argument("--detach", action="store_true", help="do not wait for the end")


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
    terms = {
        "force": args.force,
        "timeout_s": args.timeout,
        "memory_mb": args.memory_limit,
        "retries": args.retries,
        "backoff_s": args.backoff,
    }
    if args.queue:
        return _show_submitted(
            jobs.enqueue(args.name, texts, settings=found, priority=args.priority, **terms), args.json
        )
    if args.detach:
        return _show_submitted(jobs.submit(args.name, texts, settings=found, **terms), args.json)
    outcome = execute(args.name, texts, settings=found, quiet=args.json, **terms)
    if args.json:
        output.print_json(jobs.as_json(outcome))
    else:
        show_outcome(outcome)
    return 0 if outcome.state == "succeeded" else 1


def _show_submitted(submitted: Submitted, as_json: bool) -> int:
    from geolab import jobs

    if as_json:
        output.print_json(jobs.as_json(submitted))
    else:
        print(submitted.run_id)
    return 0


def execute(
    name: str,
    parameters: Mapping[str, Any],
    *,
    settings: Settings,
    force: bool = False,
    timeout_s: float | None = None,
    memory_mb: float | None = None,
    retries: int = 0,
    backoff_s: float = 10,
    quiet: bool = False,
) -> Outcome:
    """The outcome of a run, its progress drawn while it lasts; Ctrl-C cancels it."""
    from geolab import jobs

    terms = {"timeout_s": timeout_s, "memory_mb": memory_mb, "retries": retries, "backoff_s": backoff_s}
    while True:
        submitted = jobs.submit(name, parameters, settings=settings, force=force, **terms)
        outcome = _follow(name, submitted, settings, quiet=quiet)
        if not (submitted.reused and outcome.state in ("cancelled", "lost")):
            return outcome  # else: somebody else's was stopped: our turn


def _follow(name: str, submitted: Submitted, settings: Settings, *, quiet: bool) -> Outcome:
    """The outcome of a run, or of the attempt that followed it last; Ctrl-C cancels what is ours."""
    from geolab import jobs

    run_id = submitted.run_id
    try:
        while True:
            _draw(name, run_id, settings, quiet=quiet)
            outcome = jobs.wait(run_id, settings=settings, reused=submitted.reused)
            following = jobs.successor(outcome, settings=settings)
            if not following:
                return outcome
            run_id = following
            if not quiet:
                print(f"{one_line(outcome.error, 120)}; trying again", file=sys.stderr)
    except KeyboardInterrupt:
        if not submitted.reused:
            jobs.cancel(run_id, settings=settings)
        raise


def _draw(name: str, run_id: str, settings: Settings, *, quiet: bool) -> None:
    """A line with the progress of a run, until it has ended."""
    from geolab import jobs

    with output.progress(quiet=quiet) as bar:
        task = bar.add_task(name, total=None)
        for event in jobs.watch(run_id, settings=settings):
            if event["event"] == "progress" and event["total"]:
                what = f"{name}  {one_line(event['what'], 60)}"
                bar.update(task, completed=event["done"], total=event["total"], description=what)


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
    if args.json:  # one object per line: they can be read while they come
        for line in jobs.log_lines(args.id, follow=args.follow, settings=found):
            print(json.dumps(line), flush=True)
        return 0
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


def retry_run(args: argparse.Namespace) -> int:
    from geolab import jobs

    found = settings.load()
    if bool(args.id) == args.failed or (args.failed and args.detach):
        given = "an ID and --failed" if args.id and args.failed else "--detach" if args.detach else "neither"
        raise BadInput("runs retry", found=given, expected="ID [--detach], or --failed")
    if args.failed:
        return _retry_failed(found, as_json=args.json)
    submitted = jobs.retry(args.id, settings=found)
    if args.detach:
        return _show_submitted(submitted, args.json)
    name = jobs.show(submitted.run_id, settings=found).notebook
    outcome = _follow(name, submitted, found, quiet=args.json)
    if args.json:
        output.print_json(jobs.as_json(outcome))
    else:
        show_outcome(outcome)
    return 0 if outcome.state == "succeeded" else 1


def _retry_failed(found: Settings, *, as_json: bool) -> int:
    """Try all that failed once more, as many at once as the settings say."""
    from geolab import jobs

    def again(run_id: str) -> dict[str, Any]:
        try:
            submitted = jobs.retry(run_id, settings=found)
            outcome = jobs.wait(submitted.run_id, settings=found, reused=submitted.reused)
            return {"retried": run_id} | jobs.as_json(outcome)
        except GeolabError as problem:
            return {"retried": run_id, "run_id": "", "state": "refused", "error": str(problem)}

    wanted = jobs.to_retry(settings=found)
    with ThreadPoolExecutor(found.worker_count()) as pool:
        rows = list(pool.map(again, wanted))
    if as_json:
        output.print_json(rows)
    else:
        table = [(r["retried"], r["run_id"], r["state"], one_line(r.get("error", ""), 90)) for r in rows]
        output.table(["run", "tried again as", "state", "error"], table)
    return 0 if all(row["state"] == "succeeded" for row in rows) else 1
