"""The change in a window of a pair, before the whole is worked on: the very levels the whole will have."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from geolab import raster
from geolab.change import products
from geolab.change.choice import scorer_of
from geolab.change.request import Request
from geolab.change.sampling import both
from geolab.change.scorers import Scorer
from geolab.change.sources import read_tiles
from geolab.change.windows import Span, Tile, round_up
from geolab.errors import BadInput


@dataclass(frozen=True)
class Preview:
    """A pair with its scorer. threshold: of the probability, 0..1, the method's or model's own."""

    before: raster.Info
    after: raster.Info
    scorer: Scorer
    threshold: float
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def levels(self, rows: tuple[int, int], cols: tuple[int, int]) -> NDArray[np.uint8]:
        """The probability [y, x] as in the product: 0..254 for 0..1, 255 where a date is invalid.

        rows, cols: from and to, pixels; cut at the scene's border. Raises BadInput outside of it.
        """
        height, width = self.before.shape
        inner = Span(*rows).clipped(height), Span(*cols).clipped(width)
        if min(span.size for span in inner) < 1:
            found = f"rows {rows[0]}-{rows[1]}, columns {cols[0]}-{cols[1]}"
            raise BadInput("window", found=found, expected=f"one within {width} x {height} pixels")
        whole = self._tile(*inner)
        tile = whole if self.scorer.reflects else whole.within(height, width)
        with self._lock:
            _, early, late = next(read_tiles(self.before, self.after, [tile]))
            score = self.scorer(early, late)
        valid = both(early.valid, late.valid)
        found = products.quantise(tile.core(score), None if valid is None else tile.core(valid))
        y, x = inner[0].start - tile.rows.start, inner[1].start - tile.cols.start
        return found[y : y + inner[0].size, x : x + inner[1].size]

    def _tile(self, rows: Span, cols: Span) -> Tile:
        """The window with its context, on the multiples that the scorer asks for."""
        many, margin = self.scorer.multiple_px, round_up(self.scorer.halo_px, self.scorer.multiple_px)
        height, width = self.before.shape
        starts = [span.start // many * many for span in (rows, cols)]
        cores = [Span(start, span.stop) for start, span in zip(starts, (rows, cols), strict=True)]
        reads = [Span(c.start - margin, c.start + round_up(c.size, many) + margin) for c in cores]
        return Tile(*(core.clipped(n) for core, n in zip(cores, (height, width), strict=True)), *reads)


def open_pair(
    before: str, after: str, *, method: str = "cva", model: str | None = None, device: str = "auto"
) -> Preview:
    """A pair on one grid, with the method fitted or the model loaded.

    Raises GridMismatch, NotFound, FileRejected, BadInput.
    """
    request = Request(before=before, after=after, out="", method=method, model=model, device=device)
    early, late = raster.read_info(before), raster.read_info(after)
    if len(early.data_bands) != len(late.data_bands):
        found = f"{len(early.data_bands)} and {len(late.data_bands)} bands"
        raise BadInput("pair", found=found, expected="the same bands at both dates")
    raster.same_grid(early, late)
    scorer, threshold = scorer_of(request, early, late)
    return Preview(early, late, scorer, threshold)
