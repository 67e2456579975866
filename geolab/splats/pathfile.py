"""Camera paths as JSON, in the form of nerfstudio's viewer."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from geolab import store
from geolab.errors import BadInput, FileRejected, NotFound, one_line
from geolab.splats.paths import LEAST_PX, MOST_FRAMES, MOST_PX, camera_at, pinhole
from geolab.splats.views import Camera

MOST_BYTES = 64 << 20
FPS = (1.0, 240.0)
FLIP = np.diag([1.0, -1.0, -1.0])  # OpenGL's axes (right, up, back) to OpenCV's
RIGID = 1e-3


@dataclass(frozen=True)
class CameraPath:
    """Cameras in the model's frame, one a frame of the film."""

    cameras: tuple[Camera, ...]
    fps: float = 24.0

    @property
    def seconds(self) -> float:
        return len(self.cameras) / self.fps


def read_path(path: str | os.PathLike[str]) -> CameraPath:
    """The path in a camera-path JSON of nerfstudio.

    camera_to_world: 4 x 4, row by row, OpenGL axes, in the model's own frame (nerfstudio writes them in its
    rescaled one: apply its dataparser transform first). fov: of the picture's height, degrees; the
    principal point is the middle. Raises NotFound, FileRejected.
    """
    name = Path(path)
    try:
        if name.stat().st_size > MOST_BYTES:
            raise FileRejected(name.name, f"larger than {MOST_BYTES >> 20} MB, no camera path")
        told = json.loads(name.read_bytes())
    except (FileNotFoundError, IsADirectoryError) as error:
        raise NotFound("camera path", str(name)) from error
    except (ValueError, RecursionError) as error:
        raise FileRejected(name.name, f"not JSON: {error}") from error
    try:
        return _parse(told)
    except BadInput as error:
        raise FileRejected(name.name, str(error)) from error


def _parse(told: object) -> CameraPath:
    if not isinstance(told, Mapping):
        raise BadInput("camera path", found=type(told).__name__, expected="an object with camera_path")
    kind = told.get("camera_type", "perspective")
    if kind != "perspective":
        raise BadInput("camera_type", found=one_line(repr(kind), 40), expected="perspective")
    width = _whole(told, "render_width", LEAST_PX, MOST_PX)
    height = _whole(told, "render_height", LEAST_PX, MOST_PX)
    frames = told.get("camera_path")
    if not isinstance(frames, list) or not 1 <= len(frames) <= MOST_FRAMES:
        found = f"{len(frames)} frames" if isinstance(frames, list) else "none"
        raise BadInput("camera_path", found=found, expected=f"a list of 1 to {MOST_FRAMES} frames")
    cameras = tuple(_camera(frame, k, width, height) for k, frame in enumerate(frames))
    return CameraPath(cameras, _fps(told, len(cameras)))


def _fps(told: Mapping[str, Any], frames: int) -> float:
    if told.get("fps") is None and told.get("seconds") is not None:
        rate = frames / _number(told["seconds"], "seconds", 1e-3, 1e6)
        return min(max(rate, FPS[0]), FPS[1])
    return _number(told.get("fps", 24.0), "fps", *FPS)


def _camera(frame: object, k: int, width: int, height: int) -> Camera:
    what = f"frame {k}"
    if not isinstance(frame, Mapping):
        raise BadInput(what, found=type(frame).__name__, expected="an object")
    fov = _number(frame.get("fov"), f"fov of {what}", 1.0, 179.0)
    numbers = frame.get("camera_to_world")
    if isinstance(numbers, list) and all(isinstance(row, list) for row in numbers):
        numbers = [v for row in numbers for v in row]
    if not isinstance(numbers, list) or len(numbers) not in (12, 16):
        raise BadInput(f"camera_to_world of {what}", found=_size(numbers), expected="16 numbers, row by row")
    values = [_number(v, f"camera_to_world of {what}", -1e9, 1e9) for v in numbers]
    matrix = np.array(values).reshape(-1, 4)
    turn = matrix[:3, :3]
    if np.abs(turn @ turn.T - np.eye(3)).max() > RIGID or np.linalg.det(turn) < 0:
        raise BadInput(f"camera_to_world of {what}", found="no rotation", expected="orthonormal axes")
    u, _, vt = np.linalg.svd(turn)
    K = pinhole(width, height, fov)
    return camera_at((u @ vt @ FLIP).T, matrix[:3, 3], K=K, width=width, height=height)


def _size(value: object) -> str:
    return f"{len(value)} numbers" if isinstance(value, list) else type(value).__name__


def _number(value: object, what: str, low: float, high: float) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high:  # not NaN
        return float(value)
    raise BadInput(what, found=one_line(repr(value), 40), expected=f"a number, {low:g} to {high:g}")


def _whole(told: Mapping[str, Any], name: str, low: int, high: int) -> int:
    number = _number(told.get(name), name, low, high)
    if number != int(number):
        raise BadInput(name, found=number, expected="a whole number")
    return int(number)


def write_path(
    path: str | os.PathLike[str], cameras: CameraPath | Sequence[Camera], *, fps: float = 24.0
) -> Path:
    """Write a path as nerfstudio's JSON, whole or not at all.

    That form has square pixels and the principal point in the middle: a camera that has not loses it.
    Raises BadInput for cameras of several sizes.
    """
    whole = cameras if isinstance(cameras, CameraPath) else CameraPath(tuple(cameras), fps)
    sizes = {(c.width, c.height) for c in whole.cameras}
    if len(sizes) != 1:
        raise BadInput("cameras", found=f"{len(sizes)} image sizes", expected="one")
    ((width, height),) = sizes
    told = {
        "camera_type": "perspective", "render_width": width, "render_height": height,
        "fps": whole.fps, "seconds": whole.seconds, "is_cycle": False, "smoothness_value": 0,
        "keyframes": [], "camera_path": [_frame(c) for c in whole.cameras],
    }  # fmt: skip
    store.write_bytes(path, (json.dumps(told, indent=1, allow_nan=False) + "\n").encode())
    return Path(path)


def _frame(camera: Camera) -> dict[str, Any]:
    matrix = np.eye(4)
    matrix[:3, :3] = camera.world_to_camera[:3, :3].T @ FLIP
    matrix[:3, 3] = camera.position
    return {
        "camera_to_world": matrix.ravel().tolist(),
        "fov": math.degrees(2 * math.atan2(camera.height / 2, camera.K[1, 1])),
        "aspect": camera.width / camera.height,
    }
