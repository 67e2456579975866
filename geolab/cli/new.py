"""The command new: a notebook of one's own that is a job from the start."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from geolab.cli import output


def add(parsers: Any) -> None:
    """Add the command."""
    new = output.command(
        parsers,
        "new",
        make,
        what="a new notebook here, from a template or a copy of another one",
        example="geolab new my_study --from 04_detect_change",
    )
    new.add_argument("name", metavar="NAME", help="of the notebook: letters, digits, '.', '_' and '-'")
    new.add_argument("--from", dest="like", default="", metavar="NOTEBOOK", help="what to copy")


def make(args: argparse.Namespace) -> int:
    from geolab.jobs import newbook

    path = newbook.create(args.name, Path.cwd(), like=args.like)
    if args.json:
        output.print_json({"notebook": str(path)})
    else:
        print(f"{path.name}: open it in JupyterLab, or run it: geolab run ./{path.name}")
    return 0
