"""Commands about pipelines: plan, run, watch, report, pause, resume, stop."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from geolab import settings
from geolab.cli import output
from geolab.errors import BadInput

if TYPE_CHECKING:
    from geolab.jobs.ledger import Control, Ledger
    from geolab.pipeline.model import Pipeline
    from geolab.pipeline.watch import Figures
    from geolab.settings import Settings

WATCH_S = 1.0  # between figures
RECONCILE_S = 5.0  # between looks for runs whose owner is gone
FILE = "pipelines/yearly_change.yaml"


def add(parsers: Any) -> None:
    """Add the command with its verbs."""
    what = "stages x cells x years: planned whole, run, resumed, watched"
    pipeline = output.command(
        parsers, "pipeline", _no_verb, what=what, example=f"geolab pipeline plan {FILE}", json_output=False
    )
    verbs = pipeline.add_subparsers(title="verbs", metavar="VERB", parser_class=type(pipeline))
    _add_plan(verbs)
    _add_run(verbs)
    _add_status(verbs)
    _add_report(verbs)
    for verb, call, text in (
        ("pause", pause, "start no more runs; those in progress go on"),
        ("resume", resume, "start runs again after a pause"),
        ("stop", stop, "end all runs within seconds; the next `run` does them again"),
    ):
        _verb(verbs, verb, call, text)


def _verb(verbs: Any, name: str, call: Any, what: str, options: str = "") -> argparse.ArgumentParser:
    example = f"geolab pipeline {name} {FILE}{options}"
    one = output.command(verbs, name, call, what=what, example=example, json_output=name != "report")
    one.add_argument("file", metavar="FILE", help="a pipeline file (YAML)")
    return one


def _add_parameters(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("-p", dest="parameters", metavar="name=value", action="append", default=[], help=what)


def _add_plan(verbs: Any) -> None:
    text = "what would run and what is done already; nothing is started"
    plan = _verb(verbs, "plan", show_plan, text, " -p years=2021-2024")
    _add_parameters(plan, "a parameter of the pipeline")


def _add_run(verbs: Any) -> None:
    text = "run what is not done, until nothing is left; may be killed and run again at any time"
    run = _verb(verbs, "run", run_pipeline, text, " -p years=2021-2024 --workers 2")
    _add_parameters(run, "a parameter of the pipeline")
    run.add_argument("--engine", metavar="URL", default="", help="a Dask scheduler, such as tcp://host:8786")
    run.add_argument("--workers", type=_count, metavar="N", default=0, help="runs at once on this machine")
    run.add_argument("--retry-failed", action="store_true", help="also try again what has failed")


def _add_status(verbs: Any) -> None:
    status = _verb(verbs, "status", show_status, "how far it is, with the last run's parameters", " --watch")
    status.add_argument("--watch", action="store_true", help="go on until nothing runs any more")
    _add_parameters(status, "a parameter, if not as in the last run")


def _add_report(verbs: Any) -> None:
    text = "a page, table or document of all runs: times, use of the machine, errors, notebooks"
    report = _verb(verbs, "report", write_report, text, " --out report.html")
    report.add_argument("--out", metavar="PATH", required=True, help="a file .html, .csv or .json")
    _add_parameters(report, "a parameter, if not as in the last run")


def _count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 1000")
    return int(text)


def _no_verb(_args: argparse.Namespace) -> int:
    expected = "plan, run, status, report, pause, resume or stop"
    raise BadInput("geolab pipeline", found="no verb", expected=expected)


# ---------------------------------------------------------------- plan and run


def _given(args: argparse.Namespace) -> dict[str, str]:
    from geolab.cli.work import _assignment

    return dict(_assignment(text) for text in args.parameters)


def show_plan(args: argparse.Namespace) -> int:
    from geolab.cli import drawing
    from geolab.jobs.ledger import open_ledger
    from geolab.pipeline import search, spec, watch
    from geolab.pipeline.board import Board

    found = settings.load()
    pipeline = search.settled(spec.load(args.file, _given(args), found), found)
    board = Board(pipeline, found, open_ledger(found))
    board.refresh()
    if args.json:
        output.print_json(watch.summary(board))
    else:
        drawing.plan(pipeline, board)
    return 0


def run_pipeline(args: argparse.Namespace) -> int:
    from geolab.cli import drawing
    from geolab.jobs.ledger import open_ledger
    from geolab.pipeline import driver, search, spec, watch
    from geolab.pipeline.board import Board

    found = settings.load()
    pipeline = spec.load(args.file, _given(args), found)
    workers = args.workers or _workers(pipeline)
    if args.retry_failed:
        _tell_of_outdated(pipeline, found)
    drive = search.drive if pipeline.search else driver.drive
    made = drive(
        pipeline, settings=found, engine=args.engine, workers=workers, retry_failed=args.retry_failed
    )
    with closing(cast("Generator[Figures]", made)) as each:
        last = drawing.follow(each, quiet=args.json)
    pipeline = search.settled(pipeline, found)
    if args.json:
        board = Board(pipeline, found, open_ledger(found), keep_outdated=args.retry_failed)
        board.refresh()
        output.print_json(watch.summary(board))
    elif last is not None:
        drawing.outcome(last, args.file, pipeline.given)
        if pipeline.search:
            print(search.in_words(pipeline, found))
    return 0 if last is not None and last.done == last.total else 1


def _tell_of_outdated(pipeline: Pipeline, found: Settings) -> None:
    from geolab.jobs.ledger import open_ledger
    from geolab.pipeline.board import Board

    board = Board(pipeline, found, open_ledger(found))
    board.refresh()
    count = board.counts().get("outdated", 0)
    if count:
        why = "finished with another notebook, other values or inputs"
        text = f"{count:,} runs are outdated ({why}) and kept; a run without --retry-failed does them again"
        print(text, file=sys.stderr)


def _workers(pipeline: Pipeline) -> int:
    """The file's own parameter `workers`, if it has a number of that name."""
    value = pipeline.parameters.get("workers", 0)
    return value if type(value) is int and value > 0 else 0


