"""How a pipeline looks in the terminal: its plan, its figures while it runs, what is left at the end."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from geolab.cli import output
from geolab.errors import one_line

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from geolab.pipeline.board import Board
    from geolab.pipeline.model import Pipeline
    from geolab.pipeline.watch import Figures, StageFigures

STYLE = output.STATE_STYLE | {
    "ready": "bold",
    "waiting": "dim",
    "outdated": "yellow",
    "blocked": "magenta",
}
MOST_ROWS = 60  # of a table of cells
MOST_RUNNING = 16
LINE_EVERY_S = 10.0  # of plain text
DO = ("ready", "lost", "cancelled", "outdated", "waiting")  # what a run would do
NOW = ("queued", "running")
BAR = 24


def counted(counts: Mapping[str, int]) -> Text:
    """3 succeeded, 1 failed: each in its colour."""
    from rich.text import Text

    parts = [Text(f"{count:,} {state}", STYLE.get(state, "")) for state, count in counts.items() if count]
    return Text(", ").join(parts)


def _table(columns: Iterable[str], numbers: Iterable[str] = ()) -> Table:
    from rich.table import Table

    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in columns:
        made.add_column(name, justify="right" if name in numbers else "left", overflow="fold")
    return made


# ---------------------------------------------------------------- the plan


def plan(pipeline: Pipeline, board: Board) -> None:
    """Stages with their counts, cells with their states, and how much there is to do."""
    from rich.text import Text

    shown = output.console()
    stages = _table(
        ["stage", "notebook", "for each", "runs", "done", "to do", "states"], ["runs", "done", "to do"]
    )
    for name, stage in pipeline.stages.items():
        counts = board.counts_of(name)
        todo, each = _sum(counts, DO), " x ".join(stage.each)
        facts = (
            name,
            stage.notebook.stem,
            each,
            f"{sum(counts.values()):,}",
            f"{_sum(counts, ['succeeded']):,}",
            f"{todo:,}",
        )
        stages.add_row(*(Text(one_line(fact)) for fact in facts), counted(counts))
    shown.print(stages)
    _cells(pipeline, board)
    shown.print()
    shown.print(Text(to_do(board.counts())))


def _sum(counts: Mapping[str, int], states: Iterable[str]) -> int:
    return sum(counts.get(state, 0) for state in states)


def to_do(counts: Mapping[str, int]) -> str:
    """What a run would do, in one line."""
    parts = [f"{sum(counts.values()):,} runs: {_sum(counts, ['succeeded']):,} done"]
    parts.append(
        f"{_sum(counts, DO):,} to do ({_sum(counts, [s for s in DO if s != 'waiting']):,} can start now)"
    )
    if _sum(counts, NOW):
        parts.append(f"{_sum(counts, NOW):,} queued or running")
    if counts.get("failed"):
        parts.append(f"{counts['failed']:,} failed (tried again with --retry-failed)")
    if counts.get("blocked"):
        parts.append(f"{counts['blocked']:,} blocked by them")
    if counts.get("outdated"):
        parts.append(
            f"{counts['outdated']:,} of those to do are outdated: finished with another notebook or values"
        )
    return ", ".join(parts)


def _cells(pipeline: Pipeline, board: Board) -> None:
    """One row for each value of the first axis, one column for each stage; not for very many."""
    from rich.text import Text

    axis = next((stage.each[0] for stage in pipeline.stages.values() if stage.each), "")
    if not axis:
        return
    shown = output.console()
    values = pipeline.axes[axis].labels
    if len(values) > MOST_ROWS:
        text = f"{len(values):,} values of {axis}: --json and `geolab pipeline report` have them all"
        shown.print(Text(f"\n{text}", "dim"))
        return
    table = _table([axis, *pipeline.stages])
    for name, found in _grouped(pipeline, board, axis).items():
        table.add_row(
            Text(one_line(name or "all")), *(counted(found.get(stage, {})) for stage in pipeline.stages)
        )
    shown.print()
    shown.print(table)


def _grouped(pipeline: Pipeline, board: Board, axis: str) -> dict[str, dict[str, Counter[str]]]:
    """Label on the axis ('' where a stage has it not) -> stage -> states counted."""
    found: dict[str, dict[str, Counter[str]]] = {one: {} for one in pipeline.axes[axis].labels}
    for row in board.rows():
        each = pipeline.stages[row.stage].each
        place = row.cell.split("/")[each.index(axis)] if axis in each else ""
        found.setdefault(place, {}).setdefault(row.stage, Counter())[row.state] += 1
    return found


# ---------------------------------------------------------------- figures


def status(figures: Figures) -> None:
    """The figures of one moment."""
    output.console().print(picture(figures))


def outcome(figures: Figures, file: str, given: Mapping[str, Any]) -> None:
    """How a pipeline ended, and what to type next. given: the parameters it was started with."""
    words = [f"-p {shlex.quote(f'{name}={_typed(value)}')}" for name, value in given.items()]
    command = " ".join(["geolab pipeline run", shlex.quote(file), *words])
    status(figures)
    failed, blocked = figures.counts.get("failed", 0), figures.counts.get("blocked", 0)
    if failed:
        which = f" and {blocked:,} that hang on them were not started" if blocked else ""
        again = f"{command} --retry-failed"
        text = f"{failed:,} of {figures.total:,} runs failed{which}; mend the cause, then: {again}"
        print(text, file=sys.stderr)
    elif figures.done < figures.total:
        print(
            f"{figures.total - figures.done:,} runs are left; {command} goes on",
            file=sys.stderr,
        )


def _typed(value: Any) -> str:
    """A parameter as -p takes it."""
    return value if isinstance(value, str) else json.dumps(value)


def follow(each: Iterable[Figures], *, quiet: bool) -> Figures | None:
    """The last of the figures, all drawn as they come: live on a terminal, else a line now and then."""
    if not quiet:
        each = _live(each) if output.console(stderr=True).is_terminal else _lines(each)
    last = deque(each, maxlen=1)
    return last.pop() if last else None


def _live(each: Iterable[Figures]) -> Iterator[Figures]:
    from rich.live import Live

    with Live(console=output.console(stderr=True), auto_refresh=False, transient=True) as live:
        for figures in each:
            live.update(picture(figures), refresh=True)
            yield figures


def _lines(each: Iterable[Figures]) -> Iterator[Figures]:
    """A line whenever counts have changed, at most one each ten seconds, and at the end."""
    told, before, line = float("-inf"), "", ""
    for figures in each:
        line = as_line(figures)
        if line != before and time.monotonic() - told >= LINE_EVERY_S:
            print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)
            told, before = time.monotonic(), line
        yield figures
    if line != before:
        print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def as_line(figures: Figures) -> str:
    """The counts of all stages on one line."""
    stages = ", ".join(f"{stage.name} {stage.done}/{stage.total}" for stage in figures.stages)
    others = {s: n for s, n in figures.counts.items() if s in ("running", "failed", "blocked", "lost") and n}
    left = f", about {output.duration(figures.eta_s)} left" if figures.eta_s else ""
    return "; ".join([stages, *(f"{count} {state}" for state, count in others.items())]) + left


def picture(figures: Figures) -> Group:
    """Stages with bars, rates and time left; what runs now; what has failed."""
    from rich.console import Group
    from rich.text import Text

    parts: list[Any] = [_heading(figures), _stages(figures.stages)]
    if figures.running:
        parts += [Text(), _running(figures)]
    if figures.failures:
        parts += [Text(), _failures(figures)]
    return Group(*parts)


def _heading(figures: Figures) -> Text:
    from rich.text import Text

    facts = [
        _state(figures),
        f"{figures.done:,} of {figures.total:,} done",
        f"{figures.executions:,} executions",
    ]
    if figures.eta_s:
        facts.append(f"about {output.duration(figures.eta_s)} left")
    if figures.engine:
        facts.append(f"engine {one_line(figures.engine, 60)}")
    if figures.dashboard:
        facts.append(f"dashboard {one_line(figures.dashboard, 80)}")
    return Text(one_line(figures.name), "bold") + Text("  " + " · ".join(facts), "not bold")


def _state(figures: Figures) -> str:
    if figures.driven or figures.running:
        return (
            "pausing"
            if figures.state == "paused" and figures.running
            else "paused"
            if figures.state == "paused"
            else "running"
        )
    return {"": "not run yet", "active": "idle"}.get(figures.state, figures.state)


def _stages(stages: Iterable[StageFigures]) -> Table:
    from rich.text import Text

    made = _table(
        ["stage", "", "done", "of", "per min", "each", "left", "states"],
        ["done", "of", "per min", "each", "left"],
    )
    for stage in stages:
        rate = f"{stage.rate_per_min:.1f}" if stage.rate_per_min else ""
        facts = (
            f"{stage.done:,}",
            f"{stage.total:,}",
            rate,
            output.duration(stage.mean_s),
            output.duration(stage.eta_s or None),
        )
        made.add_row(Text(stage.name), _bar(stage), *map(Text, facts), counted(stage.counts))
    return made


def _bar(stage: StageFigures) -> Text:
    """A bar of the parts that are done, in progress and failed."""
    from rich.text import Text

    total = max(stage.total, 1)
    plain = output.console(stderr=True)
    full, empty = ("━", "─") if plain.encoding.lower().startswith("utf") else ("#", "-")
    bar, used = Text(), 0
    for states, style in (
        (["succeeded"], "green"),
        (["failed", "blocked", "lost"], "red"),
        (["running"], "blue"),
    ):
        count = _sum(stage.counts, states)
        length = min(max(round(BAR * count / total), 1 if count else 0), BAR - used)
        bar.append(full * length, style)
        used += length
    return bar.append(empty * (BAR - used), "dim")


def _running(figures: Figures) -> Table:
    from rich.text import Text

    made = _table(
        ["running", "cell", "since", "done", "cpu", "memory", "gpu", "host", "doing"],
        ["since", "done", "cpu", "memory", "gpu"],
    )
    for one in figures.running[:MOST_RUNNING]:
        part = f"{100 * one.progress:.0f} %" if one.progress is not None else ""
        facts = (
            one.stage,
            one.cell,
            output.duration(one.seconds),
            part,
            _percent(one.cpu_pct),
            _memory(one.memory_mb),
            _percent(one.gpu_pct),
            one.host,
            one_line(one.doing, 60),
        )
        made.add_row(*(Text(one_line(fact)) for fact in facts))
    if len(figures.running) > MOST_RUNNING:
        made.add_row(Text(f"… {len(figures.running) - MOST_RUNNING:,} more", "dim"))
    return made


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.0f} %"


def _memory(mb: float | None) -> str:
    return "" if mb is None else f"{mb:.0f} MB" if mb < 1000 else f"{mb / 1000:.1f} GB"


def _failures(figures: Figures) -> Table:
    from rich.text import Text

    made = _table(["failed", "cell", "run", "why"])
    for row in figures.failures:
        made.add_row(
            Text(row.stage, "red"), Text(one_line(row.cell)), Text(row.run_id), Text(one_line(row.error, 160))
        )
    more = figures.counts.get("failed", 0) - len(figures.failures)
    if more > 0:
        made.add_row(Text(f"… {more:,} more", "dim"))
    return made
