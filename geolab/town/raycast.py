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
    summit = peaks.max()
    for i in range(len(rays)):
        dx, dy, dz = rays[i, 0] / step, -rays[i, 1] / step, rays[i, 2]
        flat = max(math.hypot(dx, dy), 1e-9)
        cx, cy = (origin[0] - left) / step, (top - origin[1]) / step
        row[i], side[i], depth[i] = -1, 0, math.inf
        t = max((origin[2] - summit) / -dz, 0.0) if dz < 0 else 0.0
        while t < farthest:
            c, r, level = cx + t * dx, cy + t * dy, origin[2] + t * dz
            ic, ir = math.floor(c), math.floor(r)
            if ic < 0 or ir < 0 or ic >= height.shape[1] or ir >= height.shape[0]:
                break
            peak = peaks[ir >> 3, ic >> 3]
            if level > peak + 0.1:
                leap = 7.5 / flat
                t += min(leap, (level - peak) / -dz) if dz < 0 else leap
                continue
            across = ((ic + 1 - cx) if dx > 0 else (ic - cx)) / dx if dx != 0 else math.inf
            down = ((ir + 1 - cy) if dy > 0 else (ir - cy)) / dy if dy != 0 else math.inf
            leaves = min(across, down) + 1e-7
            top_z = height[ir, ic]
            if origin[2] + leaves * dz > top_z:
                t = leaves
                continue
            # It meets this column: on the flank where it came in, or on the top on its way through.
            if level > top_z:
                t = (top_z - origin[2]) / dz
            x[i], y[i] = origin[0] + t * rays[i, 0], origin[1] + t * rays[i, 1]
            z[i] = origin[2] + t * dz
            row[i], depth[i] = rows[ir, ic], t
            slack = 0.1 + 1.5 * step  # a roof or crown rises about that much from cell to cell
            side[i] = 1 if top_z - z[i] > slack else 0
            break
