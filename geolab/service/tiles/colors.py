"""Colours for one band: ramps for values, tables for classes and probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.uint8]  # [256, 4]: red, green, blue, opacity

CHANGE = (0xE8, 0x59, 0x0C)
TOP_LEVEL = 254  # of a probability of 1
NODATA = 255
FAINTEST = 64  # opacity of change that is just above the threshold
RAMPS = ("gray", "cividis", "viridis", "balance")  # all safe for colour-blind readers
_ANCHORS = {  # 65 colours each: cividis (Nuñez 2018), viridis (van der Walt 2015), balance (Thyng 2016)
    "cividis": (
        "00224d00255400285b002a62002d6900307004327011356f1a386f213b6e273d6d2c406d31436c36466c3a486b3f4b6b"
        "434e6b47516b4b546c4e566c52596c565c6d595f6d5d616e61646f64676f686a706b6d716e7073727374757575797877"
        "7c7b787f7d788380788683788a86788e8978928c77968f779a93769e9675a29974a69c73aa9f72aea271b2a66fb6a96e"
        "baac6cbeb06ac3b368c7b666cbba64cfbd61d4c15ed8c45bdcc858e1cc54e5cf50ead34ceed747f3da42f8de3bfde234"
        "fde737"
    ),
    "viridis": (
        "44015445065a460c5f47126547186a481d6f482273472777472c7b46317e453681433b834240854044873e49893c4d8a"
        "3a528b38568b365a8c345e8d32628d31668d2f6a8d2d6e8e2c728e2a768e287a8e277d8e26818e24858d23898d218c8d"
        "20908c1f938b1e978a1e9a891e9e881fa28621a68523a98227ad802bb17d30b47a36b8773dbb7444be704bc26c53c567"
        "5bc86264cb5d6dce5877d05281d34c8bd54695d73f9fd938aadb32b5dd2bbfdf24cae01ed4e11adfe318e9e419f3e51e"
        "fde724"
    ),
    "balance": (
        "171c421b214e1f275b232c68263176283784293c922841a12448af1c50ba0f59bd0962bd0e6abc1872bb2379ba2d80b9"
        "3887b9428eb94d95ba599bba64a2bb71a8bd7eadbf8bb3c197b9c5a3bfc8afc5cdbbcbd1c7d2d6d2d8dbdddfe1e8e6e7"
        "f0ecebede5e3e9dbd7e6d2cce3c8c0dfbfb5ddb6a9daad9ed7a392d49a87d2917bcf8870cc7f65c9765ac66c4fc36345"
        "c0593cbc4f33b8452cb43a27af3024a82624a11d259915278f1028850e297a0e28700e26650e235a0e20500c1b460b16"
        "3c0911"
    ),
    "gray": "000000ffffff",
}


@lru_cache(len(RAMPS))
def ramp(name: str) -> Table:
    """The colours of a ramp, opaque. 'balance' diverges from its middle."""
    anchors = np.frombuffer(bytes.fromhex(_ANCHORS[name]), np.uint8).reshape(-1, 3)
    at = np.round(np.linspace(0, 255, len(anchors)))
    table = np.full((256, 4), 255.0)
    for channel in range(3):
        table[:, channel] = np.interp(np.arange(256), at, anchors[:, channel])
    return np.round(table).astype(np.uint8)


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
