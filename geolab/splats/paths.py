"""Where a camera flies: orbits round a scene, splines through cameras."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicHermiteSpline
from scipy.spatial.transform import Rotation, RotationSpline

from geolab.errors import BadInput
from geolab.splats.gaussians import Gaussians
from geolab.splats.views import Camera, Scene

Floats = NDArray[np.float64]

PARALLEL = 0.97  # mean length of the cameras' axes from which they are taken as parallel
ELEVATION_DEG = (15.0, 60.0)  # of an orbit above its centre
MOST_FRAMES = 100_000
LEAST_PX, MOST_PX = 16, 8192


def look_at(
    position: ArrayLike, target: ArrayLike, *, K: Floats, width: int, height: int,
    up: ArrayLike = (0.0, 0.0, 1.0),
) -> Camera:  # fmt: skip
    """A camera at a place that looks at another, its picture upright. Raises BadInput if they are one."""
    eye, aim = np.asarray(position, np.float64), np.asarray(target, np.float64)
    ahead = aim - eye
    if not np.linalg.norm(ahead) > 1e-9:
        raise BadInput("camera", found="one place to stand and to look at", expected="two")
    ahead = ahead / np.linalg.norm(ahead)
    right = np.cross(ahead, np.asarray(up, np.float64))
    if np.linalg.norm(right) < 1e-6:  # straight up or down: the picture's top is north
        right = np.cross(ahead, [0.0, 1.0, 0.0]) if abs(ahead[1]) < 0.9 else np.cross(ahead, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    axes = np.stack([right, np.cross(ahead, right), ahead])
    return camera_at(axes, eye, K=K, width=width, height=height)


def camera_at(axes: Floats, position: Floats, *, K: Floats, width: int, height: int) -> Camera:
    """A camera whose right, down and forward are the rows of axes [3, 3]."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = axes, -axes @ position
    return Camera(width, height, np.asarray(K, np.float64), matrix)


def pinhole(width: int, height: int, fov_deg: float) -> Floats:
    """K [3, 3] of square pixels; fov_deg: of the picture's height."""
    if not 1 <= fov_deg <= 179:
        raise BadInput("field of view", found=fov_deg, expected="1 to 179 degrees")
    focal = height / 2 / math.tan(math.radians(fov_deg) / 2)
    return np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])


# ---------------------------------------------------------------- orbits


def orbit(
    scene: Scene | Sequence[Camera], *, frames: int = 120, width: int = 960, height: int = 540,
    gaussians: Gaussians | None = None, centre: ArrayLike | None = None, up: ArrayLike | None = None,
    radius: float | None = None, rise: float | None = None, fov_deg: float | None = None, turns: float = 1.0,
) -> tuple[Camera, ...]:  # fmt: skip
    """Cameras on a circle round the scene, about as far, as high and as wide as those that took it.

    centre: by default where the cameras look; where they look in parallel, on the surface below them (the
    points of the scene, or the Gaussians). up: z of a scene with a frame, else as the cameras stand.
    radius, rise: horizontal and along `up` from the centre, in the scene's units. turns: negative is
    clockwise from above. The last frame is the one before the first comes again. Raises BadInput.
    """
    cameras = cameras_of(scene)
    _check(frames, width, height)
    axis = _unit(up) if up is not None else upright(scene)
    middle = np.asarray(centre, np.float64) if centre is not None else looked_at(scene, gaussians=gaussians)
    away = np.stack([c.position for c in cameras]) - middle
    far, elevation = _reach(away, axis)
    radius = far * math.cos(elevation) if radius is None else radius
    rise = far * math.sin(elevation) if rise is None else rise
    if not (math.isfinite(radius) and math.isfinite(rise) and radius > 0):
        raise BadInput("radius", found=radius, expected="more than 0")
    K = pinhole(width, height, fov_deg or _fov(cameras))
    first, second = _across(away[0], axis)
    angles = 2 * np.pi * turns * np.arange(frames) / frames
    places = (
        middle + axis * rise + radius * (np.cos(angles)[:, None] * first + np.sin(angles)[:, None] * second)
    )
    return tuple(look_at(p, middle, up=axis, K=K, width=width, height=height) for p in places)


