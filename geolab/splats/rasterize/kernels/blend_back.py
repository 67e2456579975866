"""Gradients of blending, back to front: the rules of blend.py looked at from behind.

Going back, the light T in front of a Gaussian is that behind it / (1 - alpha). With B the sum over all that
is behind of alpha T (colour . d image), background and d alphas included,

    d loss / d alpha = T (colour . d image) - B / (1 - alpha).

Each entry of a tile's list has a slot of its own; `gather` then sums the slots of a Gaussian in their order:
nothing depends on which thread did which tile.
"""

from __future__ import annotations

import math

import numpy as np

from geolab.splats.rasterize.kernels.blend import ALPHA_MAX, AREA
from geolab.splats.rasterize.kernels.compiling import kernel
from geolab.splats.rasterize.kernels.functions import exp2, size_of
from geolab.splats.rasterize.kernels.memory import load, store
from geolab.splats.rasterize.kernels.simd import LANES, least, ramp, splat, sums, where
from geolab.splats.rasterize.kernels.tiles import (
    BOTTOM,
    COLOR,
    LO,
    LOG2_255,
    MX,
    MY,
    QA,
    QC,
    QR,
    RECORD,
    TILE,
    TOP,
)

SUMS = LANES  # numbers a slot


@kernel
def backward(
    first, last, starts, entries, slots, records, background, width, height, absolute,
    through, reached, d_image, d_alphas, gradients,
):  # fmt: skip
    """Gradients [M, SUMS] of the slots of tiles first..last.

    Lanes of a slot: 0-3 d loss / d colours; with g = d loss / d (-sigma) and d = pixel - mean, 4-9 the sums
    over pixels of g, g dx, g dy, g dx dx, g dx dy, g dy dy; 10-11 if absolute, of |d loss / d mean|.
    """
    channels = len(background)
    number = d_image.dtype.type
    tiles_x = (width + LANES - 1) // LANES
    one, zero, faintest = number(1), number(0), number(-LOG2_255)
    two_ln2 = number(2.0 * math.log(2.0))
    # light behind what comes next, then in front; what the loss gains from all behind; d loss / d colours
    planes = np.empty((channels + 2) * AREA, d_image.dtype)
    drawn = np.empty(AREA, np.int32)
    depths = np.empty(TILE, np.int32)  # of each row: the largest entry drawn + 1
    for tile in range(first, last):
        x0, y0 = (tile % tiles_x) * LANES, (tile // tiles_x) * TILE
        rows, columns = min(TILE, height - y0), min(LANES, width - x0)
        start = starts[tile]
        deepest = start
        planes[:] = zero
        drawn[:] = start
        for y in range(rows):
            deep = start
            for i in range(columns):
                light = through[y0 + y, x0 + i]
                behind = -d_alphas[y0 + y, x0 + i]
                for c in range(channels):
                    d = d_image[y0 + y, x0 + i, c]
                    planes[(c + 2) * AREA + y * LANES + i] = d
                    behind += d * background[c]
                planes[y * LANES + i] = light
                planes[AREA + y * LANES + i] = behind * light
                drawn[y * LANES + i] = reached[y0 + y, x0 + i]
                deep = max(deep, reached[y0 + y, x0 + i])
            depths[y] = deep
            deepest = max(deepest, deep)
        nothing = splat(zero)
        for e in range(deepest, starts[tile + 1]):
            store(gradients, np.int64(slots[e]) * SUMS, nothing)
        x = ramp(number(x0))
        for e in range(deepest - 1, start - 1, -1):
            r = np.int64(entries[e]) * RECORD
            mx, my, qa, qr, qc = (
                records[r + MX],
                records[r + MY],
                records[r + QA],
                records[r + QR],
                records[r + QC],
            )
            top, bottom = (
                max(np.int64(records[r + TOP]) - y0, 0),
                min(np.int64(records[r + BOTTOM]) - y0, rows - 1),
            )
            red = green = blue = fourth = nothing
            g0 = g1 = g2 = across = down = nothing
            dx = x - mx
            for y in range(top, bottom + 1):
                if depths[y] <= e:
                    continue
                row = y * LANES
                dy = number(y0 + y) - my
                u = x - (mx - qr * dy)
                power = (records[r + LO] - qc * dy * dy) - (u * qa) * u
                shows = (power >= faintest) & (load(drawn, row) > np.int32(e))
                raw = where(shows, exp2(power), zero)
                alpha = least(raw, number(ALPHA_MAX))
                clear = one / (one - alpha)
                light = load(planes, row) * clear
                share = alpha * light
                behind = load(planes, AREA + row)
                d = load(planes, 2 * AREA + row)
                red = red + share * d
                d_color = d * records[r + COLOR]
                if channels > 1:
                    d = load(planes, 3 * AREA + row)
                    green = green + share * d
                    d_color = d_color + d * records[r + COLOR + 1]
                if channels > 2:
                    d = load(planes, 4 * AREA + row)
                    blue = blue + share * d
                    d_color = d_color + d * records[r + COLOR + 2]
                if channels > 3:
                    d = load(planes, 5 * AREA + row)
                    fourth = fourth + share * d
                    d_color = d_color + d * records[r + COLOR + 3]
                store(planes, row, light)
                store(planes, AREA + row, behind + share * d_color)
                g = where(raw <= number(ALPHA_MAX), alpha * (light * d_color - behind * clear), zero)
                g0 = g0 + g
                g1 = g1 + g * dy
                g2 = g2 + g * (dy * dy)
                if absolute:
                    slope = u * (two_ln2 * qa)  # a dx + b dy
                    across = across + size_of(g * slope)
                    down = down + size_of(g * (slope * qr + dy * (two_ln2 * qc)))
            total = sums((
                red, green, blue, fourth, g0, g0 * dx, g1, g0 * dx * dx, g1 * dx, g2, across, down,
            ))  # fmt: skip
            store(gradients, np.int64(slots[e]) * SUMS, total)


@kernel
def gather(
    first,
    last,
    order,
    first_slots,
    gradients,
    opacities,
    conics,
    d_colors,
    d_opacities,
    d_depths,
    d_means2d,
    d_conics,
    absolute,
):
    """Gradients of Gaussians order[first..last]: their slots summed, always in the same order."""
    number = gradients.dtype.type
    half = number(0.5)
    found = np.empty(SUMS, gradients.dtype)
    for k in range(first, last):
        start, stop = np.int64(first_slots[k]), np.int64(first_slots[k + 1])
        if start == stop:
            continue
        total = load(gradients, start * SUMS)
        for slot in range(start + 1, stop):
            total = total + load(gradients, slot * SUMS)
        store(found, 0, total)
        n = order[k]
        for c in range(d_colors.shape[1]):
            d_colors[n, c] = found[c]
        if d_depths.shape[0]:
            d_depths[n] = found[d_colors.shape[1]]
        a, b, c = conics[n, 0], conics[n, 1], conics[n, 2]
        d_opacities[n] = found[4] / opacities[n]
        d_means2d[n, 0], d_means2d[n, 1] = a * found[5] + b * found[6], b * found[5] + c * found[6]
        d_conics[n, 0], d_conics[n, 1], d_conics[n, 2] = -half * found[7], -found[8], -half * found[9]
        if absolute.shape[0]:
            absolute[n, 0], absolute[n, 1] = found[10], found[11]
