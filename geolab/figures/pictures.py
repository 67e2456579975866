"""Pictures: a pair of dates with its change, a sheet of thumbnails."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from geolab import display, store
from geolab.errors import BadInput, FileRejected
from geolab.figures.style import (
    CHANGE,
    FALSE_ALARM,
    INK,
    INK_SOFT,
    MISSED,
    NODATA,
    PROBABILITY_MAP,
    WIDTH_IN,
    new,
    style,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    Array = NDArray[Any]

LONGEST_PX = 1200  # a panel shows no more pixels than this on its longer side
OVERLAY_OPACITY = 0.6
MASK_NODATA = 255


def pair(
    before: Array,
    after: Array,
    overlay: Array | None = None,
    *,
    gsd_m: float | None = None,
    dates: tuple[str, str] | None = None,
    titles: tuple[str, str, str] = ("Before", "After", "Change"),
    bands: Sequence[int] | None = None,
    truth: Array | None = None,
) -> Figure:
    """Before | after | change, both dates in one stretch, with a scale bar.

    before, after: [band, y, x], NaN where invalid. bands: 0-based red, green, blue; the first
    three (or the first) when not given. overlay: [y, x]; a bool or integer mask (0, 1, 255
    nodata) is laid over the second date, a float probability 0..1 has a panel in cividis.
    truth: [y, x] 0, 1 (255 ignored); with a mask it tells hits, misses and false alarms apart.
    gsd_m: metres a pixel; without it there is no scale bar. dates: ISO days for the titles.
    Raises BadInput if the shapes differ.
    """
    _check_shapes(before, after, overlay, truth)
    step = max(1, math.ceil(max(before.shape[1:]) / LONGEST_PX))
    chosen = list(bands) if bands is not None else ([0, 1, 2] if len(before) >= 3 else [0])
    views = [image[chosen, ::step, ::step] for image in (before, after)]
    between = display.limits(*views)
    pictures = [_picture(view, between) for view in views]
    names = [f"{t}  {d}" for t, d in zip(titles, dates, strict=False)] if dates else list(titles[:2])
    with style():
        figure, panels = _panels(2 if overlay is None else 3, before.shape[1:])
        for panel, picture, name in zip(panels, pictures, names, strict=False):
            _draw(panel, picture, name)
        if overlay is not None:
            small = None if truth is None else truth[::step, ::step]
            _draw_overlay(figure, panels[2], pictures[1], overlay[::step, ::step], titles[2], small)
        if gsd_m:
            scale_bar(panels[0], gsd_m * step)
    return figure


def _check_shapes(before: Array, after: Array, overlay: Array | None, truth: Array | None) -> None:
    shapes = {"after": after.shape} | {
        name: (len(before), *array.shape)
        for name, array in (("overlay", overlay), ("truth", truth))
        if array is not None
    }
    for name, shape in shapes.items():
        if shape != before.shape:
            raise BadInput(f"the figure's {name}", found=f"shape {shape}", expected=str(before.shape))


def _picture(view: Array, between: display.Limits) -> Array:
    """[y, x, 3] floats 0..1 with invalid pixels in the colour of nodata."""
    rgb = display.stretch(view, between).astype(np.float32) / 255
    rgb = np.moveaxis(rgb if len(rgb) == 3 else np.repeat(rgb[:1], 3, axis=0), 0, -1)
    invalid = ~np.isfinite(view.astype(np.float32)).all(axis=0)
    rgb[invalid] = to_rgb(NODATA)
    return rgb


def _panels(count: int, shape: tuple[int, ...]) -> tuple[Figure, list[Axes]]:
    """Panels side by side, or one below the other for a scene that is much wider than high."""
    height, width = shape
    stacked = width > 2.2 * height
    panel_in = WIDTH_IN * 0.72 if stacked else WIDTH_IN / count
    picture_in = min(panel_in * height / width, 9.0)
    rows, columns = (count, 1) if stacked else (1, count)
    figure = new(panel_in * columns, (picture_in + 0.5) * rows)
    return figure, list(figure.subplots(rows, columns, squeeze=False).ravel())


def _draw(axes: Axes, picture: Array, title: str, **image: Any) -> Any:
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(title)
    return axes.imshow(picture, **image)


def _draw_overlay(
    figure: Figure, axes: Axes, picture: Array, overlay: Array, title: str, truth: Array | None
) -> None:
    if np.issubdtype(overlay.dtype, np.floating):
        shown = np.ma.masked_invalid(overlay)
        image = _draw(axes, shown, title, cmap=PROBABILITY_MAP, vmin=0, vmax=1)
        axes.set_facecolor(NODATA)
        bar = figure.colorbar(image, ax=axes, shrink=0.8, pad=0.02, aspect=28)
        bar.set_label("probability")
        bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
        return
    valid = overlay != MASK_NODATA
    changed = (overlay.astype(np.uint8) > 0) & valid
    if truth is None:
        layers = {CHANGE: (f"changed, {_share(changed, valid)} of the area", changed)}
    else:
        known = valid & (truth != MASK_NODATA)
        real = truth.astype(np.uint8) == 1
        layers = {
            CHANGE: ("found", changed & real & known),
            MISSED: ("missed", ~changed & real & known),
            FALSE_ALARM: ("false alarm", changed & ~real & known),
        }
    _draw(axes, _paint(picture, {color: where for color, (_, where) in layers.items()}), title)
    for color, (_, where) in layers.items():
        if where.any() and not where.all():
            axes.contour(where, levels=[0.5], colors=[color], linewidths=0.7)
    handles = [Patch(facecolor=color, label=name) for color, (name, _) in layers.items()]
    axes.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(-0.012, -0.005),
        ncols=len(handles),
        handlelength=0.9,
        handleheight=0.9,
        columnspacing=1.2,
        borderpad=0.2,
        labelcolor=INK_SOFT,
    )


def _share(changed: Array, valid: Array) -> str:
    total = int(valid.sum())
    return f"{100 * int(changed.sum()) / total:.1f} %" if total else "none"


def _paint(picture: Array, layers: Mapping[str, Array]) -> Array:
    """The picture in grey with each mask laid over it in its colour at 60 %."""
    grey = picture @ np.array([0.299, 0.587, 0.114], np.float32)  # luma, ITU-R BT.601
    painted = np.repeat((0.15 + 0.85 * grey)[..., None], 3, axis=-1)
    for color, where in layers.items():
        painted[where] = (1 - OVERLAY_OPACITY) * painted[where] + OVERLAY_OPACITY * np.array(to_rgb(color))
    return painted


def scale_bar(axes: Axes, metres_a_pixel: float) -> None:
    """A bar of a round length, about a fifth of the picture, in its lower left corner."""
    left, right = sorted(axes.get_xlim())
    bottom = max(axes.get_ylim())
    top = min(axes.get_ylim())
    length_m = round_length((right - left) * metres_a_pixel * 0.25)
    length_px = length_m / metres_a_pixel
    x, y = left + 0.04 * (right - left), bottom - 0.05 * (bottom - top)
    halo = [withStroke(linewidth=3.5, foreground=INK, alpha=0.75)]
    axes.plot(
        [x, x + length_px], [y, y], color="white", linewidth=2.2, solid_capstyle="butt", path_effects=halo
    )
    axes.annotate(
        _metres(length_m),
        (x + length_px / 2, y),
        xytext=(0, 3),
        textcoords="offset points",
        ha="center",
        va="bottom",
        color="white",
        fontweight="bold",
        path_effects=[withStroke(linewidth=2.4, foreground=INK, alpha=0.75)],
    )


def round_length(metres: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is not longer."""
    power = 10.0 ** math.floor(math.log10(metres))
    return next(factor * power for factor in (5, 2, 1) if factor * power <= metres * (1 + 1e-9))


