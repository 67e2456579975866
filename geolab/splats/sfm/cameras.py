"""Cameras of a scene and COLMAP's, one made from the other."""

from __future__ import annotations

import numpy as np
import pycolmap

from geolab.splats.loaders.draft import scaled
from geolab.splats.views import Camera, Floats


def straight(camera: Camera, camera_id: int) -> pycolmap.Camera:
    """COLMAP's camera of a scene's straight one."""
    K = camera.K
    return pycolmap.Camera(
        camera_id=camera_id, model="PINHOLE", width=camera.width, height=camera.height,
        params=[K[0, 0], K[1, 1], K[0, 2], K[1, 2]], has_prior_focal_length=True,
    )  # fmt: skip


def from_colmap(found: pycolmap.Camera, world_to_camera: Floats, size: tuple[int, int]) -> Camera:
    """A scene's camera of COLMAP's, for the whole photo of (width, height) whose copy COLMAP saw.

    world_to_camera: [3, 4].
    """
    n = len(found.focal_length_idxs()) + len(found.principal_point_idxs())
    seen = Camera(
        found.width, found.height, np.array(found.calibration_matrix(), np.float64),
        np.vstack([world_to_camera, [0.0, 0.0, 0.0, 1.0]]), found.model_name,
        tuple(float(v) for v in found.params[n:]),
    )  # fmt: skip
    return scaled(seen, *size)
