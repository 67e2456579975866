"""Camera models by COLMAP's names: their numbers, and where a ray meets the picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pycolmap
from numpy.typing import NDArray

from geolab.errors import FileRejected
from geolab.splats.views import Camera

Floats = NDArray[np.float64]
# COLMAP's number of a model: its name, focal lengths, further parameters (src/colmap/sensor/models.h)
MODELS = {
    0: ("SIMPLE_PINHOLE", 1, 0),
    1: ("PINHOLE", 2, 0),
    2: ("SIMPLE_RADIAL", 1, 1),
    3: ("RADIAL", 1, 2),
    4: ("OPENCV", 2, 4),
    5: ("OPENCV_FISHEYE", 2, 4),
    6: ("FULL_OPENCV", 2, 8),
    7: ("FOV", 2, 1),
    8: ("SIMPLE_RADIAL_FISHEYE", 1, 1),
    9: ("RADIAL_FISHEYE", 1, 2),
    10: ("THIN_PRISM_FISHEYE", 2, 8),
    11: ("RAD_TAN_THIN_PRISM_FISHEYE", 2, 12),
    12: ("SIMPLE_DIVISION", 1, 1),
    13: ("DIVISION", 2, 1),
    14: ("SIMPLE_FISHEYE", 1, 0),
    15: ("FISHEYE", 2, 0),
    16: ("EUCM", 2, 2),
}
BY_NAME = {name: (focals, more) for name, focals, more in MODELS.values()}
LARGEST_PX = 1_000_000  # of a side


def camera(
    model: str, width: int, height: int, params: Sequence[float], world_to_camera: Floats, *, href: str
) -> Camera:
    """A camera of a model's parameters in COLMAP's order. Raises FileRejected for impossible numbers."""
    if model not in BY_NAME:
        raise FileRejected(href, f"it has a camera of model {model}; known: {', '.join(BY_NAME)}")
    focals, more = BY_NAME[model]
    if len(params) != focals + 2 + more:
        raise FileRejected(
            href, f"a camera of model {model} has {len(params)} parameters, expected {focals + 2 + more}"
        )
    fx, fy, cx, cy = params[0], params[focals - 1], params[focals], params[focals + 1]
    if not (0 < width <= LARGEST_PX and 0 < height <= LARGEST_PX):
        raise FileRejected(href, f"a camera is {width} x {height} pixels")
    if not np.isfinite(params).all() or not (fx > 0 and fy > 0):
        raise FileRejected(href, f"a camera has the focal lengths {fx:g}, {fy:g} and {list(params[focals:])}")
    K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], np.float64)
    name = "PINHOLE" if model == "SIMPLE_PINHOLE" else model
    return Camera(
        int(width), int(height), K, world_to_camera, name, tuple(float(v) for v in params[focals + 2 :])
    )


def is_straight(lens: Camera) -> bool:
    """Whether straight lines are straight in the picture."""
    linear = ("PINHOLE", "OPENCV", "FULL_OPENCV", "SIMPLE_RADIAL", "RADIAL", "SIMPLE_DIVISION", "DIVISION")
    return lens.model in linear and not any(lens.distortion)


def project(lens: Camera, rays: Floats) -> Floats:
    """The pixels [N, 2] of rays [N, 3] in the camera's axes, distorted; z must be positive.

    NaN where the model has no value. The model is evaluated at a focal length of 1, so that K may have been
    scaled by different factors along its axes.
    """
    if lens.model == "PINHOLE":
        flat = rays[:, :2] / rays[:, 2:]
    else:
        focals, _ = BY_NAME[lens.model]
        unit = pycolmap.Camera(
            model=lens.model, width=1, height=1, params=[*[1.0] * focals, 0.0, 0.0, *lens.distortion]
        )
        flat = np.asarray(unit.img_from_cam(np.ascontiguousarray(rays, np.float64)))
    return flat * [lens.K[0, 0], lens.K[1, 1]] + lens.K[:2, 2]
