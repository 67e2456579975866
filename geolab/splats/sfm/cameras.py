"""Cameras of a scene and COLMAP's, one made from the other."""

from __future__ import annotations

import numpy as np
import pycolmap

from geolab.errors import BadInput
from geolab.splats.views import Camera, Floats

ONE_FOCAL = ("SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE")
TWO_FOCAL = ("PINHOLE", "OPENCV", "FULL_OPENCV", "OPENCV_FISHEYE", "THIN_PRISM_FISHEYE")


def scaled_K(camera: Camera, width: int, height: int) -> Floats:
    """K [3, 3] for the same picture at another size."""
    return np.diag([width / camera.width, height / camera.height, 1.0]) @ camera.K


def as_colmap(camera: Camera, camera_id: int, width: int, height: int) -> pycolmap.Camera:
    """COLMAP's camera of a scene's, for its picture at another size. Raises BadInput."""
    K = scaled_K(camera, width, height)
    centre = [K[0, 2], K[1, 2]]
    if camera.model in ONE_FOCAL:
        focal = [float(np.sqrt(K[0, 0] * K[1, 1]))]
    elif camera.model in TWO_FOCAL:
        focal = [K[0, 0], K[1, 1]]
    else:
        raise BadInput("camera model", found=camera.model, expected=", ".join((*ONE_FOCAL, *TWO_FOCAL)))
    return pycolmap.Camera(
        camera_id=camera_id, model=camera.model, width=width, height=height,
        params=[*focal, *centre, *camera.distortion], has_prior_focal_length=True,
    )  # fmt: skip


def from_colmap(
    found: pycolmap.Camera, world_to_camera: Floats, size: tuple[int, int] | None = None
) -> Camera:
    """A scene's camera of COLMAP's, for the picture of another (width, height) than COLMAP saw."""
    n = len(found.focal_length_idxs()) + len(found.principal_point_idxs())
    pose = np.vstack([world_to_camera, [0.0, 0.0, 0.0, 1.0]])
    seen = Camera(
        found.width, found.height, np.array(found.calibration_matrix(), np.float64), pose,
        found.model_name, tuple(float(v) for v in found.params[n:]),
    )  # fmt: skip
    width, height = size or (found.width, found.height)
    return Camera(width, height, scaled_K(seen, width, height), pose, seen.model, seen.distortion)
