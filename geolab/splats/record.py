"""What is kept with a model: its cameras, what a pixel showed, and how it was made."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from geolab.errors import BadInput, one_line
from geolab.splats.views import Camera, Floats, Scene

MOST_CAMERAS = 20_000
NEAR = 1e-6  # depth below which a point is behind a camera


def record(scene: Scene, *, image_px: int = 0, facts: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The facts of a scene in JSON's types, to be written with the model that was trained on it.

    image_px: longest side of the photos in training; 0: as they are. facts: more of them, which `cameras`
    and the like overrule.
    """
    pixel = gsd(scene)
    return {
        **(facts or {}),
        "cameras": [_camera_json(v.name, v.camera, held_out=v.name in scene.held_out) for v in scene.views],
        "photos": len(scene.views),
        "items": [v.item for v in scene.views if v.item],
        "taken": _taken(scene),
        "photo_gsd_m": pixel,
        "training_gsd_m": None if pixel is None else pixel * _reduction(scene, image_px),
        "source": scene.source,
        "warnings": list(scene.warnings),
    }


def gsd(scene: Scene) -> float | None:
    """The median width on the ground of a pixel of the photos as they are; None without points.

    In metres if the scene has a frame; otherwise in its own units.
    """
    if scene.points is None or len(scene.points) == 0:
        return None
    widths = [_pixel_width(v.camera, scene.points.xyz) for v in scene.views]
    known = [w for w in widths if math.isfinite(w)]
    return float(np.median(known)) if known else None


def _reduction(scene: Scene, image_px: int) -> float:
    """By how much the photos are smaller in training than they are."""
    longest = float(np.median([max(v.camera.width, v.camera.height) for v in scene.views]))
    return max(1.0, longest / image_px) if image_px else 1.0


def product_gsd(facts: Mapping[str, Any]) -> float:
    """The pixel on the ground that suits a model's products: that of the photos it was trained on.

    Rounded to two digits. Raises BadInput if the record does not tell it.
    """
    found = facts.get("training_gsd_m")
    if not isinstance(found, int | float) or not 1e-4 <= found <= 1e3:
        expected = "the ground pixel of the photos, in metres"
        raise BadInput("model", found=f"training_gsd_m {found!r}", expected=expected, remedy="give gsd_m")
    return float(f"{found:.2g}")


def rasterize_mode(facts: Mapping[str, Any]) -> Literal["classic", "antialiased"]:
    """How the model was drawn in training, and so has to be drawn."""
    told = facts.get("training")
    return "antialiased" if isinstance(told, Mapping) and told.get("antialiased") is True else "classic"


def _pixel_width(camera: Camera, xyz: Floats) -> float:
    """Median depth of the points in view by the focal length; NaN if there are none."""
    x, y, z = camera.world_to_camera[:3, :3] @ xyz.T + camera.world_to_camera[:3, 3:]
    ahead = z > NEAR
    u = camera.K[0, 0] * x[ahead] / z[ahead] + camera.K[0, 2]
    v = camera.K[1, 1] * y[ahead] / z[ahead] + camera.K[1, 2]
    inside = (u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height)
    return float(np.median(z[ahead][inside]) / camera.K[0, 0]) if inside.any() else math.nan


def _taken(scene: Scene) -> list[str]:
    """The first and the last time that the photos state; empty if they state none."""
    times = sorted(v.taken for v in scene.views if v.taken)
    return [times[0], times[-1]] if times else []


def _camera_json(name: str, camera: Camera, *, held_out: bool) -> dict[str, Any]:
    return {
        "name": name,
        "width": camera.width,
        "height": camera.height,
        "K": camera.K.tolist(),
        "world_to_camera": camera.world_to_camera.tolist(),
        "held_out": held_out,
    }


def cameras(facts: Mapping[str, Any], *, held_out: bool | None = None) -> tuple[Camera, ...]:
    """The cameras of a record, without distortion; of all photos, or only those (not) held out.

    Raises BadInput if what is written there are no cameras.
    """
    told = facts.get("cameras") or []
    if not isinstance(told, Sequence) or isinstance(told, str) or len(told) > MOST_CAMERAS:
        raise BadInput("cameras of the model", found=one_line(repr(told), 60), expected="a list")
    return tuple(_camera(one) for one in told if held_out is None or _held_out(one) == held_out)


def _held_out(told: Any) -> bool:
    return isinstance(told, Mapping) and told.get("held_out") is True


def _camera(told: Any) -> Camera:
    expected = "width, height, K [3, 3] and world_to_camera [4, 4], finite"
    try:
        width, height = int(told["width"]), int(told["height"])
        K = np.array(told["K"], np.float64)
        matrix = np.array(told["world_to_camera"], np.float64)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise BadInput("camera of the model", found=one_line(repr(told), 80), expected=expected) from error
    good = K.shape == (3, 3) and matrix.shape == (4, 4) and 1 <= width <= 65_536 and 1 <= height <= 65_536
    if not good or not np.isfinite(K).all() or not np.isfinite(matrix).all() or min(K[0, 0], K[1, 1]) <= 0:
        raise BadInput("camera of the model", found=one_line(repr(told), 80), expected=expected)
    rotation = matrix[:3, :3]
    if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-4) or np.linalg.det(rotation) < 0:
        raise BadInput("camera of the model", found="a matrix that is no rotation", expected=expected)
    return Camera(width, height, K, matrix)