def _metres(length_m: float) -> str:
    if length_m >= 1000:
        return f"{length_m / 1000:g} km"
    return f"{length_m:g} m" if length_m >= 1 else f"{length_m * 100:g} cm"


def contact_sheet(
    pictures: Sequence[Array | str | Path | Mapping[str, Any]],
    *,
    titles: Sequence[str] = (),
    columns: int = 6,
) -> Figure:
    """Small pictures in rows, each under its title.

    pictures: STAC items (their thumbnails and titles), files or URIs, or [y, x, 3] arrays of bytes
    or floats 0..1. Raises BadInput without any; NotFound, FileRejected for one that can't be read.
    """
    if not pictures:
        raise BadInput("contact sheet", found="no picture", expected="at least one")
    titles = titles or [_title(picture) for picture in pictures]
    columns = min(columns, len(pictures))
    rows = math.ceil(len(pictures) / columns)
    with style():
        shown = [_read_picture(picture) for picture in pictures]
        tallest = min(0.75, max(one.shape[0] / one.shape[1] for one in shown))
        figure = new(WIDTH_IN, rows * (WIDTH_IN / columns * tallest + 0.28))
        cells = list(figure.subplots(rows, columns, squeeze=False).ravel())
        for cell in cells:
            cell.axis("off")
        for number, (cell, picture) in enumerate(zip(cells, shown, strict=False)):
            cell.imshow(picture)
            if number < len(titles):
                cell.set_title(_shorten(titles[number]), fontsize=7.5, fontweight="normal", pad=3)
    return figure


def _title(picture: Any) -> str:
    if isinstance(picture, Mapping):
        return str(picture["properties"].get("title") or picture["id"])
    return "" if isinstance(picture, np.ndarray) else str(picture).rsplit("/", 1)[-1]


def _read_picture(picture: Any) -> Array:
    if isinstance(picture, np.ndarray):
        return picture
    if isinstance(picture, Mapping):
        assets = picture.get("assets", {})
        shown = assets.get("thumbnail") or assets.get("overview")
        if shown is None:
            return np.full((3, 4, 3), [0xEC, 0xEF, 0xF1], np.uint8)  # an item that has no picture
        picture = shown["href"]
    from PIL import Image, ImageOps

    try:
        with store.open_read(picture) as stream, Image.open(stream) as image:
            image.draft("RGB", (512, 512))  # a JPEG is decoded small at once
            image.thumbnail((512, 512))
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, Image.DecompressionBombError) as error:
        raise FileRejected(str(picture), f"its picture can't be decoded: {error}") from error


def _shorten(title: str, longest: int = 26) -> str:
    return title if len(title) <= longest else f"{title[: longest - 1]}…"
