"""Pictures on other pixels. Made smaller, each new pixel is the mean of exactly the area that it covers.

Pillow's BOX counts whole pixels by their centres, which moves things by up to half a pixel of the source.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Box = tuple[float, float, float, float]  # left, upper, right, lower
Floats = NDArray[np.float32]


def mean(pixels: np.ndarray, size: tuple[int, int], box: Box | None = None) -> Floats:
    """A picture [y, x] or [y, x, band] on `size` (width, height) pixels.

    box: the part of it that is to fill them, in its pixels; by default the whole.
    """
    height, width = pixels.shape[:2]
    left, upper, right, lower = box or (0.0, 0.0, float(width), float(height))
    if size == (width, height) and (left, upper, right, lower) == (0, 0, width, height):
        return pixels.astype(np.float32)
    bands = 1 if pixels.ndim == 2 else pixels.shape[2]
    flat = pixels.reshape(height, width * bands).astype(np.float32)
    rows = _weights(height, size[1], upper, lower) @ flat  # [h, width * bands]
    turned = rows.reshape(size[1], width, bands).transpose(1, 0, 2).reshape(width, size[1] * bands)
    both = (_weights(width, size[0], left, right) @ turned).reshape(size[0], size[1], bands)
    out = np.ascontiguousarray(both.transpose(1, 0, 2))
    return out[..., 0] if pixels.ndim == 2 else out


def _weights(source: int, target: int, start: float, stop: float) -> csr_array:
    """[target, source]: the share of each source pixel in the mean of each new one."""
    edges = np.linspace(start, stop, target + 1)
    first = np.minimum(np.floor(edges[:-1]).astype(int), source - 1)
    reach = int(np.ceil((stop - start) / target)) + 1
    columns = first[:, None] + np.arange(reach)
    shares = np.minimum(edges[1:, None], columns + 1) - np.maximum(edges[:-1, None], columns)
    shares = np.clip(shares, 0, None)
    shares[columns >= source] = 0
    shares /= shares.sum(axis=1, keepdims=True)
    rows = np.repeat(np.arange(target), reach)
    values = shares.ravel().astype(np.float32)
    return csr_array((values, (rows, np.minimum(columns, source - 1).ravel())), shape=(target, source))


@numba.njit(cache=True, nogil=True)
def bilinear(pixels, rows, columns):
    """The picture [y, x, band] at rows, columns [v, u] of its array, float32 [v, u, band].

    Between the centres of its pixels; beyond its outermost centres it goes on as it ends.
    """
    height, width, bands = pixels.shape
    out = np.empty((rows.shape[0], rows.shape[1], bands), np.float32)
    for v in range(rows.shape[0]):
        for u in range(rows.shape[1]):
            y = min(max(rows[v, u], np.float32(0)), np.float32(height - 1))
            x = min(max(columns[v, u], np.float32(0)), np.float32(width - 1))
            top, left = int(y), int(x)
            low, right = min(top + 1, height - 1), min(left + 1, width - 1)
            down, over = y - np.float32(top), x - np.float32(left)
            for b in range(bands):
                upper = (1 - over) * pixels[top, left, b] + over * pixels[top, right, b]
                lower = (1 - over) * pixels[low, left, b] + over * pixels[low, right, b]
                out[v, u, b] = (1 - down) * upper + down * lower
    return out
