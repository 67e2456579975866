"""Numba kernels for colour: what a point of the world reflects, lit by sun and sky.

Textures are noise of the position, so orthophotos and drone photos at any scale show the same world.
"""

from __future__ import annotations

import math

import numba

_KIND, _X, _Y, _COS, _SIN, _A, _B, _BASE, _EAVE, _RISE, _SHAPE, _PHASE, _RED, _GREEN, _BLUE, _NIR = range(16)
_WALL_RED, _WALL_GREEN, _WALL_BLUE, _EXTRA = 16, 17, 18, 19
_FIELD, _ROAD, _PAVED, _WATER, _PARKING, _LAWN, _SOIL, _PITCH, _POOL, _TRACK = range(1, 11)
_ROOF, _TREE, _CAR, _HEDGE = 11, 12, 13, 14

# Linear red, green, blue, nir.
_SUN = (1.06, 1.0, 0.92, 1.0)
_SKY = (0.25, 0.29, 0.36, 0.24)


@numba.njit(cache=True, nogil=True)
def _hash(i, j, seed):
    h = (i * 374761393 + j * 668265263 + seed * 362437) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0xFFFFFFFF
    h = ((h ^ (h >> 16)) * 2246822519) & 0xFFFFFFFF
    return (h ^ (h >> 15)) * (2.0 / 4294967295.0) - 1.0


@numba.njit(cache=True, nogil=True)
def _noise(x, y, seed):
    """Value noise, -1..1, one knot per unit."""
    i, j = math.floor(x), math.floor(y)
    u, v = x - i, y - j
    u, v = u * u * (3 - 2 * u), v * v * (3 - 2 * v)
    i, j = int(i), int(j)
    low = _hash(i, j, seed) * (1 - u) + _hash(i + 1, j, seed) * u
    high = _hash(i, j + 1, seed) * (1 - u) + _hash(i + 1, j + 1, seed) * u
    return low * (1 - v) + high * v


@numba.njit(cache=True, nogil=True)
def _rough(x, y, seed):
    """Three octaves of noise, about -1..1, the coarsest one unit wide."""
    return (
        0.55 * _noise(x, y, seed)
        + 0.3 * _noise(2.1 * x, 2.1 * y, seed + 1)
        + 0.15 * _noise(4.3 * x, 4.3 * y, seed + 2)
    )


@numba.njit(cache=True, nogil=True)
def _grass(x, y, season, dry):
    """Grass that yellows with the season and in patches."""
    patch = 0.5 * _noise(x / 17.0, y / 17.0, 5) + 0.35 * _noise(x / 5.0, y / 5.0, 6) + dry
    w = min(max(0.25 + 0.45 * season + 0.35 * patch, 0.0), 1.0)
    fine = 1 + 0.15 * _rough(x / 1.3, y / 1.3, 7) + 0.20 * _rough(x / 0.21, y / 0.21, 8)
    return (
        (0.050 + 0.085 * w) * fine,
        (0.092 + 0.045 * w) * fine,
        (0.030 + 0.035 * w) * fine,
        (0.46 - 0.16 * w) * fine,
    )


@numba.njit(cache=True, nogil=True)
def _road(t, u, v, x, y):
    """Asphalt with patches, wheel tracks and white lines."""
    grey = 0.078 + 0.010 * _noise(x / 40, y / 40, 21) + 0.012 * _rough(x / 2.0, y / 2.0, 22)
    grey += 0.011 * _rough(x / 0.16, y / 0.16, 24)
    grey += 0.010 * math.cos(v / t[_B] * 2 * math.pi)
    if _noise(x / 11, y / 7, 23) > 0.62:
        grey *= 0.78
    s = t[_PHASE] + u
    if t[_SHAPE] < 2 and 8 < s < t[_EXTRA] - 8:
        dash = s % 9.0 < 4.5 or (t[_SHAPE] == 0 and s % 12 < 0)
        if abs(v) < 0.09 and dash:
            grey = 0.34
        if t[_SHAPE] == 0 and abs(abs(v) - t[_B] + 0.45) < 0.09:
            grey = 0.32
    return (grey * 1.01, grey, grey * 0.985, grey * 1.15)


