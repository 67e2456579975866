"""From light to grey values: the camera's blur and distortion, haze, tone, noise."""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from geolab.town.model import Conditions

_HAZE = np.array([0.075, 0.088, 0.105, 0.055])  # what the air adds at haze 1
_GAIN = np.array([1.62, 1.58, 1.72, 0.88])  # exposure of each band
_SHOULDER = 2.3
_CURVE = np.minimum(
    (1 - np.exp(-_SHOULDER * np.linspace(0, 1.6, 4097) ** 0.62)) / (1 - math.exp(-_SHOULDER)), 1
)
_CURVE = np.round(255 * _CURVE, 3)


@numba.njit(cache=True, nogil=True)
def develop(
    light, scale, offset_x, offset_y, warp, first_row, first_column, curve, gain, haze, noise, seed, out
):
    """Fill out[4, y, x] (uint8) from light [rows, columns, 4] with `scale` samples per pixel.

    offset_x, offset_y: where the first pixel's corner lies in the samples (right, down). warp: amplitude
    in pixels of a smooth distortion by place; first_row, first_column: the window's place in the image,
    for that and for the noise.
    """
    for r in range(out.shape[1]):
        for c in range(out.shape[2]):
            gr, gc = r + first_row, c + first_column
            dx = warp * math.sin(gr / 47.0 + 1.3) * math.cos(gc / 61.0 + 0.4)
            dy = warp * math.cos(gr / 53.0 + 2.1) * math.sin(gc / 43.0 + 0.9)
            y0 = offset_y + (r + 0.5 + dy) * scale - 0.5
            x0 = offset_x + (c + 0.5 + dx) * scale - 0.5
            for band in range(4):
                total, weight = 0.0, 0.0
                base_r, base_c = math.floor(y0), math.floor(x0)
                for j in range(base_r - 1, base_r + 3):
                    wy = max(1 - abs(j - y0) / (0.85 * scale), 0.0)
                    for i in range(base_c - 1, base_c + 3):
                        w = wy * max(1 - abs(i - x0) / (0.85 * scale), 0.0)
                        if w > 0 and 0 <= j < light.shape[0] and 0 <= i < light.shape[1]:
                            total += w * light[j, i, band]
                            weight += w
                level = (total / weight * (1 - haze[4]) + haze[band]) * gain[band]
                grey = curve[min(max(int(level * 2560.0 + 0.5), 0), 4096)]
                h = (gr * 374761393 + gc * 668265263 + band * 2147001 + seed * 362437) & 0xFFFFFFFF
                jitter = 0.0
                for _ in range(3):  # the sum of three uniforms is close enough to a normal
                    h = ((h ^ (h >> 13)) * 1274126177 + 12345) & 0xFFFFFFFF
                    h = h ^ (h >> 16)
                    jitter += h / 4294967295.0 - 0.5
                out[band, r, c] = int(min(max(grey + 2.0 * noise * jitter + 0.5, 0.0), 255.0))


def exposure(conditions: Conditions) -> float:
    """What a camera's automatic exposure multiplies by: 1 when the sun stands at 45 degrees."""
    return 0.987 / (math.sin(math.radians(conditions.sun_elevation_deg)) + 0.28)


def expose(
    light: NDArray[np.float32],
    conditions: Conditions,
    *,
    scale: int,
    offset: tuple[float, float],
    at: tuple[int, int],
    shape: tuple[int, int],
    seed: int,
) -> NDArray[np.uint8]:
    """The image [band, y, x] of a window at pixel `at` (row, column) of the whole.

    light: [rows, columns, band] linear; offset: the window's corner in samples (right, down).
    """
    out = np.empty((4, *shape), np.uint8)
    haze = np.append(_HAZE * conditions.haze, 0.5 * conditions.haze)
    gain = _GAIN * conditions.gain * exposure(conditions)
    develop(light, scale, *offset, conditions.warp_px, *at, _CURVE, gain, haze, conditions.noise, seed, out)
    return out


def tone(light: NDArray[np.float32], conditions: Conditions, *, haze: float = 0.0) -> NDArray[np.uint8]:
    """Grey values of red, green, blue [N, 3] with the orthophoto's exposure, without its haze and noise.

    haze: of its own, 0..1, as the orthophoto's.
    """
    if haze:
        light = light * (1 - 0.5 * haze) + (_HAZE[:3] * haze).astype(np.float32)
    level = light * (_GAIN[:3] * conditions.gain * exposure(conditions))
    return np.round(_CURVE[np.clip((level * 2560.0 + 0.5).astype(int), 0, 4096)]).astype(np.uint8)


def grainy(rgb: NDArray[np.uint8], noise: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The picture with the noise of a sensor: its standard deviation in grey values."""
    grey = rgb + np.float32(noise) * rng.standard_normal(rgb.shape, dtype=np.float32)
    return np.clip(np.round(grey), 0, 255).astype(np.uint8)
