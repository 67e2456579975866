"""Change without training: a statistic for every pixel, fitted on a sample of one pair.

    fitted = classic.fit("irmad", windows)          # a sample of (before, after)
    score = fitted.score(fitted.statistic(before, after))
    mask = score >= 0.5                             # Otsu's threshold on the sample

`fit` sees a sample once; `statistic` then works on any window by itself, so that a scene of
any size is detected piece by piece with the same result.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from geolab.change import cva, irmad, pca_kmeans
from geolab.change.otsu import otsu, separating
from geolab.errors import BadInput

__all__ = ["METHODS", "Fitted", "fit", "otsu"]

Array = NDArray[Any]

METHODS = ("cva", "irmad", "pca_kmeans")


class Measure(Protocol):
    """What a method has learnt from the sample."""

    @property
    def halo_px(self) -> int:
        """How far a pixel's statistic looks around it."""
        ...

    def statistic(self, before: Array, after: Array) -> NDArray[np.float32]:
        """The statistic of every pixel, [y, x]; NaN where a date is invalid."""
        ...


@dataclass(frozen=True, eq=False)
class Fitted:
    """A method fitted to one pair.

    threshold: in the statistic's units, Otsu's on the sample (for PCA-k-means the border
    between its clusters); where the sample holds one class only, above it, see otsu.separating.
    halo_px: rows and columns around a window that its statistic needs; at the edge of the scene
    there are none, and none (or NaN) need to be given.
    """

    method: str
    measure: Measure
    threshold: float
    bands: int

    @property
    def halo_px(self) -> int:
        """Pixels around a window that its statistic depends on."""
        return self.measure.halo_px

    def statistic(self, before: Array, after: Array) -> NDArray[np.float32]:
        """The change statistic, [y, x] float32 >= 0; NaN where any band of either date is.

        before, after: [band, y, x] float, NaN where invalid; the same bands as the sample.
        Raises BadInput for other shapes.
        """
        before, after = _clean(before), _clean(after)
        _check_window(before, after)
        if len(before) != self.bands:
            raise BadInput("pair", found=f"{len(before)} bands", expected=f"{self.bands} as in the sample")
        return self.measure.statistic(before, after)

    def score(self, statistic: Array) -> NDArray[np.float32]:
        """The statistic on 0..1: rising, and exactly 0.5 at the threshold; NaN stays NaN.

        s / (s + threshold). Where the sample showed no change at all the threshold is 0 and
        any change scores 1.
        """
        statistic = np.asarray(statistic, np.float32)
        total = statistic + np.float32(self.threshold)
        return np.divide(statistic, total, out=np.zeros_like(statistic), where=total != 0)


def fit(method: str, windows: Iterable[tuple[Array, Array]]) -> Fitted:
    """The method fitted to a sample of windows of one pair.

    windows: (before, after), each [band, y, x] float, NaN where invalid. They are held in
    memory together as float32.
    Raises BadInput for an unknown method, unlike shapes, or a sample that a method can learn
    nothing from (no valid pixel; for IR-MAD also too few, or a date without contrast).
    """
    if method not in METHODS:
        raise BadInput("method", found=method, expected=", ".join(METHODS))
    sample = checked(windows)
    before, after = valid_pixels(sample)
    length = cva.fit(before, after)
    if method == "pca_kmeans":
        # the border between its clusters; Otsu's threshold has no part in it
        clusters = pca_kmeans.fit(sample, length)
        return Fitted(method, clusters, clusters.border, bands=len(before))
    measure = length if method == "cva" else irmad.fit(before, after)
    statistic = measure.statistic(before, after)
    threshold = separating(statistic, otsu(statistic), freedom=len(before))
    return Fitted(method, measure, threshold, bands=len(before))


def checked(windows: Iterable[tuple[Array, Array]]) -> list[tuple[Array, Array]]:
    """The windows as float32 with NaN wherever invalid; BadInput for unlike shapes or none."""
    sample = [(_clean(early), _clean(late)) for early, late in windows]
    for before, after in sample:
        _check_window(before, after)
        if len(before) != len(sample[0][0]):
            raise BadInput(
                "sample",
                found=f"a window with {len(before)} bands",
                expected=f"{len(sample[0][0])} as the first",
            )
    if not sample:
        raise BadInput("sample", found="no window", expected="at least one")
    return sample


def _clean(image: Array) -> NDArray[np.float32]:
    """The image as float32 with NaN also where it is infinite; copied only if it must be."""
    image = np.asarray(image, np.float32)
    infinite = np.isinf(image)
    return np.where(infinite, np.float32(np.nan), image) if infinite.any() else image


def _check_window(before: Array, after: Array) -> None:
    if before.shape != after.shape or before.ndim != 3:
        raise BadInput(
            "pair",
            found=f"before {before.shape}, after {after.shape}",
            expected="the same [band, y, x]",
            remedy="align the images first: geolab.raster.align",
        )


def valid_pixels(sample: list[tuple[Array, Array]]) -> tuple[Array, Array]:
    """The pixels valid in every band of both dates, [band, N] and [band, N].

    Raises BadInput if there is none.
    """
    kept = [np.isfinite(before).all(0) & np.isfinite(after).all(0) for before, after in sample]
    if not any(valid.any() for valid in kept):
        raise BadInput(
            "pair",
            found="no pixel that is valid at both dates",
            expected="images that overlap outside of their nodata",
        )
    before = np.concatenate([pair[0][:, valid] for pair, valid in zip(sample, kept, strict=True)], axis=1)
    after = np.concatenate([pair[1][:, valid] for pair, valid in zip(sample, kept, strict=True)], axis=1)
    return before, after