@numba.njit(cache=True, nogil=True)
def _field(t, u, v, x, y):
    """Rows of a crop, tramlines every 18 m, wetter and drier places."""
    row = math.sin(2 * math.pi * (v + 0.15 * _noise(u / 9, v / 9, 31)) / t[_EXTRA])
    broad = 0.16 * _noise(x / 38 + t[_PHASE], y / 38, 32) + 0.10 * _noise(x / 11, y / 11, 33)
    f = 1 + broad + 0.28 * t[_WALL_RED] * row + 0.10 * _rough(u / 2.5, v / 1.2, 34)
    tram = v % 18.0
    if tram < 0.5 or 1.9 < tram < 2.4:
        f *= 0.84
    return (t[_RED] * f, t[_GREEN] * f, t[_BLUE] * f, t[_NIR] * (1 + 0.5 * (f - 1)))


@numba.njit(cache=True, nogil=True)
def _pitch(t, u, v, x, y, season):
    """A football pitch: mown stripes and lines."""
    r, g, b, n = _grass(x, y, season * 0.5, -0.5)
    f = 1.08 if (u + t[_A]) % 12.0 < 6.0 else 0.92
    au, av = abs(u), abs(v)
    edge_u, edge_v = t[_A] - 2.5, t[_B] - 2.5
    inside = au < edge_u + 0.1 and av < edge_v + 0.1
    line = inside and (au > edge_u - 0.15 or av > edge_v - 0.15 or au < 0.1)
    line = line or abs(math.hypot(u, v) - 6.5) < 0.12
    line = line or (
        inside and ((abs(au - edge_u + 11) < 0.1 and av < 13) or (abs(av - 13) < 0.1 and au > edge_u - 11))
    )
    if line:
        return (0.5, 0.52, 0.48, 0.55)
    return (r * f, g * f, b * f, n * f)


@numba.njit(cache=True, nogil=True)
def _ground(t, x, y, season):
    """Reflectance of the ground."""
    kind = int(t[_KIND])
    u = (x - t[_X]) * t[_COS] + (y - t[_Y]) * t[_SIN]
    v = -(x - t[_X]) * t[_SIN] + (y - t[_Y]) * t[_COS]
    if kind == _ROAD:
        return _road(t, u, v, x, y)
    if kind == _FIELD:
        return _field(t, u, v, x, y)
    if kind == _PITCH:
        return _pitch(t, u, v, x, y, season)
    if kind == _PAVED:
        f = (0.19 + 0.03 * math.sin(t[_PHASE] * 2)) * (
            1 + 0.10 * _rough(x / 0.9, y / 0.9, 41) + 0.08 * _noise(x / 9, y / 9, 42)
        )
        return (f * 1.03, f, f * 0.95, f * 1.1)
    if kind == _PARKING:
        f = 0.11 * (1 + 0.10 * _rough(x / 2.0, y / 2.0, 43) + 0.10 * _noise(x / 15, y / 15, 44))
        if u % 2.6 < 0.14 and (v * t[_EXTRA]) % 16.0 < 10.0:
            f = 0.36
        return (f * 1.02, f, f * 0.97, f * 1.15)
    if kind == _WATER:
        f = 1 + 0.25 * _noise(x / 23, y / 23, 45) + 0.10 * _rough(x / 2.2, y / 2.2, 46)
        return (0.018 * f, 0.036 * f, 0.034 * f, 0.012 * f)
    if kind == _POOL:
        f = 1 + 0.1 * _rough(x, y, 47)
        return (0.10 * f, 0.36 * f, 0.46 * f, 0.05)
    if kind == _TRACK or kind == _SOIL:  # noqa: SIM109 (Numba builds a set for `in`)
        f = 1 + 0.16 * _rough(x / 1.6, y / 1.6, 48) + 0.12 * _noise(x / 13, y / 13, 49)
        if kind == _TRACK and abs(v) < 0.45:
            r, g, b, n = _grass(x, y, season, 0.3)
            return (r * 1.3, g * 1.3, b * 1.3, n)
        return (0.25 * f, 0.205 * f, 0.145 * f, 0.31 * f)
    r, g, b, n = _grass(x, y, season, 0.15 if kind == 0 else -0.15)
    return (r * t[_RED], g * t[_GREEN], b * t[_BLUE], n * t[_NIR])


