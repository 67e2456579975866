"""The page of a pipeline: one HTML file with its own style, no script, light and dark, for any width.

Every text is escaped; a row holds the stages of one cell, a chip each run, linked to its notebook.
"""

from __future__ import annotations

import html
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from geolab.errors import one_line
from geolab.jobs import failure
from geolab.pipeline.model import Pipeline
from geolab.pipeline.watch import Figures, StageFigures

if TYPE_CHECKING:
    from geolab.pipeline.report import Entry

MOST_CHIPS = 5_000  # beyond, places are counted instead
MOST_ROWS = 1_000
MOST_FAILURES = 200
MOST_ERROR = 6_000  # characters


_CLASS = {
    **dict.fromkeys(("succeeded",), "ok"),
    **dict.fromkeys(("queued", "running"), "run"),
    **dict.fromkeys(("outdated", "cancelled"), "warn"),
    **dict.fromkeys(("failed", "lost", "blocked"), "fail"),
}


_AHEAD = ("waiting", "ready", "blocked")  # what their older runs took says nothing of them


def page(pipeline: Pipeline, figures: Figures, entries: list[Entry], *, folder: Path, now: datetime) -> str:
    """The page. folder: where it will lie, so that links to notebooks can be relative."""
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{_text(pipeline.name)}</title><style>{_style()}</style></head><body><main>",
            *_head(pipeline, figures, entries, now),
            *_stages(figures, entries),
            *_failures(entries, folder),
            *_matrix(pipeline, entries, folder),
            "</main></body></html>\n",
        ]
    )


@cache
def _style() -> str:
    return Path(__file__).with_name("page.css").read_text(encoding="utf-8")


def _text(value: Any) -> str:
    return html.escape(str(value), quote=True)


