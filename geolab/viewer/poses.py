"""Cameras and views between Python and the page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from geolab.errors import BadInput
from geolab.splats.views import Camera, View

FOV_DEG = 50.0  # of an orbiting view, from its lower to its upper edge; stage.js has the same
MOST_CAMERAS = 2000


def camera_json(camera: Camera, name: str = "") -> dict[str, Any]:
    """The camera as the page takes it; distortion is left out."""
    k = camera.K
    return {
        "name": name,
        "width": int(camera.width),
        "height": int(camera.height),
        "K": [float(v) for v in (k[0, 0], k[1, 1], k[0, 2], k[1, 2])],
        "world_to_camera": [float(v) for v in np.asarray(camera.world_to_camera, np.float64).ravel()],
    }


def cameras_json(cameras: Iterable[View | Camera]) -> list[dict[str, Any]]:
    """All of them with their names, evenly thinned to MOST_CAMERAS."""
    listed = list(cameras)
    step = math.ceil(len(listed) / MOST_CAMERAS) or 1
    return [
        camera_json(one.camera, one.name) if isinstance(one, View) else camera_json(one, f"Photo {index + 1}")
        for index, one in enumerate(listed)
        if index % step == 0
    ]


def camera_of(told: Mapping[str, Any]) -> Camera:
    """The camera that the page told. Raises BadInput."""
    try:
        fx, fy, cx, cy = (float(v) for v in told["K"])
        pose = np.array(told["world_to_camera"], np.float64).reshape(4, 4)
        width, height = int(told["width"]), int(told["height"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise BadInput(
            "camera", found=repr(told)[:80], expected="width, height, K, world_to_camera"
        ) from error
    if not (np.isfinite([fx, fy, cx, cy]).all() and np.isfinite(pose).all()):
        raise BadInput("camera", found="numbers that are not finite", expected="finite ones")
    return Camera(width, height, np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]), pose)


def orbit_camera(view: Mapping[str, Any], width: int, height: int) -> Camera:
    """The camera on an orbit: {target, distance, azimuth, elevation}, metres and radians.

    azimuth: of the view, clockwise from north. elevation: of the camera above the target's horizon.
    Raises BadInput.
    """
    try:
        target = np.array([float(v) for v in view["target"]], np.float64)
        distance, a, e = (float(view[name]) for name in ("distance", "azimuth", "elevation"))
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(
            "view", found=repr(view)[:80], expected="target, distance, azimuth, elevation"
        ) from error
    if target.shape != (3,) or not np.isfinite([*target, distance, a, e]).all() or distance <= 0:
        raise BadInput("view", found=repr(view)[:80], expected="finite numbers and a distance above 0")
    forward = np.array([math.sin(a) * math.cos(e), math.cos(a) * math.cos(e), -math.sin(e)])
    right = np.array([math.cos(a), -math.sin(a), 0.0])
    axes = np.stack([right, np.cross(forward, right), forward])
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = axes, -axes @ (target - distance * forward)
    focal = height / 2 / math.tan(math.radians(FOV_DEG / 2))
    return Camera(width, height, np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]]), pose)
