"""Colours of Gaussians seen from a point: real spherical harmonics up to degree 3, forward and backward.

Order and signs as in 3DGS files (Kerbl et al., 2023); polynomials and constants of Sloan, JCGT 2013.
"""

from __future__ import annotations

import numpy as np

from geolab.splats.rasterize.kernels.compiling import kernel
from geolab.splats.rasterize.kernels.functions import root
from geolab.splats.rasterize.kernels.memory import load, pick, put, store
from geolab.splats.rasterize.kernels.simd import LANES, greatest, splat, steps, sums, where

C0 = 0.2820947917738781
C1 = 0.48860251190292
C2 = (1.092548430592079, 0.9461746957575601, 0.3153915652525201, 0.5462742152960395)
C3 = (
    0.5900435899266435, 2.890611442640554, 2.285228997322329, 0.4570457994644658,
    1.865881662950577, 1.119528997770346, 1.445305721320277,
)  # fmt: skip
BANDS = 16
TINY = 1e-36  # of a squared distance: at the eye itself there is no direction


@kernel
def basis(degree, x, y, z, out):
    """Writes the (degree + 1)^2 harmonics at unit directions to out [BANDS, LANES]."""
    store(out, 0, x - x + C0)
    if degree < 1:
        return
    store(out, LANES, y * -C1)
    store(out, 2 * LANES, z * C1)
    store(out, 3 * LANES, x * -C1)
    if degree < 2:
        return
    xx, yy, zz = x * x, y * y, z * z
    store(out, 4 * LANES, x * y * C2[0])
    store(out, 5 * LANES, y * z * -C2[0])
    store(out, 6 * LANES, zz * C2[1] - C2[2])
    store(out, 7 * LANES, x * z * -C2[0])
    store(out, 8 * LANES, (xx - yy) * C2[3])
    if degree < 3:
        return
    band = C3[3] - zz * C3[2]
    store(out, 9 * LANES, y * (xx * 3.0 - yy) * -C3[0])
    store(out, 10 * LANES, x * y * z * C3[1])
    store(out, 11 * LANES, band * y)
    store(out, 12 * LANES, z * (zz * C3[4] - C3[5]))
    store(out, 13 * LANES, band * x)
    store(out, 14 * LANES, z * (xx - yy) * C3[6])
    store(out, 15 * LANES, x * (xx - yy * 3.0) * -C3[0])


@kernel
def slope(degree, x, y, z, v):
    """The gradient by (x, y, z) of the sum of harmonics weighed by v [BANDS, LANES]."""
    dx, dy, dz = load(v, 3 * LANES) * -C1, load(v, LANES) * -C1, load(v, 2 * LANES) * C1
    if degree > 1:
        v4, v5, v6 = load(v, 4 * LANES), load(v, 5 * LANES), load(v, 6 * LANES)
        v7, v8 = load(v, 7 * LANES), load(v, 8 * LANES)
        dx = dx + (y * v4 - z * v7) * C2[0] + x * v8 * (2 * C2[3])
        dy = dy + (x * v4 - z * v5) * C2[0] - y * v8 * (2 * C2[3])
        dz = dz - (y * v5 + x * v7) * C2[0] + z * v6 * (2 * C2[1])
    if degree > 2:
        xx, yy, zz = x * x, y * y, z * z
        band, edge = C3[3] - zz * C3[2], (xx - yy) * (3 * C3[0])
        v9, v10, v11, v12 = load(v, 9 * LANES), load(v, 10 * LANES), load(v, 11 * LANES), load(v, 12 * LANES)
        v13, v14, v15 = load(v, 13 * LANES), load(v, 14 * LANES), load(v, 15 * LANES)
        dx = (
            dx
            - x * y * v9 * (6 * C3[0])
            + y * z * v10 * C3[1]
            + band * v13
            + z * x * v14 * (2 * C3[6])
            - edge * v15
        )
        dy = (
            dy
            - edge * v9
            + x * z * v10 * C3[1]
            + band * v11
            - z * y * v14 * (2 * C3[6])
            + x * y * v15 * (6 * C3[0])
        )
        dz = dz + x * y * v10 * C3[1] - (y * v11 + x * v13) * z * (2 * C3[2])
        dz = dz + (zz * (3 * C3[4]) - C3[5]) * v12 + (xx - yy) * v14 * C3[6]
    return dx, dy, dz


