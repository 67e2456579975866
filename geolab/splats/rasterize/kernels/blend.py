"""The pixels of tiles: blending front to back, and its gradients back to front (gsplat 1.5.3's rules).

At each pixel, front to back: alpha = min(0.999, o exp(-sigma)) is skipped below 1/255; the Gaussian that
would leave T (1 - alpha) <= 1e-4 of the light ends the pixel undrawn; any other adds alpha T of its colour.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from geolab.splats.rasterize.kernels.tiles import COLOR, DEPTH, LO, MX, MY, QA, QC, QR, RY, TILE

OPTIONS = {"cache": True, "nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
ALPHA_MAX, ALPHA_MIN, OPAQUE = 0.999, 1.0 / 255.0, 1e-4
GRADIENTS = 16  # numbers an entry: colours, then opacity, mean (2), conic (3), absolute mean (2)


@njit(**OPTIONS)
def forward(
    first, last, starts, entries, records, background, width, height, depth_wanted, weigh,
    image, through, reached, median, shares, slots,
):  # fmt: skip
    """Tiles first..last: image [H, W, D], light left [H, W], index of the last entry drawn + 1 [H, W].

    median [H, W] if depth_wanted; shares [M] if weigh: sums of alpha T of each slot.
    """
    tiles_x = (width + TILE - 1) // TILE
    number = image.dtype.type
    channels = image.shape[2]
    for tile in range(first, last):
        ty, tx = tile // tiles_x, tile % tiles_x
        x0, y0 = tx * TILE, ty * TILE
        x1, y1 = min(width, x0 + TILE), min(height, y0 + TILE)
        for y in range(y0, y1):
            for x in range(x0, x1):
                through[y, x], reached[y, x] = 1, starts[tile]
                for c in range(channels):
                    image[y, x, c] = 0
                if depth_wanted:
                    median[y, x] = math.nan
        done = np.zeros((TILE, TILE), np.bool_)
        for e in range(starts[tile], starts[tile + 1]):
            r = records[entries[e]]
            total = number(0)
            for y in range(max(y0, math.ceil(r[MY] - r[RY])), min(y1 - 1, math.floor(r[MY] + r[RY])) + 1):
                dy = number(y) - r[MY]
                top = r[LO] - r[QC] * dy * dy
                centre = r[MX] - r[QR] * dy
                for x in range(x0, x1):
                    u = number(x) - centre
                    alpha = min(number(ALPHA_MAX), number(2.0 ** (top - r[QA] * u * u)))
                    if done[y - y0, x - x0] or alpha < number(ALPHA_MIN):
                        continue
                    t = through[y, x]
                    after = t * (number(1) - alpha)
                    if after <= number(OPAQUE):
                        done[y - y0, x - x0] = True
                        continue
                    share = alpha * t
                    total += share
                    for c in range(channels):
                        image[y, x, c] += share * r[COLOR + c]
                    if depth_wanted and t > number(0.5) and after <= number(0.5):
                        median[y, x] = r[DEPTH]
                    through[y, x], reached[y, x] = after, e + 1
            if weigh:
                shares[slots[e]] = total
        for y in range(y0, y1):
            for x in range(x0, x1):
                for c in range(channels):
                    image[y, x, c] += through[y, x] * background[c]


@njit(**OPTIONS)
def backward(
    first, last, starts, entries, records, background, width, height, absolute,
    through, reached, d_image, d_through, gradients, slots,
):  # fmt: skip
    """Gradients [M, 16] of every slot of tiles first..last."""
    tiles_x = (width + TILE - 1) // TILE
    number = d_image.dtype.type
    channels = d_image.shape[2]
    for tile in range(first, last):
        ty, tx = tile // tiles_x, tile % tiles_x
        x0, y0 = tx * TILE, ty * TILE
        x1, y1 = min(width, x0 + TILE), min(height, y0 + TILE)
        light = np.empty((TILE, TILE), d_image.dtype)
        behind = np.empty((TILE, TILE), d_image.dtype)  # d loss of all that lies behind, per light left there
        for y in range(y0, y1):
            for x in range(x0, x1):
                light[y - y0, x - x0] = through[y, x]
                b = d_through[y, x]
                for c in range(channels):
                    b += d_image[y, x, c] * background[c]
                behind[y - y0, x - x0] = b * through[y, x]
        for e in range(starts[tile + 1] - 1, starts[tile] - 1, -1):
            r = records[entries[e]]
            out = gradients[slots[e]]
            out[:] = 0
            a, b = r[QA] * number(2 * math.log(2.0)), r[QA] * r[QR] * number(2 * math.log(2.0))
            cc = r[QC] * number(2 * math.log(2.0)) + b * r[QR]
            for y in range(max(y0, math.ceil(r[MY] - r[RY])), min(y1 - 1, math.floor(r[MY] + r[RY])) + 1):
                dy = number(y) - r[MY]
                top = r[LO] - r[QC] * dy * dy
                centre = r[MX] - r[QR] * dy
                for x in range(x0, x1):
                    if e >= reached[y, x]:
                        continue
                    u = number(x) - centre
                    raw = number(2.0 ** (top - r[QA] * u * u))
                    alpha = min(number(ALPHA_MAX), raw)
                    if alpha < number(ALPHA_MIN):
                        continue
                    t = light[y - y0, x - x0] / (number(1) - alpha)
                    share = alpha * t
                    d_color = number(0)
                    for c in range(channels):
                        d_color += d_image[y, x, c] * r[COLOR + c]
                        out[c] += share * d_image[y, x, c]
                    d_alpha = t * d_color - behind[y - y0, x - x0] / (number(1) - alpha)
                    light[y - y0, x - x0] = t
                    behind[y - y0, x - x0] += share * d_color
                    if raw > number(ALPHA_MAX):
                        continue
                    s = -raw * d_alpha  # d sigma
                    dx = number(x) - r[MX]
                    gx, gy = -s * (a * dx + b * dy), -s * (b * dx + cc * dy)
                    out[4] -= s
                    out[5] += gx
                    out[6] += gy
                    out[7] += number(0.5) * s * dx * dx
                    out[8] += s * dx * dy
                    out[9] += number(0.5) * s * dy * dy
                    if absolute:
                        out[10] += abs(gx)
                        out[11] += abs(gy)


@njit(**OPTIONS)
def gather(
    first,
    last,
    order,
    first_slots,
    gradients,
    opacities,
    d_colors,
    d_opacities,
    d_means2d,
    d_conics,
    absolute,
):
    """Sums the slots of Gaussians order[first..last], always in the same order."""
    for k in range(first, last):
        g = order[k]
        sums = np.zeros(GRADIENTS, gradients.dtype)
        for slot in range(first_slots[k], first_slots[k + 1]):
            for i in range(12):
                sums[i] += gradients[slot, i]
        for c in range(d_colors.shape[1]):
            d_colors[g, c] = sums[c]
        if first_slots[k + 1] > first_slots[k]:
            d_opacities[g] = sums[4] / opacities[g]
        for i in range(2):
            d_means2d[g, i] = sums[5 + i]
            if absolute.shape[0]:
                absolute[g, i] = sums[10 + i]
        for i in range(3):
            d_conics[g, i] = sums[7 + i]
