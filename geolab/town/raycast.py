"""Numba kernel of the drone's camera: where each pixel's ray first meets the world."""

from __future__ import annotations

import math

import numba


@numba.njit(cache=True, nogil=True)
def cast(origin, rays, height, rows, peaks, left, top, step, farthest, x, y, z, row, side, depth):
    """Fill x, y, z, row, side and depth of the first hit of every ray [N, 3] from `origin`.

    The world is a field of square columns: `height` of each cell over the ground. side is 1 where a ray
    meets a column's flank, 0 on its top. depth is in multiples of the ray's length; infinite, with row -1,
    where the ray leaves the field. peaks: for blocks of 8 x 8 cells, the highest of them and their 8
    neighbours; above it a ray may leap 8 cells.
    """
    for i in range(len(rays)):
        dx, dy, dz = rays[i, 0] / step, -rays[i, 1] / step, rays[i, 2]
        flat = max(math.hypot(dx, dy), 1e-9)
        cx, cy = (origin[0] - left) / step, (top - origin[1]) / step
        t, stride = 0.0, 0.35 / flat
        row[i], side[i], depth[i] = -1, 0, math.inf
        before = 0.0
        while t < farthest:
            c, r, level = cx + t * dx, cy + t * dy, origin[2] + t * dz
            ic, ir = math.floor(c), math.floor(r)
            if ic < 0 or ir < 0 or ic >= height.shape[1] or ir >= height.shape[0]:
                break
            peak = peaks[ir >> 3, ic >> 3]
            if level > peak + 0.1:
                leap = 7.5 / flat
                if dz < 0:
                    leap = min(leap, (level - peak) / -dz)
                before = t
                t += max(leap, min(stride, 0.05 / max(-dz, 1e-9)))
                continue
            if level > height[ir, ic]:
                before = t
                t += min(stride, 0.25 / max(abs(dz), 1e-9))
                continue
            near, far = before, t
            for _ in range(12):
                middle = 0.5 * (near + far)
                jc, jr = math.floor(cx + middle * dx), math.floor(cy + middle * dy)
                if origin[2] + middle * dz > height[jr, jc]:
                    near = middle
                else:
                    far = middle
            jc, jr = math.floor(cx + far * dx), math.floor(cy + far * dy)
            z[i] = origin[2] + far * dz
            x[i], y[i] = left + (cx + far * dx) * step, top - (cy + far * dy) * step
            row[i], depth[i] = rows[jr, jc], far
            slack = 0.1 + 1.5 * step  # a roof or crown rises about that much from cell to cell
            side[i] = 1 if height[jr, jc] - z[i] > slack else 0
            break
