"""One cloud-free image from many clouded ones: the median of what was seen clear.

Nothing is invented: a pixel that was seen clear too seldom stays nodata, and how often each pixel was seen is
a product of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geolab.errors import BadInput

Array = NDArray[Any]
Floats = NDArray[np.float32]

# Sentinel-2's scene classification: what each pixel shows.
CLASSES = {
    0: "no data", 1: "saturated or defective", 2: "dark", 3: "cloud shadow", 4: "vegetation",
    5: "not vegetated", 6: "water", 7: "unclassified", 8: "cloud, medium probability",
    9: "cloud, high probability", 10: "thin cirrus", 11: "snow",
}  # fmt: skip
CLEAR = (2, 4, 5, 6, 7, 11)
CLOUDED = (3, 8, 9, 10)  # what a buffer grows around


@dataclass(frozen=True, eq=False)
class Composite:
    """pixels: [band, y, x] float32, NaN where seen clear less than asked; looks: [y, x] uint16."""

    pixels: Floats
    looks: NDArray[np.uint16]


def compose(scenes: Floats, clear: NDArray[np.bool_], *, min_looks: int = 1) -> Composite:
    """The median of the clear pixels of every band, and how many there were.

    scenes: [time, band, y, x], NaN where invalid. clear: [time, y, x]. A look is clear and valid in every
    band. Raises BadInput for unlike shapes.
    """
    if scenes.shape[:1] + scenes.shape[2:] != clear.shape:
        raise BadInput("scenes", found=f"{scenes.shape} with {clear.shape}", expected="the same [time, y, x]")
    seen = clear & np.isfinite(scenes).all(axis=1)
    looks = seen.sum(axis=0, dtype=np.uint16)
    enough = looks >= max(1, min_looks)
    pixels = np.empty(scenes.shape[1:], np.float32)
    for band, values in enumerate(np.moveaxis(scenes, 1, 0)):
        pixels[band] = np.where(
            enough, median(np.where(seen, values, np.float32(np.nan))), np.float32(np.nan)
        )
    return Composite(pixels, looks)


def one_look_a_day(classes: Array, days: Sequence[Any]) -> NDArray[np.bool_]:
    """[time, y, x]: where a scene is the first of its day that shows a pixel at all.

    classes: [time, y, x], 0 where a scene shows nothing. Neighbouring granules show one moment twice: it is
    one look, and the first scene (the one on the cell's own pixels) says whether it is clear.
    """
    first, taken = np.zeros(classes.shape, bool), dict[Any, Array]()
    for index, day in enumerate(days):
        before = taken.setdefault(day, np.zeros(classes.shape[1:], bool))
        first[index] = (classes[index] != 0) & ~before
        before |= first[index]
    return first


def median(values: Floats) -> Floats:
    """The median along the first axis without NaN, float32; NaN where all are. Exact for any count."""
    ordered = np.sort(values, axis=0)  # NaN comes last
    count = np.count_nonzero(np.isfinite(values), axis=0)
    low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, np.maximum(count - 1, 0))
    lower = np.take_along_axis(ordered, low[None], axis=0)[0]
    upper = np.take_along_axis(ordered, high[None], axis=0)[0]
    return (lower + upper) / np.float32(2)


def clear(classes: Array, *, keep: Collection[int] = CLEAR, buffer_px: int = 0) -> NDArray[np.bool_]:
    """[..., y, x]: where a scene classification shows the ground.

    keep: classes that count as clear; anything else, known or not, does not. buffer_px: pixels so near to
    cloud or its shadow do not either (a disc of that radius). Raises BadInput for unknown classes.
    """
    if unknown := sorted(set(keep) - set(CLASSES)):
        raise BadInput("clear", found=f"class {unknown[0]}", expected=f"classes 0..{max(CLASSES)}")
    if not 0 <= buffer_px <= 100:
        raise BadInput("buffer_px", found=buffer_px, expected="0 to 100 pixels")
    ground = np.isin(classes, list(keep))
    if not buffer_px:
        return ground
    clouded = np.isin(classes, [c for c in CLOUDED if c not in keep])
    return ground & ~_grown(clouded, buffer_px)


def _grown(mask: NDArray[np.bool_], radius_px: int) -> NDArray[np.bool_]:
    """The mask and all within the radius, for each image of a stack."""
    from scipy.ndimage import distance_transform_edt

    grown = np.empty_like(mask)
    for index in np.ndindex(mask.shape[:-2]):
        # the distance of what is outside to the nearest inside; with none inside it would be nonsense
        far = distance_transform_edt(~mask[index]) if mask[index].any() else np.inf
        grown[index] = np.asarray(far) <= radius_px
    return grown
