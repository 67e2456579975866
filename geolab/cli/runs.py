"""The commands about runs: list, show, logs, cancel, retry."""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from geolab import settings
from geolab.cli import output, running
from geolab.errors import BadInput, GeolabError, one_line
from geolab.settings import Settings


def add(parsers: Any) -> None:
    """Add the command with its verbs."""
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
        if "usage" in record:
            record["usage"] = ", ".join(f"{name} {value:g}" for name, value in record["usage"].items())
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
        return running.show_submitted(submitted, args.json)
    name = jobs.show(submitted.run_id, settings=found).notebook
    outcome = running.follow(name, submitted, found, quiet=args.json)
    if args.json:
        output.print_json(jobs.as_json(outcome))
    else:
        running.show_outcome(outcome)
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
