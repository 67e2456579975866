"""What the terminal shows: tables, progress lines, JSON. Loads rich only when something is drawn."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from geolab.errors import one_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

STATE_STYLE = {
    "succeeded": "green",
    "running": "blue",
    "queued": "blue",
    "failed": "red",
    "lost": "red",
    "cancelled": "yellow",
    "added": "green",
    "updated": "blue",
    "rejected": "red",
}


def command(
    parsers: Any, name: str, call: Any, *, what: str, example: str, json_output: bool = True
) -> argparse.ArgumentParser:
    """A sub-command's parser, with an example in its help."""
    parser = parsers.add_parser(
        name,
        help=what,
        description=what,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if json_output:
        parser.add_argument("--json", action="store_true", help="print JSON for machines")
    parser.set_defaults(call=call)
    return parser


def console(*, stderr: bool = False) -> Console:
    """rich on a terminal, plain text elsewhere; NO_COLOR is respected."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else 200
    return Console(stderr=stderr, highlight=False, soft_wrap=True, width=width, emoji=False, markup=False)


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    print(json.dumps(value, indent=2, ensure_ascii=True, allow_nan=False))


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, numbers: Sequence[str] = ()) -> None:
    """A table; columns named in `numbers` are right-aligned, states are coloured."""
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in columns:
        made.add_column(name, justify="right" if name in numbers else "left", overflow="fold")
    for row in rows:
        made.add_row(*(Text(one_line(v), style=STATE_STYLE.get(str(v), "")) for v in row))
    console().print(made)


@contextmanager
def progress(*, quiet: bool) -> Iterator[Progress]:
    """A progress line on stderr: what, bar, count, rate time left. Nothing when quiet or not a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = [
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    ]
    shown = console(stderr=True)
    with Progress(*columns, console=shown, transient=True, disable=quiet or not shown.is_terminal) as bar:
        yield bar


def duration(seconds: float | None) -> str:
    """12 s, 3 min 05 s, 2 h 10 min; empty for None."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def number(value: Any) -> str:
    """A result for reading: sensible digits, thousands separated."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 1 else f"{value:.3f}"
