"""Coverage: what a collection holds, where and when."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import matplotlib.dates as mdates

from geolab.figures.style import ACCENT, CHANGE, CYCLE, INK, INK_SOFT, WIDTH_IN, light_grid, new, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Item = Mapping[str, Any]
_ROLES = {"image": ACCENT, "photo": CHANGE, "label": CYCLE[3], "dsm": CYCLE[5], "product": CYCLE[4]}


def coverage(items: Sequence[Item]) -> Figure:
    """Footprints on the left, dates on the right, by role: what there is, where and when.

    items: STAC items; without any, the figure says what to do.
    """
    if not items:
        return _nothing()
    with style():
        figure = new(WIDTH_IN, 3.9)
        where, when = figure.subplots(1, 2, width_ratios=(1, 1.35))
        _footprints(where, items)
        _timeline(when, items)
    return figure


def _nothing() -> Figure:
    with style():
        figure = new(WIDTH_IN, 1.2)
        axes = figure.subplots()
        axes.axis("off")
        axes.text(0, 0.6, "Nothing here yet", fontweight="bold", transform=axes.transAxes)
        words = "Ingest a folder first (notebook 01_ingest), or widen the search."
        axes.text(0, 0.3, words, color=INK_SOFT, transform=axes.transAxes)
    return figure


def role(item: Item) -> str:
    """'image', 'photo', 'label', 'dsm' or 'product'; 'image' where the item does not say."""
    return str(item.get("properties", {}).get("geolab:role") or "image")


def _color(name: str) -> str:
    return _ROLES.get(name, INK_SOFT)


def _footprints(axes: Axes, items: Sequence[Item]) -> None:
    latitudes = []
    for item in items:
        color = _color(role(item))
        for kind, ring in _parts(item.get("geometry") or {}):
            xs, ys = [p[0] for p in ring], [p[1] for p in ring]
            latitudes += ys
            if kind == "Point":
                axes.plot(
                    xs, ys, "o", color=color, markersize=4, markeredgecolor="white", markeredgewidth=0.6
                )
            else:
                axes.plot(xs, ys, color=color, linewidth=1.1, snap=False)
    axes.set(title="Where", xlabel="longitude, °", ylabel="latitude, °")
    if latitudes:
        middle = math.radians((min(latitudes) + max(latitudes)) / 2)
        axes.set_aspect(1 / max(math.cos(middle), 0.05), adjustable="datalim")
    axes.ticklabel_format(useOffset=False, style="plain")
    axes.locator_params(nbins=4)
    axes.margins(0.12)
    light_grid(axes, "both")


def _parts(geometry: Mapping[str, Any]) -> Iterator[tuple[str, Sequence[Sequence[float]]]]:
    kind, coordinates = geometry.get("type"), geometry.get("coordinates", ())
    if kind == "Point":
        yield "Point", [coordinates]
    elif kind == "Polygon":
        yield from (("Polygon", ring) for ring in coordinates)
    elif kind == "MultiPolygon":
        yield from (("Polygon", ring) for polygon in coordinates for ring in polygon)


def _timeline(axes: Axes, items: Sequence[Item]) -> None:
    present = [name for name in _ROLES if any(role(i) == name for i in items)]
    present += sorted({role(i) for i in items} - set(_ROLES))
    for y, name in enumerate(reversed(present)):
        days = [mdates.date2num(day) for day in _dates(i for i in items if role(i) == name)]
        many = len(days) > 1
        axes.plot(
            days,
            [y] * len(days),
            "o",
            color=_color(name),
            alpha=0.75 if many else 1,
            markersize=6,
            markeredgecolor="white",
        )
    total = {name: sum(role(i) == name for i in items) for name in present}
    labels = [f"{name}  {total[name]}" for name in reversed(present)]
    axes.set_yticks(range(len(present)), labels, color=INK)
    axes.set_ylim(-0.6, len(present) - 0.4)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_title("When, and how many")
    axes.xaxis_date()
    locator = mdates.AutoDateLocator(minticks=3, maxticks=5)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(mdates.DateFormatter("%Y-%m-%d"))
    axes.margins(x=0.1)
    light_grid(axes, "x")


def _dates(items: Iterable[Item]) -> list[datetime]:
    texts = [(i["properties"].get("datetime") or i["properties"].get("start_datetime")) for i in items]
    found = [datetime.fromisoformat(text) for text in texts if text]
    return [day if day.tzinfo else day.replace(tzinfo=UTC) for day in found]
