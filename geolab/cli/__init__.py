"""The command `geolab`: reads arguments, calls the package, prints.

Exit codes: 0 done, 1 a run failed, 2 a mistake in what was typed or given (one line on stderr).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from geolab import __version__
from geolab.errors import GeolabError, one_line


class Parser(argparse.ArgumentParser):
    """argparse whose mistakes are one line that begins with `error:`."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {one_line(message)}; see {self.prog} --help\n")


def commands() -> list[str]:
    """The names of all commands."""
    return list(_subparsers(_parser()).choices)


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code of one command."""
    try:
        args = _parser().parse_args(_joined(sys.argv[1:] if argv is None else argv))
        if not hasattr(args, "call"):
            _parser().print_help()
            return 2
        return args.call(args)
    except GeolabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def _joined(argv: Sequence[str]) -> list[str]:
    """The arguments with `--bbox -98,30,-97,31` as one: argparse takes a leading minus for an option."""
    joined: list[str] = []
    for word in argv:
        if joined and joined[-1] == "--bbox" and not word.startswith("--"):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _parser() -> Parser:
    from geolab.cli import data, doctor, grid, new, pipelines, schedule, splats, work, workers

    parser = Parser(
        prog="geolab",
        description="Change detection and Gaussian splats for Earth observation, in notebooks that run.",
        epilog="Begin with: geolab demo",
    )
    parser.add_argument("--version", action="version", version=f"geolab {__version__}")
    made: Any = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=Parser)
    for part in (
        work.add_demo,
        data.add,
        grid.add,
        work.add,
        new.add,
        pipelines.add,
        workers.add,
        schedule.add,
        splats.add,
        doctor.add,
    ):
        part(made)
    return parser


def _subparsers(parser: Parser) -> Any:
    return next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
