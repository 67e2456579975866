"""Numbers out of JSON that others wrote: finite, of the right shape, rotations that are rotations."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geolab import store
from geolab.errors import FileRejected, one_line

Floats = NDArray[np.float64]
LARGEST_MB = 512  # OpenSfM's, with a million points, have 200; read, they take ten times that of memory
FARTHEST = 1e9  # from the origin, in units of the scene: the Earth's radius in metres is less
LOOSEST = 1e-2  # of R R^T against 1: files with five digits pass, other matrices do not


def read_json(path: Path) -> Any:
    """What a JSON file holds. Raises FileRejected."""
    size_mb = path.stat().st_size / 1e6
    if size_mb > LARGEST_MB:
        raise FileRejected(
            str(path),
            f"it has {size_mb:,.0f} MB, expected at most {LARGEST_MB}; split the scene",
        )
    try:
        return json.loads(store.read_bytes(path))
    except (ValueError, RecursionError) as error:
        raise FileRejected(str(path), f"it is not JSON: {one_line(error, 100)}") from error
    except MemoryError as error:
        raise FileRejected(str(path), f"its {size_mb:,.0f} MB of JSON do not fit into memory") from error


def number(value: object, *, href: str, what: str) -> float:
    """A finite float. Raises FileRejected."""
    good = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not good or abs(value) > 1e300 or not math.isfinite(value):  # type: ignore[operator, arg-type]
        raise FileRejected(href, f"{what} is {one_line(repr(value), 60)}, expected a number")
    return float(value)  # type: ignore[arg-type]


def matrix(value: object, shape: tuple[int, ...], *, href: str, what: str) -> Floats:
    """A finite float64 array of a shape. Raises FileRejected."""
    try:
        found = np.array(value, np.float64)
    except (TypeError, ValueError, OverflowError):
        found = np.empty(0)
    if found.shape != shape:
        size = " x ".join(map(str, shape))
        raise FileRejected(href, f"{what} is {one_line(repr(value), 60)}, expected {size} numbers")
    if not np.isfinite(found).all():
        raise FileRejected(href, f"{what} holds NaN or infinity")
    if np.abs(found).max(initial=0) > FARTHEST:
        raise FileRejected(href, f"{what} holds {np.abs(found).max():.3g}, expected at most {FARTHEST:g}")
    return found


def check_rotation(pose: Floats, *, href: str, what: str) -> None:
    """Raise FileRejected unless the upper left [3, 3] of a pose is a rotation."""
    R = pose[:3, :3]
    off = float(np.abs(R @ R.T - np.eye(3)).max())
    if not off < LOOSEST or np.linalg.det(R) < 0:
        kind = "a mirror image" if off < LOOSEST else f"no rotation (R R^T is {off:.2g} off 1)"
        raise FileRejected(href, f"{what} holds {kind}, expected a rotation and a translation")


def rotation(quaternion: Floats) -> Floats:
    """The matrices [N, 3, 3] of quaternions [N, 4], w first, of any length but zero."""
    w, x, y, z = (quaternion / np.linalg.norm(quaternion, axis=1, keepdims=True)).T
    return np.stack([
        np.stack([1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)], -1),
        np.stack([2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)], -1),
        np.stack([2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)], -1),
    ], -2)  # fmt: skip
