"""Iteratively reweighted multivariate alteration detection."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincc

from geolab.errors import BadInput

Array = NDArray[Any]
Float = NDArray[np.float64]

TOLERANCE = 1e-3  # largest change of a canonical correlation that counts as converged
MAX_ITERATIONS = 50
_CHUNK = 1 << 16  # pixels turned to float64 at once
_RANK = 1e-10  # eigenvalues below this share of the largest are collinear bands
_VARIANCE_FLOOR = 1e-8  # of a MAD variate; a perfect correlation would divide by zero
_NOTHING = 1e-3  # statistics below are rounding: identical images give exactly zero


@dataclass(frozen=True, eq=False)
class IrMad:
    """Canonical variates of two dates, the MAD variates' variance, and how they were found.

    before, after: [K, band] rows that turn pixels into canonical variates; offset: [K].
    variance: [K], that of the MAD variates over pixels without change: 2 (1 - correlation).
    correlation: [K], falling. K is the smaller number of independent bands of the two dates.
    """

    before: Float
    after: Float
    offset: Float
    variance: Float
    correlation: Float
    iterations: int
    converged: bool
    halo_px: int = 0

    def statistic(self, before: Array, after: Array) -> NDArray[np.float32]:
        """Square root of the sum of squared standardised MAD variates, [y, x]; NaN where invalid.

        Its square follows chi-square with K degrees of freedom where nothing changed. The root
        is taken because Otsu's threshold expects two compact classes: chi-square's own tail is
        so long that the threshold ends far above the change.
        """
        return np.sqrt(self._chi_square(before, after)).astype(np.float32)

    def no_change(self, before: Array, after: Array) -> Float:
        """Probability that nothing changed, [y, x], 0..1; NaN where invalid.

        The share of unchanged pixels that look at least as changed, if MAD variates are normal.
        Low rather than high: the weights favour the calmest of the unchanged pixels, so that
        the others look more changed than they are. Nielsen (2007).
        """
        return _survival(self._chi_square(before, after), len(self.variance))

    def _chi_square(self, before: Array, after: Array) -> Float:
        total = np.zeros(before.shape[1:])
        for k, variance in enumerate(self.variance):
            # band by band, not as a matrix product: a pixel's sum must not depend on its window
            variate = np.full(before.shape[1:], self.offset[k])
            for band, (early, late) in enumerate(zip(before, after, strict=True)):
                variate += self.before[k, band] * early
                variate -= self.after[k, band] * late
            variate *= variate
            variate /= variance
            total += variate
        total[total < _NOTHING**2] = 0
        return total


def fit(before: Array, after: Array) -> IrMad:
    """The transformation whose weights agree with its own chance of no change.

    before, after: [band, N] valid pixels. Every pixel's weight is its chance of no change under
    the last transformation, until no canonical correlation moves by more than 0.001 or 50
    rounds are done: the unchanged pixels end up defining what "unchanged" looks like.
    Bands that are constant or a combination of others take no part.
    Raises BadInput for too few pixels, or a date without any contrast.
    Nielsen (2007), The regularized iteratively reweighted MAD method.
    """
    bands, pixels = before.shape
    if pixels < 2 * bands + 2:
        raise BadInput(
            "IR-MAD", found=f"{pixels} valid pixels of {bands} bands", expected=f"at least {2 * bands + 2}"
        )
    stacked = np.concatenate([before, after])
    centre, spread = _standard(stacked)
    if np.array_equal(before, after) and not spread.any():
        return _no_contrast(bands)
    _check_contrast(spread[:bands], spread[bands:])

    measure = _transform(stacked, np.ones(pixels), centre, spread)
    while measure.iterations < MAX_ITERATIONS:
        last, weights = measure, _weights(measure, before, after)
        measure = replace(_transform(stacked, weights, centre, spread), iterations=last.iterations + 1)
        if _settled(last.correlation, measure.correlation):
            return replace(measure, converged=True)
    return measure


def _settled(known: Float, correlation: Float) -> bool:
    return len(known) == len(correlation) and bool(np.abs(known - correlation).max() < TOLERANCE)


def _weights(measure: IrMad, before: Array, after: Array) -> Float:
    parts = [
        measure.no_change(before[:, at : at + _CHUNK], after[:, at : at + _CHUNK])
        for at in range(0, before.shape[1], _CHUNK)
    ]
    weights = np.concatenate(parts)
    # when no pixel looks unchanged there is nothing to reweight by
    return weights if weights.sum() > len(before) else np.ones(before.shape[1])


def _transform(stacked: Array, weights: Float, centre: Float, spread: Float) -> IrMad:
    """The canonical correlation analysis of weighted pixels."""
    bands = len(stacked) // 2
    inverse = np.divide(1, spread, out=np.zeros_like(spread), where=spread > 0)
    mean, covariance = _moments(stacked, weights, centre, inverse)
    whiten_before, whiten_after = _whitener(covariance[:bands, :bands]), _whitener(covariance[bands:, bands:])
    left, correlation, right = np.linalg.svd(
        whiten_before @ covariance[:bands, bands:] @ whiten_after.T, full_matrices=False
    )
    rows_before = (left.T @ whiten_before) * inverse[:bands]
    rows_after = (right @ whiten_after) * inverse[bands:]
    centre = centre + np.divide(mean, inverse, out=np.zeros_like(mean), where=inverse > 0)
    offset = rows_after @ centre[bands:] - rows_before @ centre[:bands]
    correlation = np.minimum(correlation, 1.0)
    variance = np.maximum(2 * (1 - correlation), _VARIANCE_FLOOR)
    return IrMad(rows_before, rows_after, offset, variance, correlation, iterations=1, converged=False)


def _moments(stacked: Array, weights: Float, centre: Float, inverse: Float) -> tuple[Float, Float]:
    """Weighted mean [2 band] and covariance [2 band, 2 band] of standardised pixels."""
    total, first = 0.0, np.zeros(len(stacked))
    second = np.zeros((len(stacked), len(stacked)))
    for at in range(0, stacked.shape[1], _CHUNK):
        pixels = (stacked[:, at : at + _CHUNK] - centre[:, None]) * inverse[:, None]
        weight = weights[at : at + _CHUNK]
        weighted = pixels * weight
        total += weight.sum()
        first += weighted.sum(1)
        second += weighted @ pixels.T
    mean = first / total
    return mean, second / total - np.outer(mean, mean)


def _standard(stacked: Array) -> tuple[Float, Float]:
    """Mean and standard deviation of every band, [2 band]; exactly 0 where it is constant."""
    centre = stacked.mean(1, dtype=np.float64)
    spread = stacked.std(1, dtype=np.float64)
    constant = stacked.min(1) == stacked.max(1)
    return centre, np.where(constant, 0.0, spread)


def _whitener(covariance: Float) -> Float:
    """Rows that turn pixels into uncorrelated ones of variance 1, [rank, band]."""
    values, vectors = np.linalg.eigh(covariance)
    kept = values > _RANK * max(values[-1], np.finfo(np.float64).tiny)
    return (vectors[:, kept] / np.sqrt(values[kept])).T


def _survival(chi_square: Float, freedom: int) -> Float:
    if freedom == 0:  # images without contrast: nothing can differ
        return np.where(np.isnan(chi_square), np.nan, 1.0)
    return gammaincc(freedom / 2, chi_square / 2)


def _no_contrast(bands: int) -> IrMad:
    empty = np.empty((0, bands))
    return IrMad(empty, empty, np.empty(0), np.empty(0), np.empty(0), 0, converged=True)


def _check_contrast(before: Float, after: Float) -> None:
    for name, spread in (("before", before), ("after", after)):
        if not spread.any():
            raise BadInput(
                "IR-MAD",
                found=f"'{name}' has one constant value in every band",
                expected="an image with contrast",
                remedy="use method cva",
            )
