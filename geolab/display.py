"""How a raster is shown: which of its bands are red, green and blue, and between which values.

Maps, figures and tiles ask here, so that one image looks the same wherever it is drawn, and
two dates of one place are always stretched alike.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from geolab.errors import BadInput

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rasterio import DatasetReader

    Array = NDArray[np.generic]

PERCENT = (2.0, 98.0)  # the share of pixels darker than black and than white
SAMPLE_PX = 512  # a stretch is read from an overview of at most this size, pixels

Limits = tuple[tuple[float, float], ...]


def rgb_bands(names: Sequence[str | None], colors: Sequence[str] = (), *, count: int) -> tuple[int, ...]:
    """The 1-based bands to show as red, green and blue; (1,) where there are no such three.

    names: band descriptions ('red', 'B3 red', ...), asked first; colors: GDAL's colour
    interpretations. Three or more unnamed bands are taken to begin with red, green and blue.
    """
    for words in ([_words(name or "") for name in names], [{color.lower()} for color in colors]):
        found = [_first(words, color) for color in ("red", "green", "blue")]
        if all(found):
            return tuple(found)
    named = [name for name in names if name and not _NUMBERED.fullmatch(name)]
    return (1, 2, 3) if count >= 3 and not named else (1,)


_NUMBERED = re.compile(r"(band|b)?[ _]?\d+", re.IGNORECASE)


def _words(name: str) -> set[str]:
    return set(re.findall(r"[a-z0-9]+", name.lower()))


def _first(words: Sequence[set[str]], wanted: str) -> int:
    return next((band for band, found in enumerate(words, 1) if wanted in found), 0)


def limits(*images: Array, percent: tuple[float, float] = PERCENT) -> Limits:
    """One (low, high) a band, from all images together; the same for both dates of a pair.

    images: [band, y, x], NaN where invalid. Every image weighs by its valid pixels. A band
    without a valid pixel gets (0, 1); a constant one a range of 1 around its value.
    """
    bands = {len(image) for image in images}
    if len(bands) != 1:
        raise BadInput("images to stretch alike", found=f"{sorted(bands)} bands", expected="as many in each")
    return tuple(
        _range(np.concatenate([np.ravel(image[band]) for image in images]), percent)
        for band in range(bands.pop())
    )


def _range(values: Array, percent: tuple[float, float]) -> tuple[float, float]:
    valid = values[np.isfinite(values)].astype(np.float64)
    if valid.size == 0:
        return (0.0, 1.0)
    low, high = (float(v) for v in np.percentile(valid, percent))
    if high > low:
        return (low, high)
    spread = float(valid.max() - valid.min())  # nearly constant: a mask, a field of zeros
    return (float(valid.min()), float(valid.max())) if spread > 0 else (low - 0.5, low + 0.5)


def stretch(image: Array, between: Limits) -> NDArray[np.uint8]:
    """The image as bytes 0..255: each band cut at its (low, high); NaN becomes 0.

    image: [band, y, x]; returns the same shape, uint8.
    """
    low = np.array([pair[0] for pair in between], np.float32)[:, None, None]
    high = np.array([pair[1] for pair in between], np.float32)[:, None, None]
    share = (image.astype(np.float32) - low) / (high - low)
    return (np.nan_to_num(np.clip(share, 0, 1), nan=0.0) * 255 + 0.5).astype(np.uint8)


def read_sample(dataset: DatasetReader, bands: Iterable[int]) -> NDArray[np.float32]:
    """A small copy of a raster for its statistics: [band, y, x], NaN where invalid.

    Decimated by GDAL from the overviews, at most SAMPLE_PX on the longer side.
    """
    scale = max(1.0, max(dataset.width, dataset.height) / SAMPLE_PX)
    shape = (math.ceil(dataset.height / scale), math.ceil(dataset.width / scale))
    chosen = list(bands)
    pixels = dataset.read(chosen, out_shape=(len(chosen), *shape), masked=True)
    if np.iscomplexobj(pixels):
        pixels = np.ma.abs(pixels)
    return pixels.astype(np.float32).filled(np.nan)
