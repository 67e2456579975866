"""From ellipses to tiles: visible Gaussians in order of depth, what each tile must draw, in that order.

A Gaussian of opacity o and inverse covariance [[a, b], [b, c]] shows at a pixel with

    alpha = o exp(-(a dx^2 + 2 b dx dy + c dy^2) / 2) = 2^(lo - qa u^2 - qc dy^2),  u = dx + qr dy,
    qa = a log2(e) / 2,  qr = b / a,  qc = (c - b^2 / a) log2(e) / 2,  lo = log2(o),

where alpha >= 1/255: the record of a Gaussian holds these numbers.
"""

from __future__ import annotations

import math

import numpy as np

from geolab.splats.rasterize.kernels.compiling import kernel
from geolab.splats.rasterize.kernels.simd import LANES

TILE = 16  # rows of a tile; each has LANES pixels
RECORD = 16  # numbers a Gaussian: 64 bytes of float32
MX, MY, QA, QR, QC, LO, TOP, BOTTOM, DEPTH, COLOR = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9
CHANNELS = 4  # at most, in a record
HALF_LOG2E = 0.5 / math.log(2.0)
LOG2_255 = math.log2(255.0)


RADIX = 11  # bits sorted at once


@kernel
def seen(radii, visible):
    """Writes Gaussians of radii [N, 2] > 0 to visible, then LANES times the last; returns their number."""
    count = 0
    for n in range(radii.shape[0]):
        if radii[n, 0] > 0 and radii[n, 1] > 0:
            visible[count] = n
            count += 1
    if count:
        visible[count : count + LANES] = visible[count - 1]
    return count


@kernel
def sort(depths, visible, order, spare, keys, spare_keys):
    """order [n]: visible[:n] from the nearest to the farthest, equals in their order. Radix sort.

    depths: as unsigned integers of the same bits. The other three: scratch of n.
    """
    count = order.shape[0]
    one = keys.dtype.type(1)
    bits = keys.itemsize * 8
    top = one << keys.dtype.type(bits - 1)
    full = keys.dtype.type(0) - one
    for i in range(count):
        key = depths[visible[i]]
        keys[i] = key ^ (full if key & top else top)  # unsigned order is now that of the numbers
        order[i] = visible[i]
    mask = (one << keys.dtype.type(RADIX)) - one
    places = np.empty(1 << RADIX, np.int64)
    for shift in range(0, bits, RADIX):
        places[:] = 0
        by = keys.dtype.type(shift)
        for i in range(count):
            places[(keys[i] >> by) & mask] += 1
        total = 0
        for bucket in range(places.shape[0]):
            total, places[bucket] = total + places[bucket], total
        for i in range(count):
            bucket = (keys[i] >> by) & mask
            place = places[bucket]
            places[bucket] = place + 1
            spare[place], spare_keys[place] = order[i], keys[i]
        order[:], keys[:] = spare, spare_keys


@kernel
def pack(
    first, last, order, means2d, conics, opacities, depths, colors, with_depth, width, height, records, boxes
):
    """Records and boxes of tiles (x0, x1, y0, y1; ends excluded) of Gaussians order[first:last].

    Boxes are empty where nothing shows or a number is not finite.
    """
    for k in range(first, last):
        g = order[k]
        boxes[k, 0] = boxes[k, 1] = boxes[k, 2] = boxes[k, 3] = 0
        a, b, c, o = float(conics[g, 0]), float(conics[g, 1]), float(conics[g, 2]), float(opacities[g])
        mx, my = float(means2d[g, 0]) - 0.5, float(means2d[g, 1]) - 0.5
        det = a * c - b * b
        sane = a > 0.0 and c > 0.0 and det > 0.0 and o * 255.0 > 1.0
        check = a + c + det + o + mx + my + float(depths[g])
        for d in range(colors.shape[1]):
            check += float(colors[g, d])
            records[k, COLOR + d] = colors[g, d]
        if with_depth:
            records[k, COLOR + colors.shape[1]] = depths[g]
        if not (sane and math.isfinite(check)):
            continue
        reach = 2.0 * math.log(255.0 * o)  # of the quadratic form
        rx, ry = math.sqrt(reach * c / det), math.sqrt(reach * a / det)
        x0, x1 = max(0.0, math.ceil(mx - rx)), min(width - 1.0, math.floor(mx + rx))
        y0, y1 = max(0.0, math.ceil(my - ry)), min(height - 1.0, math.floor(my + ry))
        if not (x0 <= x1 and y0 <= y1):
            continue
        records[k, MX], records[k, MY] = mx, my
        records[k, QA], records[k, QR] = a * HALF_LOG2E, b / a
        records[k, QC], records[k, LO] = det / a * HALF_LOG2E, math.log2(o)
        records[k, TOP], records[k, BOTTOM], records[k, DEPTH] = y0, y1, depths[g]
        boxes[k, 0], boxes[k, 1] = int(x0) // LANES, int(x1) // LANES + 1
        boxes[k, 2], boxes[k, 3] = int(y0) // TILE, int(y1) // TILE + 1


@kernel
def places(boxes, first_slots):
    """first_slots [n + 1]: where the entries of each Gaussian lie together, one for every tile of its box."""
    slot = 0
    for k in range(boxes.shape[0]):
        first_slots[k] = slot
        slot += (boxes[k, 1] - boxes[k, 0]) * (boxes[k, 3] - boxes[k, 2])
    first_slots[boxes.shape[0]] = slot


@kernel
def tally(first, last, boxes, tiles_x, starts):
    """starts[t + 1]: how many boxes tile t is in, for tiles of the rows first..last."""
    starts[first * tiles_x + 1 : last * tiles_x + 1] = 0
    for k in range(boxes.shape[0]):
        for y in range(max(first, boxes[k, 2]), min(last, boxes[k, 3])):
            for x in range(boxes[k, 0], boxes[k, 1]):
                starts[y * tiles_x + x + 1] += 1


@kernel
def fill(first, last, boxes, tiles_x, starts, first_slots, entries, slots):
    """Lists of the tiles of the rows first..last: entries starts[t]..starts[t + 1] are tile t's, by depth.

    slots: where each entry's gradients go: those of Gaussian k lie together from first_slots[k] on.
    """
    cursor = starts[first * tiles_x : last * tiles_x].copy()
    for k in range(boxes.shape[0]):
        for y in range(max(first, boxes[k, 2]), min(last, boxes[k, 3])):
            slot = first_slots[k] + (y - boxes[k, 2]) * (boxes[k, 1] - boxes[k, 0])
            for x in range(boxes[k, 0], boxes[k, 1]):
                t = (y - first) * tiles_x + x
                entries[cursor[t]], slots[cursor[t]] = k, slot
                cursor[t] += 1
                slot += 1
