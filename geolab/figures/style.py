"""One look for every figure: sizes, colours, lines. The rest of `figures` draws inside it."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from cycler import cycler
from matplotlib.figure import Figure

from geolab import store

if TYPE_CHECKING:
    from matplotlib.axes import Axes

log = logging.getLogger(__name__)

DPI = 150
WIDTH_IN = 10.0  # a figure across the page, inches; 1,500 px

INK = "#1b1f23"
INK_SOFT = "#5b6670"
LINE = "#dfe3e6"
ACCENT = "#0b7285"
CHANGE = "#e8590c"
MISSED = "#0072b2"
FALSE_ALARM = "#f0e442"
NODATA = "#eceff1"
# Okabe and Ito (2008): told apart by readers with any colour vision; the accent first.
CYCLE = (ACCENT, CHANGE, "#5b6670", "#0072b2", "#cc79a7", "#009e73")
PROBABILITY_MAP = "cividis"

_RC: dict[Any, Any] = {
    "figure.dpi": DPI,
    "savefig.dpi": DPI,
    "savefig.facecolor": "white",
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.titlepad": 7,
    "axes.labelcolor": INK_SOFT,
    "axes.edgecolor": "#b4bcc2",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=CYCLE),
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": INK_SOFT,
    "ytick.color": INK_SOFT,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "image.interpolation": "antialiased",
    "text.parse_math": False,  # a title with dollar signs is a title, not a formula
}


@contextmanager
def style() -> Iterator[None]:
    """Draw in geolab's manner inside the block; matplotlib's own settings come back after it."""
    with mpl.rc_context(_RC):
        yield


def new(width_in: float = WIDTH_IN, height_in: float = 4.0) -> Figure:
    """An empty figure that belongs to no window and no global list, so that none leaks."""
    return Figure(figsize=(width_in, height_in), layout="constrained", dpi=DPI)


def png(figure: Figure) -> bytes:
    """The figure as PNG bytes, 150 dots per inch."""
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def show(figure: Figure, path: str | Path | None = None) -> None:
    """Show a figure in the notebook; with a path (a run's `run.path('pair.png')`) keep it there too."""
    data = png(figure)
    if path is not None:
        store.write_bytes(path, data)
    display = _notebook_display()
    if display is not None:
        display(data)
    elif path is None:
        log.info("a figure was drawn outside a notebook and without a path: it is seen nowhere")


def _notebook_display() -> Any:
    try:
        from IPython.core.getipython import get_ipython
        from IPython.display import Image, display
    except ImportError:
        return None
    if get_ipython() is None:
        return None
    return lambda data: display(Image(data=data, format="png", width=int(WIDTH_IN * 96)))


def light_grid(axes: Axes, which: str = "y") -> None:
    """Hairlines where values are read off."""
    axes.grid(visible=True, axis=which)  # pyright: ignore[reportArgumentType]


def label_ends(axes: Axes, ends: Mapping[str, tuple[float, float, str]]) -> None:
    """Name each line at its right end instead of in a legend; names keep off each other.

    ends: name -> (x, y, colour) in data units.
    """
    low, high = axes.get_ylim()
    gap = (high - low) * 0.065
    placed: list[float] = []
    for name, (x, y, color) in sorted(ends.items(), key=lambda end: end[1][1]):
        at = max(y, placed[-1] + gap) if placed else y
        placed.append(at)
        axes.annotate(name, (x, at), xytext=(5, 0), textcoords="offset points", va="center", color=color)
