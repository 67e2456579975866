"""From the pixels of two dates to a score 0..1 of every pixel: classic statistics and models alike."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from geolab.change.classic import Fitted
from geolab.change.radiometry import Normalisation
from geolab.change.sources import Seen

if TYPE_CHECKING:
    from geolab.change.preprocessing import Preprocessing

Array = NDArray[Any]
Predictor = Callable[[Array, Array], Array]


class Scorer(Protocol):
    """One way to score a tile; safe to call from several threads.

    halo_px: context that a pixel's score depends on; multiple_px: where tiles must begin and end.
    reflects: whether the context beyond the scene's border is its reflection; otherwise there is none.
    """

    @property
    def halo_px(self) -> int: ...
    @property
    def multiple_px(self) -> int: ...
    @property
    def reflects(self) -> bool: ...
    def __call__(self, before: Seen, after: Seen) -> NDArray[np.float32]:
        """The score [y, x]; NaN or anything where a date is invalid."""
        ...

    def close(self) -> None:
        """Let go of what scoring needs; nothing can be scored any more."""
        ...


class ClassicScorer:
    """A classic statistic, fitted to the scene."""

    multiple_px = 1
    reflects = False

    def __init__(self, fitted: Fitted, normalisation: Normalisation | None = None):
        self._fitted, self._normalisation = fitted, normalisation

    @property
    def halo_px(self) -> int:
        return self._fitted.halo_px

    def __call__(self, before: Seen, after: Seen) -> NDArray[np.float32]:
        late = after.floats()
        if self._normalisation is not None:
            late = self._normalisation.apply(late)
        return self._fitted.score(self._fitted.statistic(before.floats(), late))

    def close(self) -> None:
        """Nothing to let go of."""


class ModelScorer:
    """A trained network; each tile is a run of its own, so no batch can change its result."""

    reflects = True

    def __init__(
        self,
        predictor: Predictor,
        preprocessing: Preprocessing,
        *,
        halo_px: int,
        multiple_px: int,
        normalisation: Normalisation | None = None,
    ):
        self._predictor: Predictor | None = predictor
        self._normalisation = normalisation
        self._mean = np.asarray(preprocessing.mean, np.float32)[:, None, None]
        self._scale = np.asarray([1 / s for s in preprocessing.std], np.float32)[:, None, None]
        self.halo_px, self.multiple_px = halo_px, multiple_px
        self._scratch = threading.local()

    def __call__(self, before: Seen, after: Seen) -> NDArray[np.float32]:
        assert self._predictor is not None  # not closed
        if self._normalisation is not None:
            after = Seen(self._normalisation.apply(after.floats()), after.invalid)
        early = self.scaled(before, self._buffer("before", before.values.shape))
        late = self.scaled(after, self._buffer("after", after.values.shape))
        return self._predictor(early[None], late[None])[0]

    def close(self) -> None:
        """Free the predictor: its working memory is the largest of all, and writing needs some too."""
        self._predictor = None
        self._scratch = threading.local()

    def _buffer(self, date: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """An array of this thread, used again for the next tile: fresh pages cost as much as the scaling."""
        kept = getattr(self._scratch, date, None)
        if kept is None or kept.shape != shape:
            kept = np.empty(shape, np.float32)
            setattr(self._scratch, date, kept)
        return kept

    def scaled(self, seen: Seen, out: NDArray[np.float32]) -> NDArray[np.float32]:
        """What Preprocessing.apply gives, bit for bit, written to `out` straight from stored integers.

        Two passes over the pixels; going by float32 and NaN takes five times as long.
        """
        values = np.subtract(seen.values, self._mean, out=out, dtype=np.float32)
        values *= self._scale
        if seen.invalid is not None:
            values[seen.invalid] = 0
        return values
