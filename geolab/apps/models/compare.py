"""Runs as lines of one table: what differed between them, which is best, and by which measure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from geolab.errors import one_line
from geolab.track import Summary

MOST_COLUMNS = 6  # of parameters, and of metrics; the rest is in the run's own card
STATES = {
    "FINISHED": "succeeded", "FAILED": "failed", "KILLED": "cancelled", "RUNNING": "running",
    "SCHEDULED": "queued",
}  # fmt: skip
_LESS = ("loss", "error", "mae", "rmse", "lpips", "seconds", "mb")  # less of it is better
_NEITHER = ("lr", "step", "epoch", "gaussians", "threshold", "system/")
_WORDS = {"iou": "IoU", "f1": "F1", "psnr": "PSNR", "ssim": "SSIM", "val": "validation", "train": "training"}
_WORDS |= {"lr": "learning rate"}
_FIRST = ("test_iou", "test_f1", "val_iou", "val_f1", "psnr", "ssim", "train_loss")


def differing(runs: Sequence[Summary]) -> list[str]:
    """Names of the parameters that are not the same in all runs, in their order of appearance."""
    names = dict.fromkeys(name for run in runs for name in run.parameters)
    return [name for name in names if len({run.parameters.get(name) for run in runs}) > 1]


def shared(runs: Sequence[Summary]) -> dict[str, str]:
    """The parameters that are the same in all runs."""
    other = set(differing(runs))
    return {k: v for k, v in (runs[0].parameters if runs else {}).items() if k not in other}


def metrics(runs: Sequence[Summary]) -> list[str]:
    """Names of the metrics, those that tell most first."""
    names = dict.fromkeys(name for run in runs for name in run.metrics)
    ranked = {name: number for number, name in enumerate(_FIRST)}
    return sorted(names, key=lambda name: (ranked.get(name, len(ranked)), name.startswith("system/")))


def better(name: str) -> int:
    """1 if more of a metric is better, -1 if less is, 0 if neither."""
    plain = name.lower()
    if any(word in plain for word in _NEITHER):
        return 0
    return -1 if any(word in plain.split("_") or plain.endswith(word) for word in _LESS) else 1


def best(runs: Iterable[Summary], name: str) -> set[str]:
    """The ids of the runs with the best value of a metric; none where fewer than two have it."""
    sign = better(name)
    values = {run.run_id: run.metrics[name] for run in runs if name in run.metrics}
    if not sign or len(values) < 2:
        return set()
    top = max(sign * value for value in values.values())
    return {run_id for run_id, value in values.items() if sign * value == top}


def rows(runs: Sequence[Summary], parameters: Sequence[str], measures: Sequence[str]) -> list[dict[str, Any]]:
    """One row for each run; p.<name> its parameters, m.<name> its metrics, best: what it is the best in."""
    winners = {name: best(runs, name) for name in measures}
    return [_row(run, parameters, winners) for run in runs]


def marked(runs: Sequence[Summary], name: str) -> dict[str, str]:
    """The metric of each run in words, the best with a star."""
    top = best(runs, name)
    return {r.run_id: value(r.metrics.get(name)) + (" ★" if r.run_id in top else "") for r in runs}


def _row(run: Summary, parameters: Sequence[str], winners: dict[str, set[str]]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "id": run.run_id,
        "name": one_line(run.name or run.run_id, 80),
        "experiment": one_line(run.experiment, 80),
        "state": STATES.get(run.status, run.status.lower()),
        "started": when(run.started),
        "took": duration(run),
    }
    told |= {f"p.{name}": one_line(run.parameters.get(name, ""), 60) for name in parameters}
    told |= {f"m.{name}": digits(run.metrics.get(name)) for name in winners}
    return told | {"best": ", ".join(label(name) for name, ids in winners.items() if run.run_id in ids)}


def digits(number: float | None) -> float | None:
    """A metric with four digits, to be sorted by."""
    return None if number is None or not math.isfinite(number) else float(f"{number:.4g}")


def label(name: str) -> str:
    """A metric's name in words: val_iou is Validation IoU."""
    words = [_WORDS.get(word, word) for word in one_line(name, 60).split("_")]
    return " ".join(words)[:1].upper() + " ".join(words)[1:]


def value(number: float | None) -> str:
    """A metric in four digits; "" for none."""
    if number is None or not math.isfinite(number):
        return ""
    if number == int(number) and abs(number) < 1e9:
        return f"{int(number):,}"
    return f"{number:.4g}"


def when(seconds: float) -> str:
    """RFC 3339 in UTC; "" for 0."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds") if seconds > 0 else ""


def duration(run: Summary) -> str:
    """How long it took, in words; "" while it runs."""
    if run.ended is None or run.ended < run.started:
        return ""
    seconds = run.ended - run.started
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"
