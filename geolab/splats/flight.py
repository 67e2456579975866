"""The way of a film, from a word or a file."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from geolab.errors import BadInput
from geolab.splats.gaussians import Gaussians
from geolab.splats.pathfile import CameraPath, read_path
from geolab.splats.paths import orbit, spline
from geolab.splats.views import Camera

WORDS = ("orbit", "spline")


def along(
    path: str, cameras: Sequence[Camera], *, gaussians: Gaussians, frames: int, width_px: int, fps: float
) -> CameraPath:
    """Cameras of a film `width_px` wide.

    path: "orbit" round what the cameras see, "spline" through them in their order, or a camera path's file,
    which has its own number of frames. cameras: those of the photos. Raises BadInput, NotFound, FileRejected.
    """
    if path not in WORDS:
        found = read_path(path)
        return CameraPath(tuple(resized(c, width_px) for c in found.cameras), found.fps)
    if not cameras:
        raise BadInput(
            "model", found="no cameras written with it", expected="those of its photos",
            remedy="give the path as a camera path's file",
        )  # fmt: skip
    if path == "orbit":
        made = orbit(cameras, frames=frames, width=width_px, height=width_px * 9 // 16, gaussians=gaussians)
    else:
        shape = cameras[0].width, cameras[0].height
        made = spline([resized(c, width_px) for c in cameras if (c.width, c.height) == shape], frames)
    return CameraPath(made, fps)


def some(path: CameraPath, count: int) -> tuple[Camera, ...]:
    """Up to `count` cameras of a path, evenly spread over it."""
    total = len(path.cameras)
    return tuple(path.cameras[k * total // count] for k in range(count)) if count < total else path.cameras


def resized(camera: Camera, width_px: int) -> Camera:
    """The same view in a picture of another width."""
    height = max(1, round(camera.height * width_px / camera.width))
    stretch = np.array([[width_px / camera.width], [height / camera.height], [1.0]])
    return dataclasses.replace(camera, width=width_px, height=height, K=camera.K * stretch)
