"""What is said of a picked point and of a measured line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from geolab.splats.frame import Frame


def place(point: np.ndarray, frame: Frame | None) -> dict[str, float]:
    """A point [3] of the frame in metres and, where the frame lies on Earth, in degrees."""
    found = {name: float(v) for name, v in zip(("east_m", "north_m", "up_m"), point, strict=True)}
    if frame is not None:
        lon, lat, height = frame.lonlat(point)[0]
        found |= {"lon": float(lon), "lat": float(lat), "height_m": float(height)}
    return found


def distance(one: np.ndarray, other: np.ndarray) -> dict[str, Any]:
    """Between two points [3]: along the line, over the ground, and up (positive) or down."""
    step = other - one
    return {
        "distance_m": float(np.linalg.norm(step)),
        "horizontal_m": float(np.hypot(step[0], step[1])),
        "vertical_m": float(step[2]),
        "from": [float(v) for v in one],
        "to": [float(v) for v in other],
    }


def picked_lines(found: Mapping[str, float], frame: Frame | None, unit: str) -> list[list[str]]:
    """What the page writes of a picked point: [word, value] a line."""
    metres = "  ".join(f"{found[name]:.2f}" for name in ("east_m", "north_m", "up_m"))
    lines = [["East, north, up", f"{metres} {unit}"]]
    if frame is None:
        return lines
    datum = "" if frame.vertical_datum == "unknown" else f" ({frame.vertical_datum})"
    north = f"{abs(found['lat']):.7f}° {'NS'[found['lat'] < 0]}"
    east = f"{abs(found['lon']):.7f}° {'EW'[found['lon'] < 0]}"
    return [["", f"{north}  {east}"], ["Height", f"{found['height_m']:.2f} m{datum}"], *lines]


def measured_lines(found: Mapping[str, float], unit: str) -> list[list[str]]:
    return [
        ["Distance", f"{found['distance_m']:.2f} {unit}"],
        ["Over the ground", f"{found['horizontal_m']:.2f} {unit}"],
        ["Up", f"{found['vertical_m']:+.2f} {unit}"],
    ]