@kernel
def forward(first, last, visible, means, eye, sh, bands, degree, colors):
    """colors [N, 3] of Gaussians visible[first..last]: 0.5 + harmonics sh [N, bands, 3], not below 0."""
    harmonics = np.empty(BANDS * LANES, means.dtype)
    half = means.dtype.type(0.5)
    for n in range(first, last, LANES):
        index = load(visible, n)
        x, y, z = (
            pick(means, index, 3, 0) - eye[0],
            pick(means, index, 3, 1) - eye[1],
            pick(means, index, 3, 2) - eye[2],
        )
        unit = 1.0 / root(greatest(x * x + y * y + z * z, TINY))
        basis(degree, x * unit, y * unit, z * unit, harmonics)
        red = green = blue = splat(half)
        for k in range((degree + 1) * (degree + 1)):
            h = load(harmonics, k * LANES)
            red = red + h * pick(sh, index, 3 * bands, 3 * k)
            green = green + h * pick(sh, index, 3 * bands, 3 * k + 1)
            blue = blue + h * pick(sh, index, 3 * bands, 3 * k + 2)
        put(colors, index, 3, 0, greatest(red, 0.0))
        put(colors, index, 3, 1, greatest(green, 0.0))
        put(colors, index, 3, 2, greatest(blue, 0.0))


@kernel
def backward(
    first, last, visible, means, eye, sh, bands, degree, colors, d_colors, d_means, d_sh, chunk, d_eye
):
    """Adds to the gradients of Gaussians visible[first..last]; row first / chunk of d_eye [.., 16] (or none).

    Where a colour was held at 0 nothing passes.
    """
    harmonics = np.empty(BANDS * LANES, means.dtype)
    weights = np.zeros(BANDS * LANES, means.dtype)
    nothing = splat(means.dtype.type(0))
    e0 = e1 = e2 = nothing
    for n in range(first, last, LANES):
        index = load(visible, n)
        x, y, z = (
            pick(means, index, 3, 0) - eye[0],
            pick(means, index, 3, 1) - eye[1],
            pick(means, index, 3, 2) - eye[2],
        )
        unit = 1.0 / root(greatest(x * x + y * y + z * z, TINY))
        x, y, z = x * unit, y * unit, z * unit
        basis(degree, x, y, z, harmonics)
        red = where(pick(colors, index, 3, 0) > 0.0, pick(d_colors, index, 3, 0), 0.0)
        green = where(pick(colors, index, 3, 1) > 0.0, pick(d_colors, index, 3, 1), 0.0)
        blue = where(pick(colors, index, 3, 2) > 0.0, pick(d_colors, index, 3, 2), 0.0)
        for k in range((degree + 1) * (degree + 1)):
            h = load(harmonics, k * LANES)
            weight = red * pick(sh, index, 3 * bands, 3 * k)
            weight = weight + green * pick(sh, index, 3 * bands, 3 * k + 1)
            store(weights, k * LANES, weight + blue * pick(sh, index, 3 * bands, 3 * k + 2))
            put(d_sh, index, 3 * bands, 3 * k, pick(d_sh, index, 3 * bands, 3 * k) + h * red)
            put(d_sh, index, 3 * bands, 3 * k + 1, pick(d_sh, index, 3 * bands, 3 * k + 1) + h * green)
            put(d_sh, index, 3 * bands, 3 * k + 2, pick(d_sh, index, 3 * bands, 3 * k + 2) + h * blue)
        if degree == 0:
            continue
        dx, dy, dz = slope(degree, x, y, z, weights)
        along = dx * x + dy * y + dz * z
        dx, dy, dz = (dx - along * x) * unit, (dy - along * y) * unit, (dz - along * z) * unit
        put(d_means, index, 3, 0, pick(d_means, index, 3, 0) + dx)
        put(d_means, index, 3, 1, pick(d_means, index, 3, 1) + dy)
        put(d_means, index, 3, 2, pick(d_means, index, 3, 2) + dz)
        if d_eye.shape[0]:
            within = steps(0, LANES) < np.int32(last - n)
            e0, e1, e2 = e0 - where(within, dx, 0.0), e1 - where(within, dy, 0.0), e2 - where(within, dz, 0.0)
    if d_eye.shape[0]:
        store(d_eye, first // chunk * LANES, sums((e0, e1, e2)))
