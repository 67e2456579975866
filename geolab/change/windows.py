"""Where the tiles of a scene lie: exact halos, reflection at the true border, a fixed sample.

Every tile is read with the context that its answer depends on (the halo) and only its core is
kept, so a scene cut into tiles gives what the whole scene gives, seamless by construction.
All positions are on the scene's own pixel grid and none depends on the number of workers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

SAMPLE_PX = 128  # side of a sample window, pixels
WHOLE_SAMPLE = 1 << 20  # a scene of at most so many pixels is its own sample
CANDIDATES = 1024  # windows that may be looked at before a scene is called empty


@dataclass(frozen=True)
class Span:
    """Pixels `start` to `stop` along one axis."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        return self.stop - self.start

    def clipped(self, length: int) -> Span:
        """The part within 0..length."""
        return Span(max(self.start, 0), min(self.stop, length))


@dataclass(frozen=True)
class Tile:
    """One step of the work: `rows` and `cols` are written, `read_rows` and `read_cols` are seen.

    The spans to be read may reach beyond the scene, where it is continued by reflection.
    """

    rows: Span
    cols: Span
    read_rows: Span
    read_cols: Span

    @property
    def read_shape(self) -> tuple[int, int]:
        return self.read_rows.size, self.read_cols.size

    def within(self, height: int, width: int) -> Tile:
        """The same tile, without the context that lies beyond the scene."""
        return replace(
            self, read_rows=self.read_rows.clipped(height), read_cols=self.read_cols.clipped(width)
        )

    def core(self, read: NDArray) -> NDArray:
        """The part of a [..., y, x] array over the read spans that is written (a view)."""
        y, x = self.rows.start - self.read_rows.start, self.cols.start - self.read_cols.start
        return read[..., y : y + self.rows.size, x : x + self.cols.size]


@dataclass(frozen=True)
class Tiling:
    """How a scene of height x width pixels is cut.

    tile_px: side of a core, rounded up to a multiple of multiple_px.
    halo_px: context on every side, rounded up likewise; multiple_px: the network's total stride.
    panel_px: tiles run in panels of this width, top to bottom, so that the rows of blocks that
    neighbours share fit in a small cache however wide the scene is.
    """

    height: int
    width: int
    tile_px: int
    halo_px: int = 0
    multiple_px: int = 1
    panel_px: int = 4096

    @property
    def step_px(self) -> int:
        return round_up(self.tile_px, self.multiple_px)

    @property
    def margin_px(self) -> int:
        return round_up(self.halo_px, self.multiple_px)

    def __len__(self) -> int:
        return -(-self.height // self.step_px) * -(-self.width // self.step_px)

    def __iter__(self) -> Iterator[Tile]:
        columns = self._spans(self.width)
        per_panel = max(1, self.panel_px // self.step_px)
        for first in range(0, len(columns), per_panel):
            for rows in self._spans(self.height):
                for cols in columns[first : first + per_panel]:
                    yield Tile(rows, cols, self._context(rows), self._context(cols))

    def _spans(self, length: int) -> list[Span]:
        return [Span(a, min(a + self.step_px, length)) for a in range(0, length, self.step_px)]

    def _context(self, core: Span) -> Span:
        stop = core.start + round_up(core.size, self.multiple_px)
        return Span(core.start - self.margin_px, stop + self.margin_px)


def round_up(value: int, multiple: int) -> int:
    """The smallest multiple that is not below the value."""
    return -(-value // multiple) * multiple


def reflect(span: Span, length: int) -> NDArray[np.intp]:
    """The pixel 0..length-1 that stands at each place of a span, mirrored at both borders.

    The border pixel is not repeated (3 2 1 | 0 1 2 3), and spans of any length bounce to and fro.
    """
    if length == 1:
        return np.zeros(span.size, np.intp)
    period = 2 * (length - 1)
    folded = np.arange(span.start, span.stop) % period
    return np.minimum(folded, period - folded)


def bounding(places: NDArray[np.intp]) -> Span:
    """The span from the lowest to the highest place."""
    return Span(int(places.min()), int(places.max()) + 1)


def sample(height: int, width: int, side_px: int = SAMPLE_PX) -> Iterator[tuple[Span, Span]]:
    """Windows (rows, cols) spread evenly over a scene, the same ones on every run.

    A scene of at most 2**20 pixels comes whole. Of a larger one come up to 1024 windows in the
    order of the R2 low-discrepancy sequence (Roberts, 2018): any first few of them cover the
    scene, so the reader may stop as soon as it has seen enough valid pixels.
    """
    if height * width <= WHOLE_SAMPLE:
        yield Span(0, height), Span(0, width)
        return
    high, wide = min(side_px, height), min(side_px, width)
    plastic = 1.324717957244746
    for k in range(1, CANDIDATES + 1):
        top = int((0.5 + k / plastic) % 1 * (height - high + 1))
        left = int((0.5 + k / plastic**2) % 1 * (width - wide + 1))
        yield Span(top, top + high), Span(left, left + wide)