@numba.njit(cache=True, nogil=True)
def _roof(t, x, y):
    """Reflectance and normal of a roof."""
    u = (x - t[_X]) * t[_COS] + (y - t[_Y]) * t[_SIN]
    v = -(x - t[_X]) * t[_SIN] + (y - t[_Y]) * t[_COS]
    cover = int(t[_EXTRA]) % 10
    along, across = u, v
    nu, nv = 0.0, 0.0
    slope = t[_RISE] / t[_B]
    if t[_SHAPE] == 0:
        nv = slope if v > 0 else -slope
    elif t[_SHAPE] == 1:
        if t[_A] - abs(u) < t[_B] - abs(v):
            nu = slope if u > 0 else -slope
            along, across = v, u
        else:
            nv = slope if v > 0 else -slope
    f = 1 + 0.07 * _noise(x / 3.0, y / 3.0, 51) + 0.06 * _rough(x / 0.3, y / 0.3, 52)
    if cover == 0:
        f *= 1 + 0.10 * math.sin(2 * math.pi * across / 0.42)
        if t[_SHAPE] == 0 and abs(v) < 0.22:
            f *= 1.12
    elif cover == 1:
        f *= 1.08 if along % 1.2 < 0.35 else 0.97
        if t[_A] > 10 and along % 9.0 < 1.3 and abs(across) < t[_B] * 0.72 and abs(across) > 0.15 * t[_B]:
            return 0.62 * f, 0.66 * f, 0.70 * f, 0.5 * f, nu, nv  # skylights
    else:
        f *= 1 + 0.12 * _noise(x / 5.0, y / 5.0, 53) + 0.10 * _rough(x / 0.25, y / 0.25, 54)
        rim = min(t[_A] - abs(u), t[_B] - abs(v))
        if rim < 0.45:
            return 0.42, 0.42, 0.41, 0.42, nu, nv  # parapet
        box_u, box_v = abs((u + t[_PHASE]) % 8.3 - 4.0), abs((v + t[_PHASE]) % 7.1 - 3.5)
        if rim > 2 and box_u < 0.8 and box_v < 0.7:
            f *= 1.5 if box_u < 0.6 and box_v < 0.5 else 0.55
    southward = v * (1 if t[_COS] < 0 else -1)
    clear = abs(u) < t[_A] - 1.6 and 0.8 < southward < t[_B] - 1.0
    if t[_EXTRA] >= 10 and cover == 0 and t[_SHAPE] == 0 and clear:  # solar panels
        g = 1.0 if u % 1.1 > 0.1 and v % 1.75 > 0.12 else 2.6
        return 0.022 * g, 0.026 * g, 0.045 * g, 0.03 * g, nu, nv
    return t[_RED] * f, t[_GREEN] * f, t[_BLUE] * f, t[_NIR] * f, nu, nv


@numba.njit(cache=True, nogil=True)
def _tree(t, x, y, z, season):
    """Reflectance of a crown; deciduous ones turn with the season, each in its own time."""
    r, g, b, n = 0.022, 0.046, 0.018, 0.33
    own = _hash(int(t[_PHASE] * 1000), 3, 61)
    if t[_EXTRA] > 0:
        w = min(max(1.6 * season - 0.55 + 0.45 * own, 0.0), 1.0)
        hue = 0.5 + 0.5 * _hash(int(t[_PHASE] * 1000), 4, 62)
        r = 0.036 * (1 - w) + (0.13 + 0.05 * hue) * w
        g = (0.068 + 0.012 * own) * (1 - w) + (0.085 + 0.05 * (1 - hue)) * w
        b = 0.024 * (1 - w) + 0.03 * w
        n = 0.46 * (1 - w) + 0.32 * w
    p, q = x + 0.5 * z, y + 0.6 * z
    f = 1 + 0.36 * _noise(p / 0.8, q / 0.8, 63) + 0.28 * _noise(p / 0.3, q / 0.3, 64) + 0.12 * own
    return r * f, g * f, b * f, n * f