def looked_at(scene: Scene | Sequence[Camera], *, gaussians: Gaussians | None = None) -> Floats:
    """The place [3] nearest to all the cameras' axes (least squares).

    Axes that run in parallel meet nowhere: then the place on their mean at the median depth of the points
    or Gaussians. Raises BadInput if there are none.
    """
    cameras = cameras_of(scene)
    places = np.stack([c.position for c in cameras])
    ahead = np.stack([c.world_to_camera[2, :3] for c in cameras])
    across = np.eye(3) - ahead[:, :, None] * ahead[:, None, :]  # onto the plane across each axis
    meeting = np.linalg.lstsq(
        across.sum(axis=0), (across @ places[:, :, None]).sum(axis=0)[:, 0], rcond=1e-9
    )[0]
    in_front = np.median(((meeting - places) * ahead).sum(axis=1))
    if np.linalg.norm(ahead.mean(axis=0)) < PARALLEL and in_front > 0:
        return meeting
    surface = _surface(scene, gaussians)
    mean = ahead.mean(axis=0) / np.linalg.norm(ahead.mean(axis=0))
    start = places.mean(axis=0)
    return start + mean * np.median((surface - start) @ mean)


def _surface(scene: Scene | Sequence[Camera], gaussians: Gaussians | None) -> Floats:
    if gaussians is not None and len(gaussians):
        return gaussians.means[gaussians.opacities > 0.1].detach().cpu().double().numpy()
    if isinstance(scene, Scene) and scene.points is not None and len(scene.points):
        return scene.points.xyz
    raise BadInput(
        "cameras", found="axes that run in parallel", expected="a centre, points or Gaussians to orbit round",
        remedy="give centre= or gaussians=",
    )  # fmt: skip


def upright(scene: Scene | Sequence[Camera]) -> Floats:
    """The direction up [3]: z of a scene with a frame, else that of the cameras' pictures.

    Cameras that all look one way over a plane that they fly along look down.
    """
    if isinstance(scene, Scene) and scene.frame is not None:
        return np.array([0.0, 0.0, 1.0])
    cameras = cameras_of(scene)
    places = np.stack([c.position for c in cameras])
    axes = np.stack([c.world_to_camera[:3, :3] for c in cameras])
    ahead, top = axes[:, 2].mean(axis=0), -axes[:, 1].mean(axis=0)
    spread = places - places.mean(axis=0)
    along = np.sqrt(np.mean((spread @ _unit(ahead)) ** 2))
    across = np.sqrt(np.mean(spread**2) * 3 - along**2)
    nadir = np.linalg.norm(ahead) > PARALLEL and across > 3 * along
    return _unit(-ahead if nadir or np.linalg.norm(top) < 0.1 else top)


def _reach(away: Floats, axis: Floats) -> tuple[float, float]:
    """Median distance of the cameras from the centre, and their elevation (radians) within ELEVATION_DEG."""
    rise = away @ axis
    elevation = float(np.median(np.arctan2(rise, np.linalg.norm(away - rise[:, None] * axis, axis=1))))
    low, high = np.radians(ELEVATION_DEG)
    return float(np.median(np.linalg.norm(away, axis=1))), float(np.clip(elevation, low, high))


def _across(toward: Floats, axis: Floats) -> tuple[Floats, Floats]:
    """Two unit vectors across an axis, counter-clockwise; the first points as `toward` does."""
    flat = toward - (toward @ axis) * axis
    if np.linalg.norm(flat) < 1e-6 * max(1.0, float(np.linalg.norm(toward))):
        flat = np.cross(axis, [1.0, 0.0, 0.0] if abs(axis[0]) < 0.9 else [0.0, 1.0, 0.0])
    first = _unit(flat)
    return first, np.cross(axis, first)


def _fov(cameras: Sequence[Camera]) -> float:
    """The median field of view over the pictures' heights, degrees."""
    halves = [math.atan2(c.height / 2, c.K[1, 1]) for c in cameras]
    return float(np.clip(np.degrees(2 * np.median(halves)), 20, 100))


