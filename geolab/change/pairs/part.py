"""One part (train, val or test) of a set of pairs: areas on disk, read window by window."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from geolab.change.pairs.labels import CELL_PX, UNKNOWN, Coding
from geolab.change.pairs.reader import Reader
from geolab.change.windows import Span, bounding, reflect, round_up

Pixels = NDArray[np.float32]
Place = tuple["Pair", Span, Span]


@dataclass(frozen=True)
class Pair:
    """Two dates of one place and what changed between them: URIs of rasters on one grid."""

    id: str
    before: str
    after: str
    label: str
    height: int
    width: int


@dataclass(frozen=True)
class Block:
    """The area of a pair that belongs to one part; it begins on multiples of CELL_PX.

    changed, labelled: how many such pixels lie in each cell of the whole pair [cell_y, cell_x].
    """

    pair: Pair
    rows: Span
    cols: Span
    changed: NDArray[np.int32]
    labelled: NDArray[np.int32]


@dataclass(frozen=True)
class Sample:
    """A window: before, after [band, y, x] float32, NaN where invalid; label [y, x] 0, 1 or UNKNOWN."""

    before: Pixels
    after: Pixels
    label: NDArray[np.uint8]


@dataclass(frozen=True)
class Tile:
    """A window with the context that a network needs; `core` cuts the context off again."""

    before: Pixels
    after: Pixels
    label: NDArray[np.uint8]
    core: tuple[slice, slice]


@dataclass(frozen=True)
class Part:
    """Windows of one part of the set.

    `draw` takes a window somewhere, for training; `tiles` goes over the part once.
    """

    name: str
    blocks: tuple[Block, ...]
    coding: Coding
    reader: Reader

    @property
    def pixels(self) -> int:
        """Area of the part, labelled or not, in pixels."""
        return sum(b.rows.size * b.cols.size for b in self.blocks)

    @property
    def changed(self) -> int:
        """Number of changed pixels."""
        return int(sum(_cells(b, b.changed).sum() for b in self.blocks))

    @property
    def labelled(self) -> int:
        """Number of pixels that are known to be changed or unchanged."""
        return int(sum(_cells(b, b.labelled).sum() for b in self.blocks))

    def draw(self, rng: np.random.Generator, *, tile_px: int, changed_share: float = 0.5) -> Sample:
        """A window at random around a labelled pixel; with `changed_share` around a changed one.

        The window lies in one block; where that is smaller, what is missing is invalid and unlabelled.
        """
        cells = self._changed_cells if rng.random() < changed_share else self._labelled_cells
        at = int(np.searchsorted(cells.cumulative, rng.random() * cells.cumulative[-1], side="right"))
        index, y, x = cells.places[min(at, len(cells.places) - 1)]
        block = self.blocks[index]
        rows = _around(rng, int(y) * CELL_PX, block.rows, tile_px)
        cols = _around(rng, int(x) * CELL_PX, block.cols, tile_px)
        return self._padded(self._read(block.pair, rows, cols), tile_px)

    def places(self, tile_px: int) -> Iterator[Place]:
        """Windows (pair, rows, cols) of at most tile_px that cover every block once, in order."""
        for block in self.blocks:
            for rows in _steps(block.rows, tile_px):
                for cols in _steps(block.cols, tile_px):
                    yield block.pair, rows, cols

    def tiles(self, tile_px: int, *, halo_px: int, multiple_px: int) -> Iterator[Tile]:
        """Those windows with their context: the rest of the image, beyond its border its reflection."""
        for place in self.places(tile_px):
            yield self.tile(place, halo_px=halo_px, multiple_px=multiple_px)

    def tile(self, place: Place, *, halo_px: int, multiple_px: int = 1) -> Tile:
        """One window with its context, beginning and ending on multiples of multiple_px."""
        pair, rows, cols = place
        read_rows, read_cols = _context(rows, halo_px, multiple_px), _context(cols, halo_px, multiple_px)
        ys, xs = reflect(read_rows, pair.height), reflect(read_cols, pair.width)
        inner_rows, inner_cols = bounding(ys), bounding(xs)
        places = (slice(None), (ys - inner_rows.start)[:, None], xs - inner_cols.start)
        before, after = (
            self.reader.read(uri, inner_rows, inner_cols)[places] for uri in (pair.before, pair.after)
        )
        top, left = rows.start - read_rows.start, cols.start - read_cols.start
        core = (slice(top, top + rows.size), slice(left, left + cols.size))
        return Tile(before, after, self._label(pair, rows, cols), core)

    def _read(self, pair: Pair, rows: Span, cols: Span) -> Sample:
        before, after = (self.reader.read(uri, rows, cols) for uri in (pair.before, pair.after))
        return Sample(before, after, self._label(pair, rows, cols))

    def _label(self, pair: Pair, rows: Span, cols: Span) -> NDArray[np.uint8]:
        return self.coding.decode(self.reader.read(pair.label, rows, cols)[0])

    def _padded(self, sample: Sample, tile_px: int) -> Sample:
        height, width = sample.label.shape
        if (height, width) == (tile_px, tile_px):
            return sample
        edge = ((0, tile_px - height), (0, tile_px - width))
        before, after = (
            np.pad(date, ((0, 0), *edge), constant_values=np.nan) for date in (sample.before, sample.after)
        )
        return Sample(before, after, np.pad(sample.label, edge, constant_values=UNKNOWN))

    @cached_property
    def _changed_cells(self) -> _Cells:
        return _table([_cells(b, b.changed) for b in self.blocks]) or self._labelled_cells

    @cached_property
    def _labelled_cells(self) -> _Cells:
        table = _table([_cells(b, b.labelled) for b in self.blocks])
        assert table is not None  # open_pairs refuses a part without labels
        return table


@dataclass(frozen=True)
class _Cells:
    """Cells with something in them: [n, 3] of block, y, x, and the running sum of their pixels."""

    places: NDArray[np.int64]
    cumulative: NDArray[np.int64]


def _cells(block: Block, counts: NDArray[np.int32]) -> NDArray[np.int32]:
    """The counts, 0 in cells outside of the block."""
    inside = np.zeros_like(counts)
    y, x = (slice(s.start // CELL_PX, -(-s.stop // CELL_PX)) for s in (block.rows, block.cols))
    area = (y, x)
    inside[area] = counts[area]
    return inside


def _table(grids: list[NDArray[np.int32]]) -> _Cells | None:
    places = [
        np.column_stack([np.full(len(at), i), at]) for i, g in enumerate(grids) for at in [np.argwhere(g)]
    ]
    counts = np.concatenate([g[g > 0] for g in grids])
    return _Cells(np.concatenate(places), np.cumsum(counts, dtype=np.int64)) if len(counts) else None


def _around(rng: np.random.Generator, cell: int, inside: Span, tile_px: int) -> Span:
    """A span of tile_px around a random pixel of the cell, moved to lie inside."""
    size = min(tile_px, inside.size)
    start = cell + int(rng.integers(CELL_PX)) - int(rng.integers(size))
    start = min(max(start, inside.start), inside.stop - size)
    return Span(start, start + size)


def _steps(span: Span, step: int) -> Iterator[Span]:
    for start in range(span.start, span.stop, step):
        yield Span(start, min(start + step, span.stop))


def _context(core: Span, halo_px: int, multiple_px: int) -> Span:
    # from a multiple on, as detection cuts its tiles: the network repeats itself only under such shifts
    start = core.start // multiple_px * multiple_px
    return Span(start - halo_px, start + round_up(core.stop - start, multiple_px) + halo_px)
