"""Points with colours from a PLY file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from plyfile import PlyData, PlyParseError

from geolab.errors import FileRejected, one_line
from geolab.splats.views import Points

DAMAGED = (PlyParseError, ValueError, KeyError, IndexError, TypeError, OverflowError, MemoryError, EOFError)
GREY = 128


def read(path: Path) -> Points | None:
    """The points of a PLY that are finite; grey where it has no colours; None if there are none.

    Raises FileRejected.
    """
    try:
        rows = PlyData.read(str(path))["vertex"].data
        xyz = np.stack([np.asarray(rows[axis], np.float64) for axis in "xyz"], axis=1)
        rgb = np.full((len(xyz), 3), GREY, np.uint8)
        if {"red", "green", "blue"} <= set(rows.dtype.names or ()):
            colours = np.stack([rows[band] for band in ("red", "green", "blue")], axis=1)
            share = 255.0 if colours.dtype.kind == "f" else 1.0  # floats are 0..1
            rgb = np.clip(colours * share, 0, 255).astype(np.uint8)
    except DAMAGED as error:
        raise FileRejected(
            str(path), f"it is no PLY file with points, or it is damaged: {one_line(error, 100)}"
        ) from error
    good = np.isfinite(xyz).all(axis=1)
    return Points(xyz[good], rgb[good]) if good.any() else None