# ---------------------------------------------------------------- splines


def spline(cameras: Sequence[Camera], n: int, *, closed: bool = False) -> tuple[Camera, ...]:
    """n cameras along a smooth path through all the given ones, in their order.

    Positions follow a centripetal Catmull-Rom spline (Yuksel et al., 2011), which neither loops nor
    overshoots between near keys; rotations a spline with continuous speed; focal lengths and principal
    points are interpolated. closed: from the last back to the first. Raises BadInput if sizes differ.
    """
    keys = list(cameras_of(cameras))
    if len({(c.width, c.height) for c in keys}) > 1:
        raise BadInput("cameras", found="several image sizes", expected="one size for the whole path")
    _check(n, keys[0].width, keys[0].height)
    keys = [*keys, keys[0]] if closed and len(keys) > 1 else keys
    if len(keys) == 1:
        return (keys[0],) * n
    knots = _knots(np.stack([c.position for c in keys]))
    at = np.linspace(knots[0], knots[-1], n, endpoint=not closed)
    places = _catmull_rom(knots, np.stack([c.position for c in keys]), closed)(at)
    turns = Rotation.from_matrix(np.stack([c.world_to_camera[:3, :3] for c in keys]).transpose(0, 2, 1))
    axes = RotationSpline(knots, turns)(at).as_matrix().transpose(0, 2, 1)
    K = np.stack([c.K for c in keys])
    inner = [np.interp(at, knots, K[:, i, j]) for i, j in ((0, 0), (1, 1), (0, 2), (1, 2))]
    size = {"width": keys[0].width, "height": keys[0].height}
    return tuple(
        camera_at(a, p, K=np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]]), **size)
        for a, p, fx, fy, cx, cy in zip(axes, places, *inner, strict=True)
    )


def _knots(places: Floats) -> Floats:
    """Parameters of keys: square roots of the ways between them; keys in one place take a little time too."""
    ways = np.sqrt(np.linalg.norm(np.diff(places, axis=0), axis=1))
    return np.concatenate([[0.0], np.cumsum(np.maximum(ways, max(1e-3 * ways.max(), 1e-6)))])


def _catmull_rom(knots: Floats, places: Floats, closed: bool) -> CubicHermiteSpline:
    """The spline whose slope at a key is the weighted mean of those to both sides."""
    steps = np.diff(knots)
    slopes = np.diff(places, axis=0) / steps[:, None]
    if closed:
        slopes = np.concatenate([slopes[-1:], slopes, slopes[:1]])
        steps = np.concatenate([steps[-1:], steps, steps[:1]])
    before, after = steps[:-1, None], steps[1:, None]
    inner = (slopes[:-1] * after + slopes[1:] * before) / (before + after)
    tangents = inner if closed else np.concatenate([slopes[:1], inner, slopes[-1:]])
    return CubicHermiteSpline(knots, places, tangents)


# ---------------------------------------------------------------- checks


def cameras_of(scene: Scene | Sequence[Camera]) -> tuple[Camera, ...]:
    """The cameras of a scene's views, or the cameras themselves. Raises BadInput if there are none."""
    cameras = tuple(v.camera for v in scene.views) if isinstance(scene, Scene) else tuple(scene)
    if not cameras:
        raise BadInput("path", found="no cameras", expected="at least one")
    return cameras


def _check(frames: int, width: int, height: int) -> None:
    if not 1 <= frames <= MOST_FRAMES:
        raise BadInput("frames", found=frames, expected=f"1 to {MOST_FRAMES}")
    if not (LEAST_PX <= width <= MOST_PX and LEAST_PX <= height <= MOST_PX):
        raise BadInput("size", found=f"{width} x {height}", expected=f"{LEAST_PX} to {MOST_PX} px a side")


def _unit(vector: ArrayLike) -> Floats:
    array = np.asarray(vector, np.float64)
    length = np.linalg.norm(array)
    if array.shape != (3,) or not length > 1e-12 or not np.isfinite(length):
        raise BadInput("direction", found=np.asarray(vector).tolist(), expected="3 numbers, not all 0")
    return array / length