@numba.njit(cache=True, nogil=True)
def _wall(t, x, y, z):
    """Reflectance and horizontal normal of a facade: plaster, windows by storey, a darker plinth."""
    u = (x - t[_X]) * t[_COS] + (y - t[_Y]) * t[_SIN]
    v = -(x - t[_X]) * t[_SIN] + (y - t[_Y]) * t[_COS]
    end = t[_A] - abs(u) < t[_B] - abs(v)
    nu, nv, s, half = 0.0, 1.0 if v > 0 else -1.0, u, t[_A]
    if end:
        nu, nv, s, half = (1.0 if u > 0 else -1.0), 0.0, v, t[_B]
    up = z - t[_BASE]
    f = 1 + 0.06 * _rough(s / 1.5 + t[_PHASE], up / 1.5, 71)
    r, g, b = t[_WALL_RED] * f, t[_WALL_GREEN] * f, t[_WALL_BLUE] * f
    if up < 0.45:
        r, g, b = r * 0.55, g * 0.55, b * 0.55
    storey, bay = up % 2.9, (s + half) % 2.7
    if up < t[_EAVE] - 0.3 and 0.95 < storey < 2.25 and 0.75 < bay < 1.95 and abs(s) < half - 0.7:
        frame = storey < 1.05 or storey > 2.15 or bay < 0.85 or bay > 1.85 or abs(bay - 1.35) < 0.04
        shade = 0.7 if frame else 0.035 + 0.03 * _hash(int(s * 0.37 + 50), int(up / 2.9), 72)
        r, g, b = shade, shade, shade * 1.08
    return r, g, b, (r + g + b) / 2.6, nu, nv


@numba.njit(cache=True, nogil=True)
def shade(x, y, z, rows, side, lit, open_sky, table, sun, season, out):
    """Fill out[N, 4] with the light each point sends up, linear: reflectance x (sun + sky).

    side: 1 for a facade or flank, 0 for what is seen from above. lit: 0..1; open_sky: 0..1, how much
    of the sky the point sees. sun: unit vector toward it.
    """
    for i in range(len(x)):
        t = table[rows[i]]
        kind = int(t[_KIND])
        nx, ny, nz, sunny = 0.0, 0.0, 1.0, lit[i]
        if kind == _ROOF:
            if side[i]:
                r, g, b, n, nu, nv = _wall(t, x[i], y[i], z[i])
                nz = 0.0
            else:
                r, g, b, n, nu, nv = _roof(t, x[i], y[i])
            nx, ny = nu * t[_COS] - nv * t[_SIN], nu * t[_SIN] + nv * t[_COS]
        elif kind == _TREE or kind == _HEDGE:  # noqa: SIM109 (Numba builds a set for `in`)
            r, g, b, n = _tree(t, x[i], y[i], z[i], season)
            if kind == _TREE:
                nx, ny = (x[i] - t[_X]) / t[_A] * 1.1, (y[i] - t[_Y]) / t[_A] * 1.1
            nx += 0.8 * _noise((x[i] + 0.5 * z[i]) / 0.9, (y[i] + 0.6 * z[i]) / 0.9, 65)
            ny += 0.8 * _noise((x[i] + 0.5 * z[i]) / 0.9, (y[i] + 0.6 * z[i]) / 0.9, 66)
            nz = 0.35 if side[i] else 0.8
            sunny = 0.25 + 0.75 * sunny if side[i] == 0 else 0.15 + 0.6 * sunny
        elif kind == _CAR:
            r, g, b, n = t[_RED], t[_GREEN], t[_BLUE], t[_NIR]
            u = (x[i] - t[_X]) * t[_COS] + (y[i] - t[_Y]) * t[_SIN]
            if 0.35 < u < 1.0 or -1.7 < u < -1.3:
                r, g, b, n = 0.03, 0.035, 0.04, 0.03
            if side[i]:
                nz = 0.4
        else:
            r, g, b, n = _ground(t, x[i], y[i], season)
        length = math.sqrt(nx * nx + ny * ny + nz * nz)
        facing = max((nx * sun[0] + ny * sun[1] + nz * sun[2]) / length, 0.0) * sunny
        sky = open_sky[i] * (0.55 + 0.45 * nz / length)
        out[i, 0] = r * (_SUN[0] * facing + _SKY[0] * sky)
        out[i, 1] = g * (_SUN[1] * facing + _SKY[1] * sky)
        out[i, 2] = b * (_SUN[2] * facing + _SKY[2] * sky)
        out[i, 3] = n * (_SUN[3] * facing + _SKY[3] * sky)
        if kind == _WATER:  # it mirrors the sky, and a little of the sun
            glint = 0.010 + 0.012 * max(_noise(x[i] / 1.7, y[i] / 0.9, 67), 0.0) * sunny
            for band in range(4):
                out[i, band] += glint * _SKY[band] * 4
