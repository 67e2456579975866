"""Numba kernels that paint things into a window: which row of the table is on top, and how high.

A window is (left, top, step): the centre of cell [r, c] lies at x = left + (c + 0.5) * step,
y = top - (r + 0.5) * step. They call nothing in other modules: Numba's cache sees changes only in
the file of a kernel itself.
"""

from __future__ import annotations

import math

import numba
import numpy as np

# The columns these kernels read; geolab.town.looks has them all.
_X, _Y, _COS, _SIN, _A, _B, _BASE, _EAVE, _RISE, _SHAPE, _PHASE = range(1, 12)
_DECIDUOUS = 19


@numba.njit(cache=True, nogil=True)
def ground(height, terrain, margin, terrain_step, left, top, step):
    """Fill `height` with the terrain, bilinear."""
    for r in range(height.shape[0]):
        v = (top - (r + 0.5) * step + margin) / terrain_step
        i = min(max(int(v), 0), terrain.shape[0] - 2)
        fv = min(max(v - i, 0.0), 1.0)
        for c in range(height.shape[1]):
            u = (left + (c + 0.5) * step + margin) / terrain_step
            j = min(max(int(u), 0), terrain.shape[1] - 2)
            fu = min(max(u - j, 0.0), 1.0)
            low = terrain[i, j] * (1 - fu) + terrain[i, j + 1] * fu
            high = terrain[i + 1, j] * (1 - fu) + terrain[i + 1, j + 1] * fu
            height[r, c] = low * (1 - fv) + high * fv


@numba.njit(cache=True, nogil=True)
def polygons(rows, xy, starts, numbers, left, top, step):
    """Paint polygons in order into `rows` by scan line: a cell belongs to it if its centre does."""
    crossings = np.empty(256)
    for p in range(len(numbers)):
        first, last = starts[p], starts[p + 1]
        low, high = 1e300, -1e300
        west, east = 1e300, -1e300
        for k in range(first, last):
            low, high = min(low, xy[k, 1]), max(high, xy[k, 1])
            west, east = min(west, xy[k, 0]), max(east, xy[k, 0])
        if east < left or west > left + rows.shape[1] * step:
            continue
        r0 = max(math.ceil((top - high) / step - 0.5), 0)
        r1 = min(math.floor((top - low) / step - 0.5), rows.shape[0] - 1)
        for r in range(r0, r1 + 1):
            y = top - (r + 0.5) * step
            n = 0
            for k in range(first, last):
                j = k + 1 if k + 1 < last else first
                if (xy[k, 1] <= y) != (xy[j, 1] <= y) and n < 256:
                    x = xy[k, 0] + (y - xy[k, 1]) * (xy[j, 0] - xy[k, 0]) / (xy[j, 1] - xy[k, 1])
                    m = n
                    while m > 0 and crossings[m - 1] > x:
                        crossings[m] = crossings[m - 1]
                        m -= 1
                    crossings[m] = x
                    n += 1
            for k in range(0, n - 1, 2):
                c0 = max(math.ceil((crossings[k] - left) / step - 0.5), 0)
                c1 = min(math.ceil((crossings[k + 1] - left) / step - 0.5), rows.shape[1])
                for c in range(c0, c1):
                    rows[r, c] = numbers[p]


@numba.njit(cache=True, nogil=True)
def bodies(height, rows, table, first, left, top, step):
    """Raise buildings and cars: rows `first`... of the table, each a rectangle with a roof."""
    for p in range(first, len(table)):
        t = table[p]
        reach = math.hypot(t[_A], t[_B])
        r0 = max(int((top - t[_Y] - reach) / step) - 1, 0)
        r1 = min(int((top - t[_Y] + reach) / step) + 2, rows.shape[0])
        c0 = max(int((t[_X] - reach - left) / step) - 1, 0)
        c1 = min(int((t[_X] + reach - left) / step) + 2, rows.shape[1])
        for r in range(r0, r1):
            dy = top - (r + 0.5) * step - t[_Y]
            for c in range(c0, c1):
                dx = left + (c + 0.5) * step - t[_X]
                u = abs(dx * t[_COS] + dy * t[_SIN])
                v = abs(-dx * t[_SIN] + dy * t[_COS])
                if u > t[_A] or v > t[_B]:
                    continue
                share = 0.0
                if t[_SHAPE] == 0:
                    share = 1 - v / t[_B]
                elif t[_SHAPE] == 1:
                    share = min(t[_B] - v, t[_A] - u) / t[_B]
                z = t[_BASE] + t[_EAVE] + t[_RISE] * share
                if z > height[r, c]:
                    height[r, c] = z
                    rows[r, c] = p


@numba.njit(cache=True, nogil=True)
def crowns(height, rows, table, first, last, left, top, step):
    """Raise trees: rows first..last, lobed domes (deciduous) or cones over their base height."""
    for p in range(first, last):
        t = table[p]
        reach = t[_A] * 1.2
        r0 = max(int((top - t[_Y] - reach) / step) - 1, 0)
        r1 = min(int((top - t[_Y] + reach) / step) + 2, rows.shape[0])
        c0 = max(int((t[_X] - reach - left) / step) - 1, 0)
        c1 = min(int((t[_X] + reach - left) / step) + 2, rows.shape[1])
        for r in range(r0, r1):
            dy = top - (r + 0.5) * step - t[_Y]
            for c in range(c0, c1):
                dx = left + (c + 0.5) * step - t[_X]
                d = math.sqrt(dx * dx + dy * dy)
                if d > reach:
                    continue
                turn = math.atan2(dy, dx)
                lobes = (
                    1 + 0.10 * math.sin(3 * turn + t[_PHASE]) + 0.07 * math.sin(7 * turn + 2.7 * t[_PHASE])
                )
                q = d / (t[_A] * lobes)
                if q > 1:
                    continue
                if t[_DECIDUOUS] > 0:
                    bumps = 0.09 * math.sin(2.3 * dx + t[_PHASE]) * math.sin(2.1 * dy + 1.7 * t[_PHASE])
                    share = math.sqrt(1 - q * q) * 0.62 + 0.38 * (1 + bumps)
                else:
                    share = 1 - 0.85 * q
                z = t[_BASE] + t[_EAVE] * share
                if z > height[r, c]:
                    height[r, c] = z
                    rows[r, c] = p


@numba.njit(cache=True, nogil=True)
def sunlit(x, y, z, height, peaks, left, top, step, to_sun):
    """Whether the sun reaches each point (0 or 1): march toward it over the height field.

    peaks: for cells of 8 x 8, the highest of themselves and their 8 neighbours: where the ray is above
    that, it may leap 8 cells. to_sun: unit vector east, north, up.
    """
    lit = np.empty(len(x), np.float32)
    flat = math.hypot(to_sun[0], to_sun[1])
    dc, dr = to_sun[0] / flat, -to_sun[1] / flat
    climb = to_sun[2] / flat * step
    summit = peaks.max()
    for i in range(len(x)):
        c, r = (x[i] - left) / step, (top - y[i]) / step
        level = z[i] + 0.02
        value = 1.0
        while level < summit:
            c += dc
            r += dr
            level += climb
            ic, ir = math.floor(c), math.floor(r)
            if ic < 0 or ir < 0 or ic >= height.shape[1] or ir >= height.shape[0]:
                break
            if height[ir, ic] > level:
                value = 0.0
                break
            if level > peaks[ir >> 3, ic >> 3]:
                c += 7 * dc
                r += 7 * dr
                level += 7 * climb
        lit[i] = value
    return lit