def _head(pipeline: Pipeline, figures: Figures, entries: list[Entry], now: datetime) -> Iterator[str]:
    yield f"<h1>{_text(pipeline.name)}</h1>"
    if pipeline.description:
        yield f"<p>{_text(pipeline.description)}</p>"
    parameters = ", ".join(f"{name} = {one_line(value, 120)}" for name, value in pipeline.parameters.items())
    about = f"{pipeline.path.name} with {parameters}" if parameters else pipeline.path.name
    yield f'<p class="soft">{_text(about)}</p>'
    facts = {
        "done": f"{figures.done:,} of {figures.total:,}",
        **{state: f"{count:,}" for state, count in figures.counts.items() if state != "succeeded"},
        "executions": f"{figures.executions:,}",
        "time of all runs": _duration(sum(one.seconds or 0 for one in entries)),
        "written": now.strftime("%Y-%m-%d %H:%M UTC"),
    }
    yield '<dl class="facts">'
    yield from (f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>" for name, value in facts.items())
    yield "</dl>"


# ---------------------------------------------------------------- stages


def _stages(figures: Figures, entries: list[Entry]) -> Iterator[str]:
    yield '<h2>Stages</h2><div class="wide"><table><thead><tr><th>stage</th><th>progress</th>'
    yield from (
        f'<th class="n">{name}</th>' for name in ("done", "mean", "longest", "processor", "most memory")
    )
    yield "<th>states</th></tr></thead><tbody>"
    own: dict[str, list[Entry]] = {}
    for entry in entries:
        own.setdefault(entry.stage, []).append(entry)
    for stage in figures.stages:
        yield from _stage(stage, own.get(stage.name, []))
    yield "</tbody></table></div>"


def _stage(stage: StageFigures, entries: list[Entry]) -> Iterator[str]:
    seconds = [one.seconds for one in entries if one.seconds is not None and one.state == "succeeded"]
    cpu = [one.cpu_s for one in entries if one.cpu_s is not None]
    memory = [one.memory_mb_peak for one in entries if one.memory_mb_peak is not None]
    numbers = (
        f"{stage.done:,} of {stage.total:,}",
        _duration(sum(seconds) / len(seconds)) if seconds else "",
        _duration(max(seconds)) if seconds else "",
        _duration(sum(cpu)) if cpu else "",
        f"{max(memory):,.0f} MB" if memory else "",
    )
    yield f"<tr><th>{_text(stage.name)}</th><td>{_bar(stage)}</td>"
    yield from (f'<td class="n">{_text(number)}</td>' for number in numbers)
    yield f'<td><span class="chips">{_counted(stage.counts)}</span></td></tr>'


def _bar(stage: StageFigures) -> str:
    parts: Counter[str] = Counter()
    for state, count in stage.counts.items():
        parts[_CLASS.get(state, "")] += count
    total = max(stage.total, 1)
    widths = {name: 100 * parts[name] / total for name in ("ok", "run", "fail") if parts[name]}
    filled = "".join(f'<i class="{name}" style="width:{width:.2f}%"></i>' for name, width in widths.items())
    return f'<span class="bar" role="img" aria-label="{stage.done} of {stage.total} done">{filled}</span>'


def _counted(counts: Mapping[str, int]) -> str:
    return "".join(
        f'<span class="chip {_CLASS.get(state, "")}">{count:,} {_text(state)}</span>'
        for state, count in counts.items()
    )


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


# ---------------------------------------------------------------- failures


def _failures(entries: list[Entry], folder: Path) -> Iterator[str]:
    failed = [one for one in entries if one.state == "failed"]
    if not failed:
        return
    yield f"<h2>What failed</h2><p>{len(failed):,} of {len(entries):,} runs. Mend the cause, then run the "
    yield "pipeline with <code>--retry-failed</code>: it does these and what hangs on them.</p>"
    for one in failed[:MOST_FAILURES]:
        first = one_line(next(iter(one.error.splitlines()), "") or one.cause or "no reason is known", 200)
        place = f"{one.stage} {one.cell}".strip()
        chip = f'<span class="chip fail">{_text(place)}</span>'
        yield f"<details><summary>{chip} {_text(first)}</summary>"
        yield f'<p class="soft">run {_text(one.run_id)}, attempt {one.attempts}, {_text(one.finished)}'
        yield f"{_notebook(one, folder)}</p><pre>{_text(_shortened(one.error))}</pre></details>"
    if len(failed) > MOST_FAILURES:
        yield f'<p class="soft">… and {len(failed) - MOST_FAILURES:,} more: the .csv report has them all.</p>'


def _shortened(text: str) -> str:
    text = failure.clean(text)
    return text if len(text) <= MOST_ERROR else f"{text[: MOST_ERROR // 2]}\n…\n{text[-MOST_ERROR // 2 :]}"


def _notebook(one: Entry, folder: Path) -> str:
    return f' · <a href="{_href(one.notebook, folder)}">executed notebook</a>' if one.notebook else ""


def _href(path: str, folder: Path) -> str:
    """A relative link, which still works when workspace and page are moved or served together."""
    return _text(quote(os.path.relpath(path, folder)))


# ---------------------------------------------------------------- cells


def _matrix(pipeline: Pipeline, entries: list[Entry], folder: Path) -> Iterator[str]:
    axis = next((stage.each[0] for stage in pipeline.stages.values() if stage.each), "")
    rows: dict[str, dict[str, list[tuple[str, Entry]]]] = {}
    for one in entries:
        place, rest = _place(pipeline, one, axis)
        rows.setdefault(place, {}).setdefault(one.stage, []).append((rest, one))
    few = len(rows) <= MOST_ROWS
    shown = [name for name, found in rows.items() if few or _has_failed(found)][:MOST_ROWS]
    yield f"<h2>{_text(f'Runs by {axis}' if axis else 'Runs')}</h2>"
    if len(shown) < len(rows):
        yield f'<p class="soft">{len(rows):,} are too many for a page: {len(shown):,} of those with failures '
        yield "stand here, the .csv report has all.</p>"
    yield f'<div class="wide"><table><thead><tr><th>{_text(axis)}</th>'
    yield from (f"<th>{_text(name)}</th>" for name in pipeline.stages)
    yield "</tr></thead><tbody>"
    chips = len(entries) <= MOST_CHIPS
    for name in shown:
        yield f"<tr><th>{_text(name or 'all')}</th>"
        for stage in pipeline.stages:
            yield f'<td><span class="chips">{_cell(rows[name].get(stage, []), folder, chips)}</span></td>'
        yield "</tr>"
    yield "</tbody></table></div>"


def _has_failed(found: Mapping[str, list[tuple[str, Entry]]]) -> bool:
    return any(one.state in ("failed", "lost") for listed in found.values() for _, one in listed)


def _place(pipeline: Pipeline, one: Entry, axis: str) -> tuple[str, str]:
    """The label on the first axis, and the others."""
    each, labels = pipeline.stages[one.stage].each, one.cell.split("/")
    if axis not in each:
        return "", one.cell
    at = each.index(axis)
    return labels[at], " ".join(labels[:at] + labels[at + 1 :])


def _cell(found: Iterable[tuple[str, Entry]], folder: Path, chips: bool) -> str:
    if not chips:
        return _counted(Counter(one.state for _, one in found))
    return "".join(_chip(rest, one, folder) for rest, one in found)


def _chip(rest: str, one: Entry, folder: Path) -> str:
    """One run: its place and state, and how long it took."""
    words = ["✓" if one.state == "succeeded" else one.state, rest]
    if one.seconds is not None and one.state not in _AHEAD:
        words.append(_duration(one.seconds))
    if one.attempts > 1 and one.state not in _AHEAD:
        words.append(f"×{one.attempts}")
    text = _text(" ".join(word for word in words if word))
    label = _text(f"{one.stage} {one.cell} {one.state}")
    kind = _CLASS.get(one.state, "")
    if one.notebook:
        return f'<a class="chip {kind}" title="{label}" href="{_href(one.notebook, folder)}">{text}</a>'
    return f'<span class="chip {kind}" title="{label}">{text}</span>'
