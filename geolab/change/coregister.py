"""How far two images of one grid lie apart, measured and reported, never silently repaired."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.registration import phase_cross_correlation

from geolab.errors import BadInput

Array = NDArray[Any]

WINDOW_PX = 256
MAX_WINDOWS = 5  # along each axis
UPSAMPLE = 20  # steps of 0.05 px
MIN_VALID = 0.8  # share of a window's pixels valid at both dates
MIN_WINDOW_PX = 32
MAX_SPREAD_PX = 0.5
AGREE_PX = 1.0
LARGEST_SHIFT_PX = 0.5  # above this, misregistration makes change of its own: a warning


@dataclass(frozen=True)
class Shift:
    """Where `after` lies relative to `before`.

    dy_px, dx_px: what is at [y, x] before is at [y + dy_px, x + dx_px] after (down and right
    are positive); NaN where no window could be measured.
    spread_px: how far the windows disagree, 1.48 times the median distance from the median.
    windows: measured; agreeing: those within 1 px of the median.
    ok: two windows or more, and at least half of all, agree, and spread_px is at most 0.5: a
    shift of the image as a whole, worth acting upon. False says that the check could not tell.
    """

    dy_px: float
    dx_px: float
    spread_px: float
    windows: int
    agreeing: int
    ok: bool

    @property
    def length_px(self) -> float:
        """Length of the shift."""
        return float(np.hypot(self.dy_px, self.dx_px))

    def describe(self, *, down: str = "south", right: str = "east") -> str:
        """The shift as a sentence: after lies 0.8 px east and 0.3 px north of before.

        down, right: the names of the directions of rows and columns, on a north-up grid.
        """
        if not self.windows:
            return "the shift could not be measured: no window has enough valid pixels and texture"
        opposite = {"south": "north", "east": "west", "down": "up", "right": "left"}
        parts = [
            f"{abs(px):.1f} px {name if px > 0 else opposite.get(name, 'against ' + name)}"
            for px, name in ((self.dx_px, right), (self.dy_px, down))
            if abs(px) >= 0.05
        ]
        said = f"after lies {' and '.join(parts)} of before" if parts else "no shift"
        doubt = "" if self.ok else ": too few to rely on"
        return (
            f"{said} (spread {self.spread_px:.2f} px, {self.agreeing} of {self.windows} windows agree{doubt})"
        )

    def facts(self) -> dict[str, float | int | bool | str | None]:
        """The shift for a report: numbers (None where not measured) and the sentence."""
        measured = self.windows > 0
        return {
            "shift_dy_px": self.dy_px if measured else None,
            "shift_dx_px": self.dx_px if measured else None,
            "shift_spread_px": self.spread_px if measured else None,
            "shift_windows": self.windows,
            "shift_ok": self.ok,
            "shift": self.describe(),
        }


def shift(before: Array, after: Array, *, window_px: int = WINDOW_PX) -> Shift:
    """The shift of `after` against `before`, from up to 25 windows spread over the overlap.

    before, after: [band, y, x] or [y, x], NaN where invalid; bands are averaged.
    window_px: side of a window; an image of fewer than two windows is cut into smaller ones.
    Finds shifts up to about a third of a window. Raises BadInput for unlike shapes.
    """
    if before.shape[-2:] != after.shape[-2:] or before.ndim not in (2, 3) or after.ndim not in (2, 3):
        raise BadInput(
            "pair", found=f"shapes {before.shape} and {after.shape}", expected="the same height and width"
        )
    return of_windows(_windows(before, after, window_px))


def of_windows(pairs: Iterable[tuple[Array, Array]]) -> Shift:
    """The shift of a scene from windows of it, read by the caller.

    pairs: (before, after) windows of the same place, each [band, y, x] or [y, x].
    The median over the windows, so that change in some of them does not move it.
    """
    measured = [found for before, after in pairs if (found := _measure(before, after)) is not None]
    if not measured:
        return Shift(np.nan, np.nan, np.nan, windows=0, agreeing=0, ok=False)
    shifts = np.array(measured)  # [N, 2] rows, columns
    middle = np.median(shifts, axis=0)
    apart = np.hypot(*(shifts - middle).T)
    spread = 1.4826 * float(np.median(apart))
    agreeing = int((apart <= AGREE_PX).sum())
    ok = agreeing >= max(2, len(measured) / 2) and spread <= MAX_SPREAD_PX
    return Shift(float(middle[0]), float(middle[1]), spread, len(measured), agreeing, ok)


def _windows(before: Array, after: Array, window_px: int) -> Iterator[tuple[Array, Array]]:
    rows, columns = (_places(length, window_px) for length in before.shape[-2:])
    for row in rows:
        for column in columns:
            yield before[..., row, column], after[..., row, column]


def _places(length: int, window_px: int) -> list[slice]:
    """Windows spread evenly over a length, side by side at most."""
    side = min(length, window_px, max(length // 2, 2 * MIN_WINDOW_PX))
    count = min(MAX_WINDOWS, length // side)
    return [slice(int(at), int(at) + side) for at in np.linspace(0, length - side, count).round()]


def _measure(before: Array, after: Array) -> tuple[float, float] | None:
    """The shift (rows, columns) of one window; None without enough valid pixels or texture."""
    if min(before.shape[-2:]) < MIN_WINDOW_PX:
        return None
    early, late = _grey(before), _grey(after)
    valid = np.isfinite(early) & np.isfinite(late)
    if valid.mean() < MIN_VALID:
        return None
    edges_before, edges_after = _edges(early, valid), _edges(late, valid)
    if not edges_before.any() or not edges_after.any():
        return None
    # plain correlation of the edges: whitening the spectrum lets noise decide between subpixels
    moved, _, _ = phase_cross_correlation(
        edges_before,
        edges_after,
        upsample_factor=UPSAMPLE,
        normalization=None,  # pyright: ignore[reportArgumentType]
    )
    # scikit-image gives what moves `after` back onto `before`
    return -float(moved[0]), -float(moved[1])


def _grey(image: Array) -> NDArray[np.float64]:
    grey = image.astype(np.float64)
    return grey.mean(axis=0) if image.ndim == 3 else grey


def _edges(grey: NDArray[np.float64], valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Strength of the edges, without mean, fading to zero at the rim and at invalid pixels.

    Edges survive another season's brightness; the square root keeps the strongest few from
    deciding alone.
    """
    filled = np.where(valid, grey, grey[valid].mean())
    strength: Array = np.sqrt(ndimage.gaussian_gradient_magnitude(filled, 1.0))
    inner = np.asarray(ndimage.binary_erosion(valid, iterations=4, border_value=1), bool)
    if not strength[inner].any():
        return np.zeros_like(strength)
    strength = np.where(inner, strength - strength[inner].mean(), 0)
    return strength * _taper(grey.shape[0])[:, None] * _taper(grey.shape[1])


def _taper(length: int) -> NDArray[np.float64]:
    """A Hann window without its two zeros, [length]."""
    return np.sin(np.pi * np.arange(1, length + 1) / (length + 1)) ** 2
