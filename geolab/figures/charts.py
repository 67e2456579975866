"""Charts: training curves, scores beside the baseline, precision and recall, a histogram."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator

from geolab.errors import BadInput
from geolab.figures.style import (
    ACCENT,
    CHANGE,
    CYCLE,
    INK,
    INK_SOFT,
    LINE,
    WIDTH_IN,
    label_ends,
    light_grid,
    new,
    style,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

History = Sequence[Mapping[str, float]]
_SPLITS = {"train": "training", "val": "validation", "test": "test"}
_NAMES = {"iou": "IoU", "f1": "F1", "pr": "PR", "psnr": "PSNR, dB"}


def curves(
    history: History,
    *,
    baseline: float | None = None,
    baseline_name: str = "CVA",
    metric: str = "iou",
    chosen: int | None = None,
    x: str = "epoch",
) -> Figure:
    """Loss on the left, the metric on the right, with the baseline and the chosen epoch marked.

    history: one mapping an epoch (or whatever `x` names), with `x` and any of train_loss, val_loss,
    train_<metric>, val_<metric>; values that are absent or NaN leave a gap. baseline: the metric of the
    method without training. chosen: the value of `x` whose weights were kept.
    """
    if not history:
        raise BadInput("training curves", found="no epoch", expected="at least one")
    with style():
        figure = new(WIDTH_IN, 3.6)
        panels = figure.subplots(1, 2)
        for panel, kind in zip(panels, ("loss", metric), strict=True):
            ends = _lines(panel, history, kind, x)
            panel.set(title=_title(kind), xlabel=x)
            if kind == metric and baseline is not None:
                panel.axhline(baseline, color=INK_SOFT, linestyle=(0, (4, 3)), linewidth=1.2)
                last = history[-1][x]
                ends[f"{baseline_name} {baseline:.2f}"] = (last, baseline, INK_SOFT)
            _finish(panel, ends, history, kind, x, chosen)
    return figure


def _lines(panel: Axes, history: History, kind: str, x: str) -> dict[str, tuple[float, float, str]]:
    ends = {}
    for (split, word), color in zip(_SPLITS.items(), (INK_SOFT, ACCENT, CHANGE), strict=True):
        key = f"{split}_{kind}"
        points = [(e[x], e[key]) for e in history if key in e and math.isfinite(e[key])]
        if points:
            xs, ys = zip(*points, strict=True)
            dots = "o" if len(points) == 1 else ""
            panel.plot(xs, ys, color=color, marker=dots)
            ends[word] = (xs[-1], ys[-1], color)
    return ends


def _finish(
    panel: Axes,
    ends: Mapping[str, tuple[float, float, str]],
    history: History,
    kind: str,
    x: str,
    chosen: int | None,
) -> None:
    first, last = history[0][x], history[-1][x]
    if last > first:
        panel.set_xlim(first - 0.02 * (last - first), last)
    if kind != "loss" and max(y for _, y, _ in ends.values()) <= 1:  # a share; PSNR in dB is none
        panel.set_ylim(0, max(0.05, min(1.0, panel.get_ylim()[1] * 1.08)))
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    light_grid(panel)
    label_ends(panel, ends)
    if chosen is not None:
        _mark(panel, history, kind, x, chosen)


def _mark(panel: Axes, history: History, kind: str, x: str, chosen: int) -> None:
    """A dotted line at the epoch that was kept, named at the end of the panel that is free."""
    panel.axvline(chosen, color=INK, linewidth=0.7, linestyle=(0, (1, 2)))
    value = next((e.get(f"val_{kind}", math.nan) for e in history if e[x] == chosen), math.nan)
    known = math.isfinite(value)
    if known:
        panel.plot([chosen], [value], "o", color=ACCENT, markersize=6, markeredgecolor="white", clip_on=False)
    loss = kind == "loss"
    right_half = chosen > (history[0][x] + history[-1][x]) / 2
    panel.annotate(
        f"kept: {x} {chosen}" + ("" if loss or not known else f", {_title(kind)} {value:.2f}"),
        (chosen, 0.97 if loss else 0.03),
        xycoords=("data", "axes fraction"),
        xytext=(-6 if right_half else 6, 0),
        textcoords="offset points",
        ha="right" if right_half else "left",
        va="top" if loss else "bottom",
    )


def _title(key: str) -> str:
    return _NAMES.get(key, key.replace("_", " ").capitalize())


def scores(
    table: Mapping[str, Mapping[str, float]],
    *,
    metrics: Sequence[str] = ("iou", "f1", "precision", "recall"),
    title: str = "On a place that neither has seen",
) -> Figure:
    """Every method's scores as dots on one line a metric, with their values; 0..1.

    table: method -> {metric: value}; the first method is the one the figure is about.
    """
    named = [m for m in metrics if any(m in row for row in table.values())]
    if not named:
        raise BadInput("score table", found=list(table), expected=f"values of {', '.join(metrics)}")
    with style():
        figure = new(WIDTH_IN * 0.72, 0.75 + 0.62 * len(named))
        axes = figure.subplots()
        for y, metric in enumerate(reversed(named)):
            _dots(axes, y, {method: row[metric] for method, row in table.items() if metric in row})
        axes.set(xlim=(-0.01, 1.03), ylim=(-0.6, len(named) - 0.3), title=title)
        axes.set_yticks(range(len(named)), [_title(m) for m in reversed(named)], color=INK)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        light_grid(axes, "x")
        handles = [axes.plot([], [], "o", color=_color(i), markersize=7)[0] for i in range(len(table))]
        axes.legend(
            handles,
            list(table),
            loc="lower right",
            bbox_to_anchor=(1.0, 1.0),
            ncols=len(table),
            handletextpad=0.2,
            columnspacing=1.2,
            borderpad=0,
        )
    return figure


def _color(index: int) -> str:
    return (ACCENT, INK_SOFT, CHANGE, *CYCLE[3:])[index % 6]


def _dots(axes: Axes, y: int, row: Mapping[str, float]) -> None:
    values = list(row.values())
    axes.plot([min(values), max(values)], [y, y], color=LINE, linewidth=3, zorder=1)
    for index, value in enumerate(values):
        axes.plot([value], [y], "o", color=_color(index), markersize=8 if index == 0 else 7, zorder=2)
        rank = sorted(values, reverse=True).index(value)
        axes.annotate(
            f"{value:.2f}",
            (value, y),
            xytext=(0, 7 if rank % 2 == 0 else -7),
            textcoords="offset points",
            ha="center",
            va="bottom" if rank % 2 == 0 else "top",
            color=_color(index),
            fontweight="bold" if index == 0 else "normal",
            fontsize=8.5,
        )


def pr_curve(
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    points: Mapping[str, tuple[float, float]] | None = None,
) -> Figure:
    """Precision over recall, with working points and lines of equal F1.

    lines: method -> (precision, recall) by threshold; points: name -> (precision, recall), for
    the chosen threshold or for a method that has only one.
    """
    with style():
        figure = new(WIDTH_IN * 0.55, WIDTH_IN * 0.5)
        axes = figure.subplots()
        _equal_f1(axes)
        for index, (name, (precision, recall)) in enumerate(lines.items()):
            axes.plot(recall, precision, color=_color(index))
            middle = int(np.argmax(np.nan_to_num(np.minimum(precision, recall))))
            axes.annotate(
                name,
                (recall[middle], precision[middle]),
                xytext=(6, 6),
                textcoords="offset points",
                color=_color(index),
                fontweight="bold",
            )
        for index, (name, (precision, recall)) in enumerate((points or {}).items()):
            color = INK if index == 0 else INK_SOFT
            axes.plot(
                [recall], [precision], "o", color=color, markeredgecolor="white", markersize=7, zorder=3
            )
            axes.annotate(
                name,
                (recall, precision),
                xytext=(-7, -8),
                textcoords="offset points",
                ha="right",
                va="top",
                color=color,
            )
        axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="recall", ylabel="precision", aspect="equal")
        axes.set_title("Precision and recall")
    return figure


def _equal_f1(axes: Axes) -> None:
    for f1 in (0.2, 0.4, 0.6, 0.8):
        recall = np.linspace(f1 / 2 + 1e-3, 1, 200)
        precision = f1 * recall / (2 * recall - f1)
        inside = precision <= 1
        axes.plot(recall[inside], precision[inside], color=LINE, linewidth=0.9, zorder=0)
        axes.annotate(
            f"F1 {f1:g}",
            (1.02, precision[-1]),
            xytext=(4, 0),
            textcoords="offset points",
            color="#8a949c",
            fontsize=7.5,
            va="center",
        )


def histogram(
    values: NDArray[Any],
    threshold: float | None = None,
    *,
    xlabel: str,
    title: str = "Statistic of change and its threshold",
    bins: int = 200,
) -> Figure:
    """How often each value of a statistic occurs (log scale), cut at the threshold.

    values: any shape, NaN left out; xlabel: the statistic and its unit. The axis ends at the
    99.9 % quantile or twice the threshold; values beyond are counted in the last bin.
    """
    valid = np.asarray(values, np.float64).ravel()
    valid = valid[np.isfinite(valid)]
    if valid.size == 0:
        raise BadInput("histogram", found="no valid value", expected="at least one")
    end = max(float(np.quantile(valid, 0.999)), 2 * (threshold or 0.0))
    start = min(0.0, float(valid.min()))
    end = end if end > start else start + 1.0
    counts, edges = np.histogram(np.clip(valid, start, end), bins, range=(start, end))
    with style():
        figure = new(WIDTH_IN * 0.72, 3.2)
        axes = figure.subplots()
        axes.fill_between(edges[:-1], counts, step="post", color=INK_SOFT, alpha=0.35, linewidth=0)
        if threshold is not None:
            over = edges[:-1] >= threshold
            axes.fill_between(
                edges[:-1][over], counts[over], step="post", color=CHANGE, alpha=0.75, linewidth=0
            )
            share = 100 * float((valid >= threshold).mean())
            axes.axvline(threshold, color=INK, linewidth=0.9)
            axes.annotate(
                f"threshold {threshold:.3g}\n{share:.1f} % of pixels above",
                (threshold, 0.97),
                xycoords=("data", "axes fraction"),
                xytext=(6, 0),
                textcoords="offset points",
                va="top",
            )
        axes.set(yscale="log", xlim=(start, end), xlabel=xlabel, ylabel="pixels", title=title)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}"))
        axes.set_ylim(bottom=0.8)
    return figure


def area_curve(
    curve: Sequence[tuple[float, float]],
    threshold: float,
    *,
    located: bool = True,
    title: str = "Changed area",
) -> Figure:
    """How much has a probability of at least each threshold, with one threshold marked.

    curve: (threshold, amount), rising in threshold; amounts in m2, or pixels where not located.
    """
    if not curve:
        raise BadInput("curve", found="no point", expected="at least one")
    unit, factor = ("ha", 1e-4) if located else ("pixels", 1.0)
    at, amount = np.array(curve, np.float64).T
    amount = amount * factor
    chosen = amount[min(int(np.searchsorted(at, threshold)), len(at) - 1)]
    with style():
        figure = new(WIDTH_IN * 0.72, 3.2)
        axes = figure.subplots()
        axes.fill_between(at, amount, color=INK_SOFT, alpha=0.2, linewidth=0)
        over = at >= threshold
        axes.fill_between(at[over], amount[over], color=CHANGE, alpha=0.75, linewidth=0)
        axes.axvline(threshold, color=INK, linewidth=0.9)
        axes.annotate(
            f"threshold {threshold:.3g}\n{chosen:,.4g} {unit}",
            (threshold, 0.97),
            xycoords=("data", "axes fraction"),
            xytext=(-6 if threshold > 0.7 else 6, 0),
            textcoords="offset points",
            ha="right" if threshold > 0.7 else "left",
            va="top",
        )
        axes.set(
            xlim=(0, 1), xlabel="threshold of the probability", ylabel=f"area at least so probable ({unit})"
        )
        axes.set(title=title, ylim=(0, None))
    return figure
