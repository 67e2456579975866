"""Depth of a photo by sweeping planes through space, made smooth from four sides; kernels.

At every pixel and inverse depth a window of the photo is compared with the same window of a neighbour, seen
through the plane at that depth: normalised cross-correlation, the mean of the better half of the neighbours
(Collins, 1996). Semi-global matching (Hirschmüller, 2008) carries depth across what has no texture.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

RADIUS_PX = 2  # of the window
TAPS = 2 * RADIUS_PX + 1
NOISE = 1e-4  # variance of grey values 0..1 below which a window is blank
BLANK = 1.0  # cost of a window that nothing was compared with: that of no correlation
SMALL_STEP, LARGE_STEP = 0.1, 0.6  # costs of a depth one plane, or more, away from the neighbour's
EDGE = 0.08  # difference of grey values at which a large step costs half

Floats32 = NDArray[np.float32]
# nothing is reordered: loops are compiled in two ways, and which of them runs depends on addresses
_MATH = {"contract", "nsz"}


def costs(grey: Floats32, others: list[Floats32], maps: list[tuple[Floats32, Floats32]], inverse: Floats32):
    """1 - correlation [H, W, D], 0..2, of a photo with others, at inverse depths [D].

    grey [H, W], 0..1. maps: for each other photo a matrix [3, 3] and a vector [3] that bring (u, v, 1) at
    inverse depth r to the other's homogeneous pixel, A (u, v, 1) + r b.
    """
    height, width = grey.shape
    each = np.empty((len(others), height, width), np.float32)
    volume = np.empty((height, width, len(inverse)), np.float32)
    sums = _sums(grey)
    warped, shown = np.empty_like(grey), np.empty(grey.shape, np.bool_)
    room = np.empty((3, height, width), np.float32)
    for d, value in enumerate(inverse):
        for s, (other, (matrix, shift)) in enumerate(zip(others, maps, strict=True)):
            _warp(other, matrix, shift, np.float32(value), warped, shown)
            _correlate(grey, sums, warped, shown, room, each[s])
        _better_half(each, volume[:, :, d])
    return volume


def _sums(grey: Floats32) -> Floats32:
    """Means and variances [2, H, W] of the windows; at the rim, where there is none, variance 0."""
    out = np.zeros((2, *grey.shape), np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(grey, (TAPS, TAPS))
    inner = slice(RADIUS_PX, -RADIUS_PX)
    out[0, inner, inner] = windows.mean(axis=(2, 3))
    out[1, inner, inner] = windows.var(axis=(2, 3))
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _warp(other, matrix, shift, inverse, out, shown):
    """The other photo as the plane at an inverse depth shows it; which pixels it shows."""
    height, width = other.shape
    half = np.float32(0.5)
    for y in range(out.shape[0]):
        v = np.float32(y) + half
        a = matrix[0, 1] * v + matrix[0, 2] + inverse * shift[0]
        b = matrix[1, 1] * v + matrix[1, 2] + inverse * shift[1]
        c = matrix[2, 1] * v + matrix[2, 2] + inverse * shift[2]
        for x in range(out.shape[1]):
            u = np.float32(x) + half
            w = matrix[2, 0] * u + c
            by = np.float32(1) / w
            column = (matrix[0, 0] * u + a) * by - half
            row = (matrix[1, 0] * u + b) * by - half
            seen = w > 0 and column >= 0 and row >= 0 and column < width - 1 and row < height - 1
            shown[y, x] = seen
            if not seen:
                out[y, x] = 0
                continue
            i, j = int(row), int(column)
            t, s = row - np.float32(i), column - np.float32(j)
            upper = other[i, j] + s * (other[i, j + 1] - other[i, j])
            lower = other[i + 1, j] + s * (other[i + 1, j + 1] - other[i + 1, j])
            out[y, x] = upper + t * (lower - upper)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_MATH)
def _correlate(grey, sums, warped, shown, room, out):
    """1 - correlation of the windows, -1 where the other photo does not show the middle."""
    height, width = grey.shape
    one, scale = np.float32(1), np.float32(1 / (TAPS * TAPS))
    for y in range(height):  # along columns
        low, high = max(0, y - RADIUS_PX), min(height, y + RADIUS_PX + 1)
        m, q, p = room[0, y], room[1, y], room[2, y]
        m[:] = 0
        q[:] = 0
        p[:] = 0
        for k in range(low, high):
            line, mine = warped[k], grey[k]
            for x in range(width):
                value = line[x]
                m[x] += value
                q[x] += value * value
                p[x] += value * mine[x]
    for y in range(height):
        line = out[y]
        m, q, p = room[0, y], room[1, y], room[2, y]
        mean, spread, seen = sums[0, y], sums[1, y], shown[y]
        for x in range(width):
            line[x] = -one
        for x in range(RADIUS_PX, width - RADIUS_PX):
            sm, sq, sp = np.float32(0), np.float32(0), np.float32(0)
            for k in range(-RADIUS_PX, RADIUS_PX + 1):
                sm += m[x + k]
                sq += q[x + k]
                sp += p[x + k]
            sm *= scale
            var = sq * scale - sm * sm
            covariance = sp * scale - sm * mean[x]
            quality = covariance / np.sqrt((var + np.float32(NOISE)) * (spread[x] + np.float32(NOISE)))
            if seen[x]:
                line[x] = max(np.float32(0), one - quality)


@njit(cache=True, nogil=True)
def _better_half(each, out):
    """The mean [H, W] of the smaller half of costs [S, H, W] that are not negative; BLANK where none is."""
    count = each.shape[0]
    sorted_ = np.empty(count, np.float32)
    for y in range(each.shape[1]):
        for x in range(each.shape[2]):
            known = 0
            for s in range(count):
                value = each[s, y, x]
                if value < 0:
                    continue
                place = known
                while place > 0 and sorted_[place - 1] > value:
                    sorted_[place] = sorted_[place - 1]
                    place -= 1
                sorted_[place] = value
                known += 1
            half = (known + 1) // 2
            total = np.float32(0)
            for s in range(half):
                total += sorted_[s]
            out[y, x] = total / np.float32(half) if known else np.float32(BLANK)


@njit(cache=True, nogil=True, fastmath=_MATH)
def smoothed(volume, grey):
    """The costs [H, W, D] summed along paths from the left, the right, above and below."""
    height, width, depth = volume.shape
    total = np.zeros_like(volume)
    last = np.empty((2, width, depth), np.float32)
    for turn in range(2):  # down, then up
        for i in range(height):
            y = i if turn == 0 else height - 1 - i
            y_before = y - 1 if turn == 0 else y + 1
            for x in range(width):
                now, before = last[i % 2, x], last[(i + 1) % 2, x]
                step = abs(grey[y, x] - grey[y_before, x]) if i else np.float32(0)
                _path(volume[y, x], before, now, i > 0, step)
                total[y, x] += now
    for turn in range(2):  # rightwards, then leftwards
        for y in range(height):
            for i in range(width):
                x = i if turn == 0 else width - 1 - i
                x_before = x - 1 if turn == 0 else x + 1
                now, before = last[0, i % 2], last[0, (i + 1) % 2]
                step = abs(grey[y, x] - grey[y, x_before]) if i else np.float32(0)
                _path(volume[y, x], before, now, i > 0, step)
                total[y, x] += now
    return total


@njit(cache=True, nogil=True, fastmath={"reassoc", "nnan", "nsz"})
def _least(values):
    """The smallest [] of values [D], which no order of comparing changes."""
    least = values[0]
    for d in range(1, values.shape[0]):
        least = min(least, values[d])
    return least


@njit(cache=True, nogil=True, fastmath=_MATH)
def _path(cost, before, now, begun, step):
    """One pixel of a path: its costs, and the cheapest way to come from the pixel before."""
    depth = cost.shape[0]
    if not begun:
        for d in range(depth):
            now[d] = cost[d]
        return
    least = _least(before)
    small = np.float32(SMALL_STEP)
    large = least + small + np.float32(LARGE_STEP - SMALL_STEP) / (1 + step / np.float32(EDGE))
    for d in range(1, depth - 1):
        near = min(before[d - 1], before[d + 1]) + small
        now[d] = cost[d] + min(min(before[d], near), large) - least
    end = depth - 1
    now[0] = cost[0] + min(min(before[0], before[1] + small), large) - least
    now[end] = cost[end] + min(min(before[end], before[end - 1] + small), large) - least


@njit(cache=True, nogil=True)
def best(total, volume):
    """The plane [H, W] of least cost, between planes by a parabola, and the costs there before smoothing."""
    height, width, depth = total.shape
    plane, cost = np.empty((height, width), np.float32), np.empty((height, width), np.float32)
    for y in range(height):
        for x in range(width):
            d = np.argmin(total[y, x])
            place = np.float32(d)
            if 0 < d < depth - 1:
                a, b, c = total[y, x, d - 1], total[y, x, d], total[y, x, d + 1]
                bend = a - 2 * b + c
                if bend > 0:
                    place += np.float32(0.5) * (a - c) / bend
            plane[y, x], cost[y, x] = place, volume[y, x, d]
    return plane, cost
