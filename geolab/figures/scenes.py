"""Figures of a 3-D scene: where its cameras are, how its renders compare, its orthophoto and heights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LightSource, Normalize
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from geolab.errors import BadInput
from geolab.figures.pictures import scale_bar
from geolab.figures.style import ACCENT, CHANGE, INK, INK_SOFT, NODATA, WIDTH_IN, light_grid, new, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.floating]
Picture = NDArray[np.uint8]

HEIGHT_MAP = "cividis"  # one perceptual map for heights, errors and uncertainty
MOST_POINTS = 20_000  # that are drawn; more only take time
ERROR_LIMIT = 0.25  # of the error panel: a quarter of the range from black to white


def cameras(
    positions: Floats,
    forward: Floats,
    *,
    points: Floats | None = None,
    colors: Picture | None = None,
    held_out: Sequence[bool] | None = None,
    unit: str = "m",
) -> Figure:
    """Cameras and points from above and from the south.

    positions [V, 3] and viewing directions [V, 3] in east, north, up; points [P, 3]; colors [P, 3] uint8;
    held_out: which of the cameras are kept for testing. unit: of the axes, "" when arbitrary.
    """
    positions, forward = np.asarray(positions, float), np.asarray(forward, float)
    if len(positions) == 0:
        raise BadInput("cameras", found="none", expected="at least one")
    testing = np.zeros(len(positions), bool) if held_out is None else np.asarray(held_out, bool)
    cloud = positions if points is None or len(points) == 0 else points[_inside(points)]
    east, north, _ = (float(v) for v in np.ptp(np.vstack([cloud, positions]), axis=0))
    with style():
        figure = new(WIDTH_IN, float(np.clip(0.9 + WIDTH_IN / 2.25 * north / max(east, 1e-9), 3.0, 6.0)))
        above, side = figure.subplots(1, 2, width_ratios=(1, 1.25))
        for axes, (across, up), title, names in (
            (above, (0, 1), "From above", ("east", "north")),
            (side, (0, 2), "From the south", ("east", "up")),
        ):
            _draw_points(axes, points, colors, across, up)
            _draw_cameras(axes, positions, forward, testing, across, up)
            axes.set(title=title, xlabel=_axis(names[0], unit), ylabel=_axis(names[1], unit), aspect="equal")
            light_grid(axes, "both")
        _legend(side, testing)
    return figure


def _axis(name: str, unit: str) -> str:
    return f"{name}, {unit}" if unit else name


def _draw_points(axes: Axes, points: Floats | None, colors: Picture | None, across: int, up: int) -> None:
    if points is None or len(points) == 0:
        return
    step = max(1, len(points) // MOST_POINTS)
    inside = _inside(points)
    shown = points[inside][::step]
    paint = INK_SOFT if colors is None else colors[inside][::step] / 255.0
    axes.scatter(shown[:, across], shown[:, up], s=1.2, c=paint, linewidths=0, rasterized=True)


def _inside(points: Floats) -> NDArray[np.bool_]:
    """Which points [P] are no strays: a few of these must not set the scale."""
    low, high = np.percentile(points, [0.5, 99.5], axis=0)
    return ((points >= low) & (points <= high)).all(axis=1)


def _draw_cameras(
    axes: Axes, positions: Floats, forward: Floats, testing: NDArray[np.bool_], across: int, up: int
) -> None:
    span = float(np.ptp(positions, axis=0).max()) or 1.0
    tips = positions + forward / np.linalg.norm(forward, axis=1, keepdims=True) * span * 0.08
    for chosen, color in ((~testing, ACCENT), (testing, CHANGE)):
        ends = np.stack([positions[chosen], tips[chosen]])[:, :, [across, up]]
        axes.plot(ends[:, :, 0], ends[:, :, 1], color=color, linewidth=1.0)
        axes.plot(positions[chosen, across], positions[chosen, up], "o", color=color, markersize=3.5)


def _legend(axes: Axes, testing: NDArray[np.bool_]) -> None:
    counts = ((int((~testing).sum()), "trained on", ACCENT), (int(testing.sum()), "held out", CHANGE))
    shown = [(n, word, color) for n, word, color in counts if n]
    handles = [axes.plot([], [], "o", color=color, markersize=5)[0] for _, _, color in shown]
    labels = [f"{n} {word}" for n, word, _ in shown]
    axes.legend(handles, labels, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, borderpad=0)


def renders(rows: Sequence[tuple[str, Picture, Picture]], *, most: int = 3) -> Figure:
    """Held-out photos beside what the model shows from there, and where they differ.

    rows: (title, photo, render), uint8 [H, W, 3] each; at most `most` of them are drawn. The difference is
    the mean of the channels' absolute ones; its scale ends at a quarter of the range.
    """
    if not rows:
        raise BadInput("renders", found="no view", expected="at least one")
    shown = rows[:most]
    height, width = shown[0][1].shape[:2]
    with style():
        figure = new(WIDTH_IN, 0.1 + len(shown) * ((WIDTH_IN - 0.95) / 3 * height / width + 0.34))
        panels = figure.subplots(len(shown), 3, squeeze=False)
        for (title, photo, render), line in zip(shown, panels, strict=True):
            error = np.abs(photo.astype(np.float32) - render).mean(axis=2) / 255
            line[0].imshow(photo)
            line[1].imshow(render)
            line[2].imshow(error, cmap=HEIGHT_MAP, vmin=0, vmax=ERROR_LIMIT)
            for axes, text in zip(line, (title, "model", "difference"), strict=True):
                axes.set_axis_off()
                axes.set_title(text)
        scale = ScalarMappable(Normalize(0, ERROR_LIMIT), HEIGHT_MAP)
        bar = figure.colorbar(scale, ax=panels[:, 2], shrink=0.8, aspect=30, extend="max")
        bar.set_label("share of the range", color=INK_SOFT)
        bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    return figure


def surface(
    picture: Picture, height: Floats, *, gsd_m: float, sigma: Floats | None = None, datum: str = ""
) -> Figure:
    """An orthophoto beside its heights (coloured and shaded) and their uncertainty, with a scale bar.

    picture: uint8 [3 or 4, y, x], the fourth band 0 where nothing was seen. height, sigma: [y, x] metres, NaN
    where unknown. gsd_m: of a pixel. datum: what the heights are above, in words.
    """
    wide = height.shape[1] / height.shape[0]
    panels = 2 if sigma is None else 3
    with style():
        figure = new(WIDTH_IN, 0.9 + WIDTH_IN / panels / max(wide, 0.6))
        axes = figure.subplots(1, panels)
        _show(axes[0], np.moveaxis(_painted(picture), 0, -1), "Orthophoto", gsd_m)
        low, high = _limits(height)
        shaded = LightSource(315, 45).shade(
            np.nan_to_num(height, nan=low), colormaps[HEIGHT_MAP], vmin=low, vmax=high, dx=gsd_m, dy=gsd_m,
            blend_mode="soft",
        )  # fmt: skip
        shaded[~np.isfinite(height)] = (*_rgb(NODATA), 1.0)
        _show(axes[1], shaded, "Surface", gsd_m)
        _bar(figure, axes[1], low, high, "height, m" + (f" {datum}" if datum else ""))
        if sigma is not None:
            top = max(0.1, _limits(sigma)[1])
            axes[2].imshow(sigma, cmap=HEIGHT_MAP, vmin=0, vmax=top)
            _show(axes[2], None, "Uncertainty", gsd_m)
            _bar(figure, axes[2], 0, top, "sigma, m")
        for panel in axes:
            panel.set_anchor("N")
    return figure


def _rgb(code: str) -> tuple[float, ...]:
    return tuple(int(code[i : i + 2], 16) / 255 for i in (1, 3, 5))


def _painted(picture: Picture) -> Picture:
    rgb = picture[:3].copy()
    if len(picture) > 3:
        rgb[:, picture[3] == 0] = np.array([round(v * 255) for v in _rgb(NODATA)], np.uint8)[:, None]
    return rgb


def _limits(values: Floats) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    if known.size == 0:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(known, [1, 99]))
    return low, high if high > low else low + 1.0


def _show(axes: Axes, image: NDArray | None, title: str, gsd_m: float) -> None:
    if image is not None:
        axes.imshow(image)
    axes.set_axis_off()
    axes.set_title(title, color=INK)
    scale_bar(axes, gsd_m)


def _bar(figure: Figure, axes: Axes, low: float, high: float, label: str) -> None:
    drawn = ScalarMappable(Normalize(low, high), HEIGHT_MAP)
    bar = figure.colorbar(
        drawn, ax=axes, location="bottom", shrink=0.75, aspect=28, pad=0.02, ticks=MaxNLocator(4)
    )
    bar.set_label(label, color=INK_SOFT)
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