# ---------------------------------------------------------------- status and report


def _as_last_run(args: argparse.Namespace) -> Pipeline:
    """The pipeline with the parameters of its last run, if none are given."""
    from geolab.pipeline import control

    return control.as_last_run(args.file, dict(_given(args)), settings.load())


def show_status(args: argparse.Namespace) -> int:
    from geolab.cli import drawing
    from geolab.jobs.ledger import open_ledger
    from geolab.jobs.reconcile import reconcile
    from geolab.pipeline import watch

    found = settings.load()
    ledger = open_ledger(found)
    pipeline = _as_last_run(args)
    if args.watch:
        return _watch(pipeline, found, ledger, as_json=args.json)
    reconcile(found, ledger)
    board = watch.board_of_now(pipeline, found)
    if args.json:
        output.print_json(watch.summary(board))
    else:
        drawing.status(watch.figures(pipeline, found, board))
    return 0


def _watch(pipeline: Pipeline, found: Settings, ledger: Ledger, *, as_json: bool) -> int:
    from geolab.cli import drawing
    from geolab.pipeline import watch

    each = _until_quiet(pipeline, found, ledger)
    if as_json:
        for one in each:
            print(json.dumps(watch.as_json(one), allow_nan=False), flush=True)
        return 0
    last = drawing.follow(each, quiet=False)
    if last is not None:
        drawing.status(last)
    return 0


def _until_quiet(pipeline: Pipeline, found: Settings, ledger: Ledger) -> Iterator[Figures]:
    """Figures, one a second, until nobody works on the pipeline any more."""
    from geolab.jobs.reconcile import reconcile
    from geolab.pipeline import watch

    looked = float("-inf")
    while True:
        if time.monotonic() - looked > RECONCILE_S:
            reconcile(found, ledger)
            looked = time.monotonic()
        now = watch.figures(pipeline, found)
        yield now
        if not now.driven and not now.running and not now.counts.get("queued", 0):
            return
        time.sleep(WATCH_S)


def write_report(args: argparse.Namespace) -> int:
    from geolab.jobs.ledger import open_ledger
    from geolab.jobs.reconcile import reconcile
    from geolab.pipeline import report

    found = settings.load()
    ledger = open_ledger(found)
    out = Path(args.out)
    report.check_name(out)
    pipeline = _as_last_run(args)
    reconcile(found, ledger)
    report.write(out, pipeline, found)
    print(f"wrote {out}")
    return 0


# ---------------------------------------------------------------- control


def pause(args: argparse.Namespace) -> int:
    return _told(args, _set(args, "paused"), "paused: no more runs start; those in progress go on")


def resume(args: argparse.Namespace) -> int:
    changed = _set(args, "active")
    return _told(args, changed, "active; where nobody drives it: geolab pipeline run, or geolab worker")


def stop(args: argparse.Namespace) -> int:
    from geolab.pipeline import control, spec

    name, file = spec.name_of(args.file), _file(args)
    left = control.stop(name, settings.load(), file=file)
    still = f"; {left} of its runs have not ended yet: see geolab pipeline status" if left else ""
    stopped = control.find(name, settings.load())
    _told(args, stopped, f"stopped; the next `geolab pipeline run` goes on from here{still}")
    return 1 if left else 0


def _set(args: argparse.Namespace, state: str) -> Control:
    """The pipeline's control, in a new state."""
    from geolab.pipeline import control, spec

    return control.set_state(spec.name_of(args.file), state, settings.load(), file=_file(args))


def _file(args: argparse.Namespace) -> str:
    return str(Path(args.file).expanduser().absolute())


def _told(args: argparse.Namespace, control: Control, text: str) -> int:
    if args.json:
        output.print_json({"name": control.name, "state": control.state})
    else:
        print(f"{control.name}: {text}")
    return 0
