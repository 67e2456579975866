"""Curves that grow: loss and scores of a training, drawn in the browser."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import traitlets as t

from geolab.apps.parts import assets
from geolab.apps.parts.base import Part

MOST_POINTS = 2000  # of one curve that travel to the page


class Curves(Part):
    """series: {name: [(x, y), ...]}; marks: {name: x} of what is to be seen on the x axis.

    A pair that is not two finite numbers is left out.
    """

    _esm = assets.module("curves")

    series = t.Dict().tag(sync=True)
    marks = t.Dict().tag(sync=True)
    x_title = t.Unicode("").tag(sync=True)
    y_title = t.Unicode("").tag(sync=True)
    height_px = t.Int(220).tag(sync=True)
    empty = t.Unicode("No figures yet.").tag(sync=True)

    def __init__(
        self,
        series: Mapping[str, Iterable[Any]] | None = None,
        *,
        marks: Mapping[str, float] | None = None,
        x_title: str = "",
        y_title: str = "",
        height_px: int = 220,
        empty: str = "No figures yet.",
    ):
        super().__init__(
            series=dict(series or {}),
            marks=dict(marks or {}),
            x_title=x_title,
            y_title=y_title,
            height_px=height_px,
            empty=empty,
        )

    @t.validate("series")
    def _sound(self, proposal: Any) -> dict[str, list[list[float]]]:
        return {str(name): thinned(points) for name, points in proposal["value"].items()}


def thinned(points: Iterable[Any]) -> list[list[float]]:
    """The finite points; of very many every n-th, and always the last."""
    sound = [[float(x), float(y)] for x, y in points if _finite(x) and _finite(y)]
    step = math.ceil(len(sound) / MOST_POINTS) or 1
    return sound if step == 1 else [*sound[:-1:step], sound[-1]]


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
