"""The pixels of tiles: blending front to back, and its gradients back to front (gsplat 1.5.3's rules).

At each pixel, front to back: alpha = min(0.999, o exp(-sigma)) is skipped below 1/255; the Gaussian that
would leave T (1 - alpha) <= 1e-4 of the light ends the pixel undrawn; any other adds alpha T of its colour.

A tile is TILE rows of LANES pixels; a Gaussian visits each row that it touches once, all pixels of the row
together. Kernels take a range of tiles and write only what belongs to them. `background`, a tuple of numbers,
also tells the compiler how many channels there are.
"""

from __future__ import annotations

import math

import numpy as np

from geolab.splats.rasterize.kernels.compiling import kernel
from geolab.splats.rasterize.kernels.functions import exp2, size_of
from geolab.splats.rasterize.kernels.memory import load, store
from geolab.splats.rasterize.kernels.simd import LANES, any_of, first_of, least, ramp, splat, sums, where
from geolab.splats.rasterize.kernels.tiles import (
    BOTTOM,
    COLOR,
    DEPTH,
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

ALPHA_MAX, OPAQUE = 0.999, 1e-4
AREA = TILE * LANES


@kernel
def forward(
    first, last, starts, entries, slots, records, background, width, height, keep, median_wanted,
    weights_wanted, image, alphas, through, reached, median, shares,
):  # fmt: skip
    """Tiles first..last: image [H, W, D], alphas [H, W].

    If keep: light left, through [H, W], and reached [H, W], one more than the last entry drawn. If
    median_wanted: median [H, W]. If weights_wanted: shares [M], the sum of alpha T of each slot.
    """
    channels = len(background)
    number = image.dtype.type
    tiles_x = (width + LANES - 1) // LANES
    one, zero, faintest = number(1), number(0), number(-LOG2_255)
    planes = np.empty(
        (channels + 2) * AREA, image.dtype
    )  # light (negative once a pixel is done), colours, median
    drawn = np.empty(AREA, np.int32)
    alive = np.empty(TILE, np.bool_)
    for tile in range(first, last):
        x0, y0 = (tile % tiles_x) * LANES, (tile // tiles_x) * TILE
        rows, columns = min(TILE, height - y0), min(LANES, width - x0)
        start = starts[tile]
        inside = ramp(zero) < number(columns)
        for y in range(TILE):
            store(planes, y * LANES, where(inside, splat(one), -one))
            store(drawn, y * LANES, splat(np.int32(start)))
            for c in range(channels):
                store(planes, (c + 1) * AREA + y * LANES, splat(zero))
            store(planes, (channels + 1) * AREA + y * LANES, splat(number(math.nan)))
            alive[y] = y < rows
        left = rows
        x = ramp(number(x0))
        e = start
        while e < starts[tile + 1] and left > 0:
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
                min(np.int64(records[r + BOTTOM]) - y0, TILE - 1),
            )
            total = splat(zero)
            for y in range(top, bottom + 1):
                if not alive[y]:
                    continue
                row = y * LANES
                dy = number(y0 + y) - my
                u = x - (mx - qr * dy)
                power = (records[r + LO] - qc * dy * dy) - (u * qa) * u
                light = load(planes, row)
                shows = power >= faintest
                alpha = where(shows, least(exp2(power), number(ALPHA_MAX)), zero)
                share = alpha * light
                after = light - share
                ends = after <= number(OPAQUE)
                share = where(ends, splat(zero), share)
                for c in range(channels):
                    plane = (c + 1) * AREA + row
                    store(planes, plane, load(planes, plane) + share * records[r + COLOR + c])
                if keep:
                    store(drawn, row, where(share > zero, splat(np.int32(e + 1)), load(drawn, row)))
                if median_wanted:
                    half = (light > number(0.5)) & (after <= number(0.5)) & (share > zero)
                    plane = (channels + 1) * AREA + row
                    store(planes, plane, where(half, splat(records[r + DEPTH]), load(planes, plane)))
                if weights_wanted:
                    total = total + share
                light = where(shows, where(ends, zero - size_of(light), after), light)
                store(planes, row, light)
                if not any_of(light > zero):
                    alive[y] = False
                    left -= 1
            if weights_wanted:
                shares[slots[e]] = first_of(sums((total,)))
            e += 1
        if weights_wanted:
            for rest in range(e, starts[tile + 1]):
                shares[slots[rest]] = zero
        for y in range(rows):
            for i in range(columns):
                light = abs(planes[y * LANES + i])
                alphas[y0 + y, x0 + i] = one - light
                for c in range(channels):
                    image[y0 + y, x0 + i, c] = planes[(c + 1) * AREA + y * LANES + i] + light * background[c]
                if keep:
                    through[y0 + y, x0 + i] = light
                    reached[y0 + y, x0 + i] = drawn[y * LANES + i]
                if median_wanted:
                    median[y0 + y, x0 + i] = planes[(channels + 1) * AREA + y * LANES + i]


@kernel
def weigh(order, first_slots, shares, weights):
    """Adds to weights [N] the shares of each Gaussian's slots, in their order."""
    for k in range(order.shape[0]):
        total = shares.dtype.type(0)
        for slot in range(first_slots[k], first_slots[k + 1]):
            total += shares[slot]
        weights[order[k]] += total
