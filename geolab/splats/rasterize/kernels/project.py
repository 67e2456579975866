"""Gaussians to ellipses in the image, and back: EWA splatting (Zwicker et al., 2001), as in gsplat.

With W, t the rotation and translation of the camera, R the rotation of a Gaussian and s its scales, the
camera sees its mean at m = W x + t and its covariance, linearised by J, as

    cov = J W R diag(s)^2 R' W' J' = P P',  P = U diag(s),  U = J W R;  eps2d is added to its diagonal.

LANES Gaussians are done at once. What can't be seen, or is anything but finite numbers, has the radius 0.
"""

from __future__ import annotations

import math

import numpy as np

from geolab.splats.rasterize.kernels.compiling import kernel
from geolab.splats.rasterize.kernels.functions import log2, root, upward
from geolab.splats.rasterize.kernels.memory import load, pick, put, store
from geolab.splats.rasterize.kernels.simd import (
    LANES,
    any_of,
    greatest,
    least,
    splat,
    steps,
    sums,
    where,
    whole,
)

CHUNK = 64 * LANES  # Gaussians of one piece of work: fixed, so that sums over pieces don't depend on threads
EXTENT = 3.33  # standard deviations at which an opaque Gaussian has faded to 1/255
MARGIN = 0.15  # of the image's size: beyond it the Jacobian of a pinhole camera is held
LARGEST = 1 << 29  # pixels, of a radius
FINITE = 3e38  # what float32 holds
ALPHA_MIN = 1.0 / 255.0  # what is fainter is not drawn
TWO_LN2 = 2.0 * math.log(2.0)


@kernel
def rotations(w, x, y, z):
    """R [3, 3], row by row, of quaternions of length 1."""
    return (
        1.0 - (y * y + z * z) * 2.0, (x * y - w * z) * 2.0, (x * z + w * y) * 2.0,
        (x * y + w * z) * 2.0, 1.0 - (x * x + z * z) * 2.0, (y * z - w * x) * 2.0,
        (x * z - w * y) * 2.0, (y * z + w * x) * 2.0, 1.0 - (x * x + y * y) * 2.0,
    )  # fmt: skip


@kernel
def held(slope, focal, centre, size):
    """x / z kept within the view and a margin, and where it was there already."""
    margin = MARGIN * size / focal
    low, high = -centre / focal - margin, (size - centre) / focal + margin
    return greatest(least(slope, high), low), (slope >= low) & (slope <= high)


@kernel
def jacobian(x, y, z, lens, width, height, ortho):
    """d (u, v) / d (x, y, z): entries 00, 02, 11, 12 (others are 0); x / z, y / z as held; where not held."""
    fx, fy, cx, cy = lens[0], lens[1], lens[2], lens[3]
    if ortho:
        nothing = splat(lens.dtype.type(0))
        nowhere = nothing > nothing
        return splat(fx), nothing, splat(fy), nothing, x, y, nowhere, nowhere
    rz = 1.0 / z
    hx, free_x = held(x * rz, fx, cx, width)
    hy, free_y = held(y * rz, fy, cy, height)
    return rz * fx, -fx * hx * rz, rz * fy, -fy * hy * rz, hx, hy, free_x, free_y


@kernel
def rows(view, j00, j02, j11, j12):
    """J W [2, 3]."""
    return (
        j00 * view[0] + j02 * view[8], j00 * view[1] + j02 * view[9], j00 * view[2] + j02 * view[10],
        j11 * view[4] + j12 * view[8], j11 * view[5] + j12 * view[9], j11 * view[6] + j12 * view[10],
    )  # fmt: skip


@kernel
def product(a, r):
    """[2, 3] times [3, 3]."""
    return (
        a[0] * r[0] + a[1] * r[3] + a[2] * r[6], a[0] * r[1] + a[1] * r[4] + a[2] * r[7],
        a[0] * r[2] + a[1] * r[5] + a[2] * r[8], a[3] * r[0] + a[4] * r[3] + a[5] * r[6],
        a[3] * r[1] + a[4] * r[4] + a[5] * r[7], a[3] * r[2] + a[4] * r[5] + a[5] * r[8],
    )  # fmt: skip


