"""The metrics of a run as curves: those that are alike share a chart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import ipywidgets as widgets

from geolab.apps import parts

SCORES = ("iou", "f1", "precision", "recall", "ssim", "accuracy", "share", "kappa")
PARTS = ("train", "val", "test", "mean")  # of the data, in front of a metric's name
MOST_CHARTS = 8
_LAST = ("lr",)


class Charts(widgets.Box):
    """series: {metric: [(step, value), ...]}; setting it draws what is new."""

    def __init__(self) -> None:
        self._charts: dict[str, parts.Curves] = {}
        super().__init__([])
        self.add_class("geolab-charts")

    @property
    def series(self) -> dict[str, list[Any]]:
        return {name: points for chart in self._charts.values() for name, points in chart.series.items()}

    @series.setter
    def series(self, series: Mapping[str, Iterable[Any]]) -> None:
        groups = grouped(series)
        for name, own in groups.items():
            if name in self._charts:
                self._charts[name].series = own
            else:
                self._charts[name] = parts.Curves(own, x_title="step", y_title=name, height_px=200)
        self._charts = {name: self._charts[name] for name in groups}
        if self.children != (wanted := tuple(self._charts.values())):
            self.children = wanted


def grouped(series: Mapping[str, Iterable[Any]]) -> dict[str, dict[str, list[Any]]]:
    """Charts by their names: losses together, scores of 0..1 together, any other by its name."""
    found: dict[str, dict[str, list[Any]]] = {}
    for name in sorted(series, key=lambda name: (family(name) in _LAST, family(name), name)):
        found.setdefault(family(name), {})[name] = list(series[name])
    return dict(list(found.items())[:MOST_CHARTS])


def family(name: str) -> str:
    """What a metric is, whatever part of the data it is of: val_iou -> score, train_loss -> loss."""
    words = [word for word in name.replace("/", "_").split("_") if word not in PARTS]
    if any(word in SCORES for word in words):
        return "score"
    return "loss" if "loss" in words else "_".join(words) or name
