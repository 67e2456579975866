"""Variations of a training window that leave its truth as it is.

What differs between two dates without being change (light, haze, season's tint, a pixel of
misregistration, noise) is varied here, so that the network learns to overlook it. Dates are not
swapped: the network is symmetric in them. Only the given generator is used: one seed, one result.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geolab.change.pairs.part import Sample

Pixels = NDArray[np.float32]

GAIN = 0.15  # standard deviation of each date's contrast, common to all bands
BAND_GAIN = 0.08  # and of each band's own
OFFSET = 0.25  # standard deviation of each date's brightness, in standard deviations of the band
BAND_OFFSET = 0.10
NOISE = 0.10  # the most noise, likewise
SHIFT_SHARE = 0.3  # share of windows whose second date is moved by up to a pixel


def vary(sample: Sample, rng: np.random.Generator) -> Sample:
    """A variation of the window. Its images are normalised already: [band, y, x] in deviations."""
    before, after, label = _turned(sample, rng)
    if rng.random() < SHIFT_SHARE:
        after = _shifted(after, rng)
    return Sample(_recoloured(before, rng), _recoloured(after, rng), label)


def _turned(sample: Sample, rng: np.random.Generator) -> tuple[Pixels, Pixels, NDArray[np.uint8]]:
    """One of the eight symmetries of the square, the same for both dates and the label."""
    turns, flip = int(rng.integers(4)), bool(rng.integers(2))

    def turn(pixels: NDArray) -> NDArray:
        turned = np.rot90(pixels, turns, axes=(-2, -1))
        return np.ascontiguousarray(turned[..., ::-1] if flip else turned)

    return turn(sample.before), turn(sample.after), turn(sample.label)


def _shifted(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """The date moved by up to a pixel, bilinear; the border repeats itself."""
    for axis in (-2, -1):
        move = rng.uniform(-1, 1)
        pixels = _moved(pixels, move, axis)
    return pixels


def _moved(pixels: Pixels, move: float, axis: int) -> Pixels:
    """Moved by -1..1 pixels along an axis."""
    length = pixels.shape[axis]
    places = np.arange(length) + (1 if move > 0 else -1)
    neighbour = np.take(pixels, np.clip(places, 0, length - 1), axis=axis)
    share = np.float32(abs(move))
    return pixels * (1 - share) + neighbour * share


def _recoloured(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    bands = (len(pixels), 1, 1)
    gain = np.exp(rng.normal(0, GAIN) + rng.normal(0, BAND_GAIN, bands)).astype(np.float32)
    offset = (rng.normal(0, OFFSET) + rng.normal(0, BAND_OFFSET, bands)).astype(np.float32)
    strength = np.float32(rng.uniform(0, NOISE) * 12**0.5)
    # uniform noise of that deviation: five times quicker to draw than normal noise
    varied = rng.random(pixels.shape, dtype=np.float32)
    varied *= strength
    varied += offset - strength / 2
    varied += pixels * gain
    varied *= pixels != 0  # invalid pixels look in training as they will in detection
    return varied
