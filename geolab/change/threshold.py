"""What a probability map says at any threshold, from one count of its levels: nothing is detected again.

    found = threshold.distribution("probability.tif")
    found.changed(0.62) / 1e4, found.share(0.62)          # ha, share of the scene
    threshold.against("probability.tif", "label.tif", coding).confusion(0.62).f1

A map is read once, in windows, in constant memory. A threshold t means what it means in detection:
changed is where level / 254 >= t.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from geolab import raster
from geolab.change import metrics
from geolab.change.metrics import LEVELS, NODATA, PrCurve
from geolab.errors import BadInput, FileRejected
from geolab.raster.info import GDAL_ERRORS

Array = NDArray[Any]

WINDOW_PX = 2048  # side of the windows that are read
MOST_VALUES = 64  # a raster with more values than this is an image, not a label

TOP_LEVEL = LEVELS - 1  # of a probability of 1
_PROBABILITIES = np.arange(LEVELS) / TOP_LEVEL


@dataclass(frozen=True, eq=False)
class Distribution:
    """How much of a scene has each level of probability.

    pixels: int64 [255]. amount: float64 [255], m2 on the ground; pixels where the map has no CRS.
    located: whether amounts are m2.
    """

    pixels: NDArray[np.int64]
    amount: NDArray[np.float64]
    located: bool

    @property
    def valid(self) -> float:
        """What is valid at both dates, m2 (or pixels)."""
        return float(self.amount.sum())

    def changed(self, threshold: float) -> float:
        """What has a probability of at least the threshold, m2 (or pixels)."""
        return float(self.amount[metrics.level(threshold) :].sum())

    def changed_px(self, threshold: float) -> int:
        """The same in pixels, whatever their size."""
        return int(self.pixels[metrics.level(threshold) :].sum())

    def share(self, threshold: float) -> float:
        """The changed part of what is valid, 0..1; 0 where nothing is."""
        return self.changed(threshold) / self.valid if self.valid else 0.0

    def doubt(self, threshold: float, margin: float) -> Doubt:
        """The split into certain change, doubtful and certainly unchanged around a threshold.

        margin: of probability, 0..1: doubtful is threshold - margin <= p < threshold + margin.
        """
        low, high = (lowest_level(threshold + sign * margin) for sign in (-1, 1))
        parts = (self.amount[high:], self.amount[low:high], self.amount[:low])
        return Doubt(*(float(part.sum()) for part in parts))

    def curve(self) -> list[tuple[float, float]]:
        """(threshold, changed) at every level, from 0 to 1."""
        above = np.cumsum(self.amount[::-1])[::-1]
        return list(zip(_PROBABILITIES.tolist(), above.tolist(), strict=True))


@dataclass(frozen=True)
class Doubt:
    """Amounts in m2 (or pixels): surely changed, near the threshold, surely unchanged."""

    certain: float
    doubtful: float
    unchanged: float


def lowest_level(threshold: float) -> int:
    """The lowest level that is at least the threshold; 0 below 0, and 255 (no level at all) above 1."""
    return int(np.searchsorted(_PROBABILITIES, threshold))


def check(info: raster.Info) -> None:
    """Nothing, if the header is that of a probability map of detection. Raises FileRejected."""
    scale = info.scales[0] if info.scales else 1.0
    if (info.count, info.dtype, info.nodata) == (1, "uint8", NODATA) and abs(scale * TOP_LEVEL - 1) < 1e-6:
        return
    found = f"{info.count} band(s) of {info.dtype}, nodata {info.nodata}, scale {scale:.4g}"
    raise FileRejected(
        info.uri,
        f"no probability of change ({found}); expected one band of bytes 0..254, nodata 255, scale 1/254",
    )  # fmt: skip


def distribution(probability: str) -> Distribution:
    """The levels of a probability map, counted and measured by the rules of the products' areas.

    Raises NotFound, FileRejected.
    """
    info = raster.read_info(probability)
    check(info)
    located = info.crs is not None
    areas = raster.row_areas_m2(info) if located else np.ones(info.height)
    pixels, amount = np.zeros(LEVELS, np.int64), np.zeros(LEVELS)
    with raster.open_raster(probability) as dataset:
        for window in raster.iter_windows(info, WINDOW_PX):
            rows = _levels_by_row(read(dataset, window))
            top = int(window.row_off)
            amount += areas[top : top + len(rows)] @ rows
            pixels += rows.sum(axis=0)
    return Distribution(pixels, amount, located)


def read(dataset: Any, window: Window) -> Array:
    """The stored levels [y, x] of a window. Raises FileRejected when the file is damaged."""
    try:
        return dataset.read(1, window=window)
    except GDAL_ERRORS as error:
        raise FileRejected(dataset.name, f"its pixels can't be read, the file is damaged: {error}") from error


def _levels_by_row(levels: Array) -> Array:
    """[y, 255]: how often each level stands in each row."""
    rows = np.arange(len(levels), dtype=np.intp)[:, None] * 256
    counts = np.bincount((rows + levels).ravel(), minlength=256 * len(levels))
    return counts.reshape(len(levels), 256)[:, :LEVELS]


# ---------------------------------------------------------------- against a truth


@dataclass(frozen=True)
class Coding:
    """Which values of a label mean changed and unchanged; all others are unlabelled."""

    changed: int
    unchanged: int

    def decode(self, values: Array) -> NDArray[np.uint8]:
        """Labels as 0, 1 or 255 for unlabelled."""
        decoded = np.full(values.shape, NODATA, np.uint8)
        decoded[values == self.unchanged] = 0
        decoded[values == self.changed] = 1
        return decoded


def values_of(label: str) -> dict[int, int]:
    """The whole numbers in a label and how many pixels have each; invalid pixels are left out.

    Raises FileRejected for more values than labels have, and for fractions.
    """
    found: dict[int, int] = {}
    info = raster.read_info(label)
    with raster.open_raster(label) as dataset:
        for window in raster.iter_windows(info, WINDOW_PX):
            values, counts = np.unique(raster.read_window(dataset, window)[0], return_counts=True)
            for value, count in zip(values.tolist(), counts.tolist(), strict=True):
                if np.isfinite(value):
                    found[value] = found.get(value, 0) + count
            if len(found) > MOST_VALUES or any(value != int(value) for value in found):
                raise FileRejected(label, "not a label: too many values, or fractions; expected 0 and 1")
    return {int(value): found[value] for value in sorted(found)}


def coding_of(values: dict[int, int]) -> Coding | None:
    """What the values mean where that is plain: 0/1 or 0/255, with 255 beside 0/1 for unlabelled."""
    present = set(values)
    if present <= {0, 1, 255} and 1 in present:
        return Coding(changed=1, unchanged=0)
    return Coding(changed=255, unchanged=0) if present == {0, 255} else None


def against(probability: str, label: str, coding: Coding) -> PrCurve:
    """Levels of the changed and of the unchanged pixels that a label knows: scores at every threshold.

    Raises GridMismatch unless both lie on one grid; BadInput where no labelled pixel has a probability.
    """
    info = raster.read_info(probability)
    check(info)
    raster.same_grid(info, raster.read_info(label))
    total = PrCurve.empty()
    with raster.open_raster(probability) as levels, raster.open_raster(label) as truth:
        for window in raster.iter_windows(info, WINDOW_PX):
            known = coding.decode(raster.read_window(truth, window)[0])
            total += metrics.pr_curve(read(levels, window), known, ignore=NODATA)
    if not total.changed.sum() + total.unchanged.sum():
        raise BadInput(
            "label", found="no labelled pixel inside the map", expected="some pixels that say changed or not"
        )
    return total


def reliability(curve: PrCurve, bins: int = 10) -> list[tuple[float, float, int]]:
    """(mean probability, share that did change, pixels) of each tenth of 0..1 that holds pixels.

    On the diagonal a probability of 0.7 means that 7 of 10 such pixels changed.
    """
    which = np.minimum((_PROBABILITIES * bins).astype(int), bins - 1)
    seen = curve.changed + curve.unchanged
    found = []
    for each in range(bins):
        inside = which == each
        count = int(seen[inside].sum())
        if count:
            mean = float((_PROBABILITIES[inside] * seen[inside]).sum()) / count
            found.append((mean, int(curve.changed[inside].sum()) / count, count))
    return found


# ---------------------------------------------------------------- two methods


@dataclass(frozen=True)
class Agreement:
    """Amounts in m2 (or pixels) of what is valid in both maps: changed in both, in one only, in neither."""

    both: float
    first_only: float
    second_only: float
    neither: float


@dataclass(frozen=True, eq=False)
class Joint:
    """How much of a scene has each pair of levels in two maps: amount [255, 255], m2 (or pixels)."""

    amount: NDArray[np.float64]
    located: bool

    def agreement(self, first: float, second: float) -> Agreement:
        """How the maps agree, each at its own threshold."""
        a, b = metrics.level(first), metrics.level(second)
        parts = (self.amount[a:, b:], self.amount[a:, :b], self.amount[:a, b:], self.amount[:a, :b])
        return Agreement(*(float(part.sum()) for part in parts))


def joint(first: str, second: str) -> Joint:
    """The levels of two probability maps of one grid, counted together.

    Raises GridMismatch, NotFound, FileRejected.
    """
    info, other = raster.read_info(first), raster.read_info(second)
    for each in (info, other):
        check(each)
    raster.same_grid(info, other)
    located = info.crs is not None
    areas = raster.row_areas_m2(info) if located else np.ones(info.height)
    total = np.zeros(256 * 256)
    with raster.open_raster(first) as one, raster.open_raster(second) as two:
        for top, a, b in _strips(one, two, info):
            total += _weighted(a.astype(np.intp) * 256 + b, areas[top : top + len(a)])
    return Joint(total.reshape(256, 256)[:LEVELS, :LEVELS], located)


def _strips(one: Any, two: Any, info: raster.Info) -> Iterator[tuple[int, Array, Array]]:
    for window in raster.iter_windows(info, WINDOW_PX):
        yield int(window.row_off), read(one, window), read(two, window)


def _weighted(pairs: Array, areas: Array) -> Array:
    """[65536]: the area of each pair of levels."""
    if (areas == areas[0]).all():
        return np.bincount(pairs.ravel(), minlength=256 * 256) * areas[0]
    weights = np.repeat(areas, pairs.shape[1])
    return np.bincount(pairs.ravel(), weights, minlength=256 * 256)
