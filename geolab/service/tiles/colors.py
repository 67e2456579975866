"""Colours for one band: ramps for values, tables for classes and probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

# At the top on purpose: two threads that import rio-tiler at once break its circular imports (9.4.12).
from rio_tiler.colormap import cmap

Table = NDArray[np.uint8]  # [256, 4]: red, green, blue, opacity

CHANGE = (0xE8, 0x59, 0x0C)
TOP_LEVEL = 254  # of a probability of 1
NODATA = 255
FAINTEST = 64  # opacity of change that is just above the threshold
RAMPS = ("gray", "cividis", "viridis", "balance")  # all safe for colour-blind readers


@lru_cache(len(RAMPS))
def ramp(name: str) -> Table:
    """The colours of a ramp, opaque. 'balance' diverges from its middle."""
    listed = cmap.get(name)
    return np.array([listed[value] for value in range(256)], np.uint8)  # pyright: ignore[reportIndexIssue, reportArgumentType, reportCallIssue]


def classes(colors: Mapping[int, tuple[int, ...]]) -> Table:
    """The colours of classes 0..255; those without one are transparent."""
    table = np.zeros((256, 4), np.uint8)
    for value, rgba in colors.items():
        if 0 <= value < 256:
            table[value] = rgba
    return table


def change() -> Table:
    """A mask: 1 in the colour of change."""
    return classes({1: (*CHANGE, 255)})


@lru_cache(512)
def probability(threshold: float, *, fading: bool) -> Table:
    """Levels of probability (254 is 1, 255 nothing): change from the threshold on, the rest transparent.

    fading: the closer to the threshold, the fainter.
    """
    share = np.arange(256) / TOP_LEVEL
    changed = share >= threshold
    changed[NODATA] = False
    table = np.zeros((256, 4), np.uint8)
    table[changed, :3] = CHANGE
    sure = (share - threshold) / max(1 - threshold, 1 / TOP_LEVEL) if fading else np.ones(256)
    table[changed, 3] = np.clip(FAINTEST + (255 - FAINTEST) * sure[changed] + 0.5, 0, 255)
    return table
