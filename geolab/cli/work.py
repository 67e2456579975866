"""Commands about work: demo, notebooks, run, runs."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Any

from geolab import settings
from geolab.cli import output, running, runs
from geolab.errors import BadInput

if TYPE_CHECKING:
    pass


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

    runs.add(parsers)


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
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([MGT])i?B?", text.strip(), re.IGNORECASE)
    if found is None:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a size such as 4GB or 500MB")
    return float(found[1]) * {"M": 1.0, "G": 1e3, "T": 1e6}[found[2].upper()]


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
        return running.show_submitted(
            jobs.enqueue(args.name, texts, settings=found, priority=args.priority, **terms), args.json
        )
    if args.detach:
        return running.show_submitted(jobs.submit(args.name, texts, settings=found, **terms), args.json)
    outcome = running.execute(args.name, texts, settings=found, quiet=args.json, **terms)
    if args.json:
        output.print_json(jobs.as_json(outcome))
    else:
        running.show_outcome(outcome)
    return 0 if outcome.state == "succeeded" else 1


def _assignment(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name.isidentifier():
        raise BadInput("-p", found=repr(text), expected="name=value, such as -p epochs=3")
    return name, value