@kernel
def forward(
    first, last, means, quats, scales, opacities, view, lens, width, height, near, far, clip, eps2d, ortho,
    antialiased, means2d, depths, conics, opaque, radii,
):  # fmt: skip
    """Gaussians first..last before one camera: means2d [N, 2], depths, conics [N, 3], opaque, radii [N, 2].

    view: world to camera matrix [16]; lens: fx, fy, cx, cy; opaque: opacities, compensated if antialiased.
    Of what is not seen only depths and radii (0) are written.
    """
    fx, fy, cx, cy = lens[0], lens[1], lens[2], lens[3]
    for n in range(first, last, LANES):
        index = steps(n, last)
        x, y, z = pick(means, index, 3, 0), pick(means, index, 3, 1), pick(means, index, 3, 2)
        mx = x * view[0] + y * view[1] + z * view[2] + view[3]
        my = x * view[4] + y * view[5] + z * view[6] + view[7]
        mz = x * view[8] + y * view[9] + z * view[10] + view[11]
        put(depths, index, 1, 0, mz)
        seen = (mz >= near) & (mz <= far)
        if not ortho:
            seen = seen & (mz > 0.0)
        if not any_of(seen):
            put(radii, index, 2, 0, steps(0, 1))
            put(radii, index, 2, 1, steps(0, 1))
            continue
        j00, j02, j11, j12, _, _, _, _ = jacobian(mx, my, mz, lens, width, height, ortho)
        w, i, j, k = (
            pick(quats, index, 4, 0),
            pick(quats, index, 4, 1),
            pick(quats, index, 4, 2),
            pick(quats, index, 4, 3),
        )
        unit = 1.0 / root(w * w + i * i + j * j + k * k)
        s0, s1, s2 = pick(scales, index, 3, 0), pick(scales, index, 3, 1), pick(scales, index, 3, 2)
        u = product(rows(view, j00, j02, j11, j12), rotations(w * unit, i * unit, j * unit, k * unit))
        p00, p01, p02, p10, p11, p12 = u[0] * s0, u[1] * s1, u[2] * s2, u[3] * s0, u[4] * s1, u[5] * s2
        a0, b, c0 = (
            p00 * p00 + p01 * p01 + p02 * p02,
            p00 * p10 + p01 * p11 + p02 * p12,
            p10 * p10 + p11 * p11 + p12 * p12,
        )
        a, c = a0 + eps2d, c0 + eps2d
        det = a * c - b * b
        o = pick(opacities, index, 1, 0)
        if antialiased:
            o = o * root(greatest((a0 * c0 - b * b) / det, 0.0))
        extent = least(root(log2(o * 255.0) * TWO_LN2), EXTENT)
        rx, ry = upward(extent * root(a)), upward(extent * root(c))
        if ortho:
            px, py = mx * fx + cx, my * fy + cy
        else:
            px, py = mx / mz * fx + cx, my / mz * fy + cy
        seen = seen & (det > 0.0) & (det < FINITE) & (o >= ALPHA_MIN) & ((rx > clip) | (ry > clip))
        seen = seen & (px + rx > 0.0) & (px - rx < width) & (py + ry > 0.0) & (py - ry < height)
        put(radii, index, 2, 0, whole(least(where(seen, rx, 0.0), LARGEST)))
        put(radii, index, 2, 1, whole(least(where(seen, ry, 0.0), LARGEST)))
        put(means2d, index, 2, 0, where(seen, px, 0.0))
        put(means2d, index, 2, 1, where(seen, py, 0.0))
        put(conics, index, 3, 0, c / det)
        put(conics, index, 3, 1, -b / det)
        put(conics, index, 3, 2, a / det)
        put(opaque, index, 1, 0, o)


