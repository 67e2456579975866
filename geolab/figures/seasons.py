"""Figures of composites and of change over years: what was seen how often, what changed when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import BoundaryNorm, ListedColormap, to_rgb
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from geolab import display
from geolab.errors import BadInput
from geolab.figures.pictures import MASK_NODATA, scale_bar
from geolab.figures.style import INK, INK_SOFT, LINE, NODATA, WIDTH_IN, new, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[Any]

LOOKS_MAP = "cividis"
YEARS_MAP = "plasma"
UNCHANGED = "#ffffff"
TITLE = "When it last changed"


def composite(picture: Array, looks: Array, *, gsd_m: float, title: str = "Composite") -> Figure:
    """A composite | on how many days each pixel was seen clear.

    picture: [1 or 3, y, x] NaN where unknown; looks: [y, x] whole numbers. Raises BadInput for unlike shapes.
    """
    if picture.shape[1:] != looks.shape:
        raise BadInput("the figure's looks", found=looks.shape, expected=str(picture.shape[1:]))
    height = min(WIDTH_IN / 2 * looks.shape[0] / looks.shape[1], 8.0) + 0.4
    with style():
        figure = new(WIDTH_IN, height)
        left, right = figure.subplots(1, 2)
        _bare(left, title)
        left.imshow(_rgb(picture))
        scale_bar(left, gsd_m)
        _looks(figure, right, looks)
    return figure


def _rgb(picture: Array) -> Array:
    shown = display.stretch(picture, display.limits(picture)).astype(np.float32) / 255
    rgb = np.moveaxis(shown if len(shown) == 3 else np.repeat(shown[:1], 3, axis=0), 0, -1)
    rgb[~np.isfinite(picture).all(axis=0)] = to_rgb(NODATA)
    return rgb


def _looks(figure: Figure, axes: Axes, looks: Array) -> None:
    _bare(axes, "Seen clear on so many days")
    most = max(1, int(looks.max()))
    steps = np.arange(most + 2) - 0.5
    colors = ListedColormap([NODATA, *colormaps[LOOKS_MAP](np.linspace(0, 1, most))])
    image = axes.imshow(looks, cmap=colors, norm=BoundaryNorm(steps, most + 1))
    ticks = np.unique(np.linspace(0, most, min(most, 8) + 1).round().astype(int))
    bar = figure.colorbar(image, ax=axes, shrink=0.8, pad=0.02, aspect=28, ticks=ticks)
    bar.set_label("days")
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]


def _bare(axes: Axes, title: str) -> None:
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(title)


def years(
    masks: Array, names: Sequence[str], *, gsd_m: float, areas_m2: Sequence[float] = (), title: str = TITLE
) -> Figure:
    """What changed when: the last change of every pixel in the colour of its years.

    masks: [years, y, x], 1 changed, 0 not, 255 unknown. names: of the years, such as 2021-2022; areas_m2 are
    told beside them. Raises BadInput for unlike lengths.
    """
    if len(masks) != len(names) or (areas_m2 and len(areas_m2) != len(names)):
        raise BadInput("the figure's years", found=len(names), expected=f"{len(masks)}, one for each mask")
    height, width = masks.shape[1:]
    wide = min(WIDTH_IN, 7.5 * width / height) if height > width else WIDTH_IN
    with style():
        figure = new(wide, min(wide * height / width, 9.0) + 0.7)
        axes = figure.subplots()
        _bare(axes, title)
        colors = colormaps[YEARS_MAP](np.linspace(0.1, 0.85, len(masks)))[:, :3]
        known = (masks != MASK_NODATA).any(axis=0)
        picture = np.empty((height, width, 3), np.float32)
        picture[:] = to_rgb(NODATA)
        picture[known] = to_rgb(UNCHANGED)
        for mask, color in zip(masks, colors, strict=True):
            picture[mask == 1] = color
        axes.imshow(picture, interpolation="nearest")
        _legend(axes, names, colors, areas_m2)
        _bar_on_light(axes, gsd_m)
    return figure


def _legend(axes: Axes, names: Sequence[str], colors: Array, areas_m2: Sequence[float]) -> None:
    areas = [f", {area / 1e4:,.1f} ha" for area in areas_m2] or [""] * len(names)
    handles = [
        Patch(facecolor=color, label=f"{name}{area}")
        for name, color, area in zip(names, colors, areas, strict=True)
    ]
    handles.append(Patch(facecolor=UNCHANGED, edgecolor=LINE, label="no change"))
    handles.append(Patch(facecolor=NODATA, label="not known"))
    axes.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(-0.012, -0.005), ncols=min(len(handles), 5),
        handlelength=0.9, handleheight=0.9, columnspacing=1.2, borderpad=0.2, labelcolor=INK_SOFT,
    )  # fmt: skip


def _bar_on_light(axes: Axes, gsd_m: float) -> None:
    """The scale bar in ink: its white is for imagery."""
    scale_bar(axes, gsd_m)
    for drawn in (axes.lines[-1], axes.texts[-1]):
        drawn.set(color=INK, path_effects=[withStroke(linewidth=4, foreground="white")])
