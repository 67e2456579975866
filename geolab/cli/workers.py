"""The command about workers: processes that do what others have queued."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from geolab import settings
from geolab.cli import output
from geolab.errors import BadInput


def add(parsers: Any) -> None:
    """Add the command."""
    worker = output.command(
        parsers,
        "worker",
        work,
        what="do what is queued in the ledger, highest priority first, until stopped",
        example="geolab worker --workers 4",
        json_output=False,
    )
    worker.add_argument("--workers", type=int, metavar="N", help="processes, each doing one run (1)")
    worker.add_argument("--once", action="store_true", help="end when nothing is left to do")
    worker.add_argument(
        "--engine", default="", metavar="URL", help="do what a Dask scheduler sends, such as tcp://host:8786"
    )


def work(args: argparse.Namespace) -> int:
    if args.workers is not None and args.workers < 1:
        raise BadInput("--workers", found=args.workers, expected="a number of at least 1")
    found = settings.load()
    if args.engine:
        if args.once:
            raise BadInput("--once", found="--engine too", expected="one of them")
        from geolab.pipeline import dask

        dask.worker(args.engine, found, args.workers or 0)
        return 0
    from geolab.jobs import logs, serving

    logs.configure()
    print(f"working for {found.home}: Ctrl-C ends it", file=sys.stderr)
    return serving.supervise(found, workers=args.workers or 1, once=args.once)