@kernel
def backward(
    first, last, visible, means, quats, scales, opacities, view, lens, width, height, eps2d, ortho,
    antialiased, d_means2d, d_depths, d_conics, d_opaque, d_means, d_quats, d_scales, d_opacities, pose,
):  # fmt: skip
    """Adds to the gradients of Gaussians visible[first..last], each of which is there once.

    visible: int32, followed by LANES repetitions of its last. pose [.., 16] (or none): row first / CHUNK
    gets the gradient of W (9) and t (3).
    """
    fx, fy = lens[0], lens[1]
    nothing = splat(lens.dtype.type(0))
    t0 = t1 = t2 = v0 = v1 = v2 = v3 = v4 = v5 = v6 = v7 = v8 = nothing
    for n in range(first, last, LANES):
        index = load(visible, n)
        x, y, z = pick(means, index, 3, 0), pick(means, index, 3, 1), pick(means, index, 3, 2)
        mx = x * view[0] + y * view[1] + z * view[2] + view[3]
        my = x * view[4] + y * view[5] + z * view[6] + view[7]
        mz = x * view[8] + y * view[9] + z * view[10] + view[11]
        j00, j02, j11, j12, hx, hy, free_x, free_y = jacobian(mx, my, mz, lens, width, height, ortho)
        qw, qx = pick(quats, index, 4, 0), pick(quats, index, 4, 1)
        qy, qz = pick(quats, index, 4, 2), pick(quats, index, 4, 3)
        unit = 1.0 / root(qw * qw + qx * qx + qy * qy + qz * qz)
        qw, qx, qy, qz = qw * unit, qx * unit, qy * unit, qz * unit
        r = rotations(qw, qx, qy, qz)
        s0, s1, s2 = pick(scales, index, 3, 0), pick(scales, index, 3, 1), pick(scales, index, 3, 2)
        m = rows(view, j00, j02, j11, j12)
        u = product(m, r)
        p00, p01, p02, p10, p11, p12 = u[0] * s0, u[1] * s1, u[2] * s2, u[3] * s0, u[4] * s1, u[5] * s2
        a0 = p00 * p00 + p01 * p01 + p02 * p02
        b = p00 * p10 + p01 * p11 + p02 * p12
        c0 = p10 * p10 + p11 * p11 + p12 * p12
        a, c = a0 + eps2d, c0 + eps2d
        inverse = 1.0 / (a * c - b * b)

        # conic = cov^-1: d cov = -conic d_conic conic
        ka, kb, kc = c * inverse, -b * inverse, a * inverse
        da, db, dc = (
            pick(d_conics, index, 3, 0),
            pick(d_conics, index, 3, 1) * 0.5,
            pick(d_conics, index, 3, 2),
        )
        h00, h01 = ka * da + kb * db, ka * db + kb * dc
        h10, h11 = kb * da + kc * db, kb * db + kc * dc
        g00, g01, g11 = -(h00 * ka + h01 * kb), -(h00 * kb + h01 * kc), -(h10 * kb + h11 * kc)

        d_o = pick(d_opaque, index, 1, 0)
        if antialiased:  # o sqrt(q), q = det before the blur / det after
            q = greatest((a0 * c0 - b * b) * inverse, 0.0)
            thinner = root(q)
            dq = where(q > 0.0, d_o * pick(opacities, index, 1, 0) * 0.5 / thinner, 0.0) * inverse
            g00, g11 = g00 + dq * (c0 - q * c), g11 + dq * (a0 - q * a)
            g01 = g01 + dq * b * (q - 1.0)
            d_o = d_o * thinner
        put(d_opacities, index, 1, 0, pick(d_opacities, index, 1, 0) + d_o)

        # cov = P P', P = U diag(s), U = M R, M = J W
        e00, e01, e02 = g00 * p00 + g01 * p10, g00 * p01 + g01 * p11, g00 * p02 + g01 * p12
        e10, e11, e12 = g01 * p00 + g11 * p10, g01 * p01 + g11 * p11, g01 * p02 + g11 * p12
        put(d_scales, index, 3, 0, pick(d_scales, index, 3, 0) + (e00 * u[0] + e10 * u[3]) * 2.0)
        put(d_scales, index, 3, 1, pick(d_scales, index, 3, 1) + (e01 * u[1] + e11 * u[4]) * 2.0)
        put(d_scales, index, 3, 2, pick(d_scales, index, 3, 2) + (e02 * u[2] + e12 * u[5]) * 2.0)
        s0, s1, s2 = s0 * 2.0, s1 * 2.0, s2 * 2.0
        du = (e00 * s0, e01 * s1, e02 * s2, e10 * s0, e11 * s1, e12 * s2)
        dr = (
            m[0] * du[0] + m[3] * du[3], m[0] * du[1] + m[3] * du[4], m[0] * du[2] + m[3] * du[5],
            m[1] * du[0] + m[4] * du[3], m[1] * du[1] + m[4] * du[4], m[1] * du[2] + m[4] * du[5],
            m[2] * du[0] + m[5] * du[3], m[2] * du[1] + m[5] * du[4], m[2] * du[2] + m[5] * du[5],
        )  # fmt: skip
        dm = product(du, (r[0], r[3], r[6], r[1], r[4], r[7], r[2], r[5], r[8]))

        # R of the quaternion, and the quaternion's length
        dw = (qx * (dr[7] - dr[5]) + qy * (dr[2] - dr[6]) + qz * (dr[3] - dr[1])) * 2.0
        dx = (
            qy * (dr[3] + dr[1]) + qz * (dr[6] + dr[2]) + qw * (dr[7] - dr[5]) - qx * (dr[4] + dr[8]) * 2.0
        ) * 2.0
        dy = (
            qx * (dr[3] + dr[1]) + qz * (dr[7] + dr[5]) + qw * (dr[2] - dr[6]) - qy * (dr[0] + dr[8]) * 2.0
        ) * 2.0
        dz = (
            qx * (dr[6] + dr[2]) + qy * (dr[7] + dr[5]) + qw * (dr[3] - dr[1]) - qz * (dr[0] + dr[4]) * 2.0
        ) * 2.0
        along = dw * qw + dx * qx + dy * qy + dz * qz
        put(d_quats, index, 4, 0, pick(d_quats, index, 4, 0) + (dw - along * qw) * unit)
        put(d_quats, index, 4, 1, pick(d_quats, index, 4, 1) + (dx - along * qx) * unit)
        put(d_quats, index, 4, 2, pick(d_quats, index, 4, 2) + (dy - along * qy) * unit)
        put(d_quats, index, 4, 3, pick(d_quats, index, 4, 3) + (dz - along * qz) * unit)

        # the mean: by where it falls, by J, by its depth
        d_px, d_py = pick(d_means2d, index, 2, 0), pick(d_means2d, index, 2, 1)
        dx, dy, dz = d_px * fx, d_py * fy, pick(d_depths, index, 1, 0)
        if not ortho:
            rz = 1.0 / mz
            dj00 = dm[0] * view[0] + dm[1] * view[1] + dm[2] * view[2]
            dj02 = dm[0] * view[8] + dm[1] * view[9] + dm[2] * view[10]
            dj11 = dm[3] * view[4] + dm[4] * view[5] + dm[5] * view[6]
            dj12 = dm[3] * view[8] + dm[4] * view[9] + dm[5] * view[10]
            sx, sy = where(free_x, -dj02 * fx * rz, 0.0), where(free_y, -dj12 * fy * rz, 0.0)  # of the slopes
            dx, dy = (dx + sx) * rz, (dy + sy) * rz
            dz = dz - (dx * mx + dy * my) * rz
            dz = dz - ((dj00 - hx * dj02) * fx + (dj11 - hy * dj12) * fy) * (rz * rz)
        put(d_means, index, 3, 0, pick(d_means, index, 3, 0) + dx * view[0] + dy * view[4] + dz * view[8])
        put(d_means, index, 3, 1, pick(d_means, index, 3, 1) + dx * view[1] + dy * view[5] + dz * view[9])
        put(d_means, index, 3, 2, pick(d_means, index, 3, 2) + dx * view[2] + dy * view[6] + dz * view[10])
        if pose.shape[0]:
            within = steps(0, LANES) < np.int32(last - n)
            dx, dy, dz = where(within, dx, 0.0), where(within, dy, 0.0), where(within, dz, 0.0)
            t0, t1, t2 = t0 + dx, t1 + dy, t2 + dz
            v0, v1, v2 = v0 + dx * x, v1 + dx * y, v2 + dx * z
            v3, v4, v5 = v3 + dy * x, v4 + dy * y, v5 + dy * z
            v6, v7, v8 = v6 + dz * x, v7 + dz * y, v8 + dz * z
            v0, v1 = v0 + where(within, j00 * dm[0], 0.0), v1 + where(within, j00 * dm[1], 0.0)
            v2, v3 = v2 + where(within, j00 * dm[2], 0.0), v3 + where(within, j11 * dm[3], 0.0)
            v4, v5 = v4 + where(within, j11 * dm[4], 0.0), v5 + where(within, j11 * dm[5], 0.0)
            v6 = v6 + where(within, j02 * dm[0] + j12 * dm[3], 0.0)
            v7 = v7 + where(within, j02 * dm[1] + j12 * dm[4], 0.0)
            v8 = v8 + where(within, j02 * dm[2] + j12 * dm[5], 0.0)
    if pose.shape[0]:
        store(pose, first // CHUNK * LANES, sums((v0, v1, v2, v3, v4, v5, v6, v7, v8, t0, t1, t2)))
