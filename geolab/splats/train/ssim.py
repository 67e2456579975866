"""Structural similarity with its gradient, in row kernels that compilers vectorise.

Wang et al. (2004) with a Gaussian window of 11 pixels, sigma 1.5, population statistics and a data range of
1, at the pixels whose window lies inside the image: the mean is skimage's
`structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False)`.

Images are rows of interleaved colours, so a step to the next pixel is a step of three values and every
inner loop runs over contiguous memory. The gradient runs the two blurs backward; nothing is allocated.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit
from numpy.typing import NDArray

from geolab.splats.rasterize.kernels.pool import evenly, share

RADIUS_PX = 5
TAPS = 2 * RADIUS_PX + 1
SIGMA_PX = 1.5
C1, C2 = 0.01**2, 0.03**2  # stabilisers of a data range of 1
CHANNELS = 3
LEAST_ROWS = 32  # that are worth a thread's turn
# contraction and reassociation only: NaN must stay NaN
_MATH = {"contract", "reassoc", "arcp", "nsz"}

Array = NDArray[np.floating]


def window(dtype: type = np.float32) -> Array:
    """The weights of the window along one axis [11]; their sum is 1."""
    weights = np.exp(-0.5 * (np.arange(TAPS) - RADIUS_PX) ** 2 / SIGMA_PX**2)
    return (weights / weights.sum()).astype(dtype)


class Workspace:
    """The memory of one image size, kept from step to step."""

    def __init__(self, height: int, width: int, dtype: type = np.float32):
        self.shape, self.dtype = (height, width), np.dtype(dtype)
        inner = CHANNELS * (width - 2 * RADIUS_PX)
        rows = height - 2 * RADIUS_PX
        self.weights = window(dtype)
        self.moments = np.empty((5, height, inner), dtype)  # x, y, xx, yy, xy, blurred along x
        self.slopes = np.empty((3, rows, inner), dtype)  # of the similarity by mean, xx and xy
        self.spread = np.empty((3, rows, CHANNELS * width), dtype)  # these, blurred back along x
        self.partial = np.empty(rows, np.float64)


def similarity(
    x: Array, y: Array, keep: NDArray[np.bool_] | None, grad: Array, work: Workspace, *, threads: int = 1
) -> float:
    """The mean similarity of x and y [H, W, 3]; its gradient by x is written to grad [H, W, 3].

    keep: [H, W], which pixels count; None for all of those whose window lies inside.
    """
    height, width = work.shape
    flat = (height, CHANNELS * width)
    inner = slice(RADIUS_PX, -RADIUS_PX)
    counted = (height - 2 * RADIUS_PX) * (width - 2 * RADIUS_PX) if keep is None else keep[inner, inner].sum()
    if counted == 0:
        grad[...] = 0
        return 1.0
    mask = np.empty((0, 0), np.bool_) if keep is None else keep
    weight = 1.0 / (CHANNELS * float(counted))
    rows_x, rows_y = x.reshape(flat), y.reshape(flat)
    out, w = grad.reshape(flat), work.weights
    many, fewer = height, height - 2 * RADIUS_PX
    by_rows(lambda a, b: _blur_rows(rows_x, rows_y, w, work.moments, a, b), many, threads)
    by_rows(
        lambda a, b: _compare(work.moments, w, mask, weight, work.slopes, work.partial, a, b),
        fewer, threads,
    )  # fmt: skip
    by_rows(lambda a, b: _blur_back(work.slopes, w, work.spread, a, b), fewer, threads)
    by_rows(lambda a, b: _gather(work.spread, w, rows_x, rows_y, out, a, b), many, threads)
    return float(work.partial.sum())


def by_rows(work: Callable[[int, int], None], rows: int, threads: int) -> None:
    """Calls work(start, stop) for ranges that cover the rows, on so many threads."""
    share(work, evenly(rows, threads, LEAST_ROWS), threads)


@njit(cache=True, nogil=True, fastmath=_MATH)
def _blur_rows(x, y, weights, moments, start, stop):
    inner = moments.shape[2]
    for row in range(start, stop):
        a, b = x[row], y[row]
        m0, m1, m2 = moments[0, row], moments[1, row], moments[2, row]
        m3, m4 = moments[3, row], moments[4, row]
        for j in range(inner):
            m0[j] = m1[j] = m2[j] = m3[j] = m4[j] = 0
        for k in range(weights.shape[0]):
            w, at = weights[k], 3 * k
            p, q = a[at : at + inner], b[at : at + inner]
            for j in range(inner):
                u, v = p[j], q[j]
                wu, wv = w * u, w * v
                m0[j] += wu
                m1[j] += wv
                m2[j] += wu * u
                m3[j] += wv * v
                m4[j] += wu * v


@njit(cache=True, nogil=True, fastmath=_MATH)
def _compare(moments, weights, mask, weight, slopes, partial, start, stop):
    inner = slopes.shape[2]
    real = moments.dtype.type
    c1, c2, one, two, scale = real(C1), real(C2), real(1), real(2), real(weight)
    sums = np.empty((5, inner), moments.dtype)
    score = np.empty(inner, moments.dtype)
    for row in range(start, stop):
        sums[:] = 0
        for q in range(5):
            total = sums[q]
            for k in range(weights.shape[0]):
                w, line = weights[k], moments[q, row + k]
                for j in range(inner):
                    total[j] += w * line[j]
        s0, s1, s2, s3, s4 = sums[0], sums[1], sums[2], sums[3], sums[4]
        d0, d1, d2 = slopes[0, row], slopes[1, row], slopes[2, row]
        for j in range(inner):
            mx, my = s0[j], s1[j]
            above1, below1 = two * mx * my + c1, mx * mx + my * my + c1
            above2 = two * (s4[j] - mx * my) + c2
            below2 = (s2[j] - mx * mx) + (s3[j] - my * my) + c2
            by1, by2 = one / below1, one / below2
            over = scale * by1 * by2
            value = above1 * above2 * over
            score[j] = value
            d1[j] = -value * by2
            d2[j] = two * above1 * over
            d0[j] = two * (my * (above2 - above1) * over - mx * value * (by1 - by2))
        if mask.shape[0] > 0:
            for j in range(inner):
                if not mask[row + RADIUS_PX, j // 3 + RADIUS_PX]:
                    score[j] = d0[j] = d1[j] = d2[j] = 0
        total_score = 0.0
        for j in range(inner):
            total_score += score[j]
        partial[row] = total_score


@njit(cache=True, nogil=True, fastmath=_MATH)
def _blur_back(slopes, weights, spread, start, stop):
    inner = slopes.shape[2]
    for row in range(start, stop):
        for q in range(3):
            line, out = slopes[q, row], spread[q, row]
            out[:] = 0
            for k in range(weights.shape[0]):
                w, part = weights[k], out[3 * k : 3 * k + inner]
                for j in range(inner):
                    part[j] += w * line[j]


@njit(cache=True, nogil=True, fastmath=_MATH)
def _gather(spread, weights, x, y, grad, start, stop):
    rows, width = spread.shape[1], spread.shape[2]
    two = spread.dtype.type(2)
    sums = np.empty((3, width), spread.dtype)
    for row in range(start, stop):
        sums[:] = 0
        first, last = max(0, row - rows + 1), min(weights.shape[0] - 1, row)
        for q in range(3):
            total = sums[q]
            for k in range(first, last + 1):
                w, line = weights[k], spread[q, row - k]
                for j in range(width):
                    total[j] += w * line[j]
        s0, s1, s2, a, b, out = sums[0], sums[1], sums[2], x[row], y[row], grad[row]
        for j in range(width):
            out[j] = s0[j] + two * a[j] * s1[j] + b[j] * s2[j]
