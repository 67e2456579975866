"""Depth maps of posed photos, believed where several photos agree: where a dense model begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geolab.splats.rasterize.kernels.pool import share
from geolab.splats.train import start, sweep
from geolab.splats.views import Camera, Points

NEIGHBOURS = 4  # photos that each is compared with
BEST_DEG = 12.0  # angle between two rays to a place at which their photos tell its depth best
SPREAD = 0.9  # width of that preference, in natural logarithms of the angle
LEAST_DEG = 1.5
MARGIN = 0.15  # of depths, beyond those of the points in view
PLANES = 24, 160  # least and most
TAIL = 0.005  # share of the points in view that is left out at each side
LEAST_POINTS = 8  # in view, to say how deep it is
WORST = 1.2  # cost above which a depth is not believed, that of windows that look less alike than any two
AGREE = 1.0  # planes by which depths of two photos may differ
WITNESSES = 1  # other photos that must agree

Floats = NDArray[np.float64]
Depth = NDArray[np.float32]


@dataclass(frozen=True)
class Shot:
    """A photo to measure: rgb uint8 [H, W, 3], its camera of that size, without distortion.

    keep: [H, W] bool, the pixels that count; None for all.
    """

    rgb: NDArray[np.uint8]
    camera: Camera
    keep: NDArray[np.bool_] | None = None


def depth_maps(shots: Sequence[Shot], points: Points | None, *, threads: int = 1) -> list[Depth]:
    """The depth [H, W] along z of every pixel of every photo, NaN where it is not believed.

    points: what the photos show, for the range of depths; without any in view the cameras' axes tell it.
    """
    cameras = [s.camera for s in shots]
    ranges = depth_ranges(cameras, points)
    beside = neighbours(cameras, ranges)
    greys = [_grey(s.rgb) for s in shots]
    found: list[_Swept] = [None] * len(shots)  # pyright: ignore[reportAssignmentType]

    def work(first: int, last: int) -> None:
        for k in range(first, last):
            others = [(greys[j], cameras[j]) for j in beside[k]]
            found[k] = _swept(greys[k], cameras[k], others, ranges[k])

    share(work, list(range(len(shots) + 1)), threads)
    made = [_believed(found, cameras, k, beside[k]) for k in range(len(shots))]
    return [
        d if s.keep is None else np.where(s.keep, d, np.float32(np.nan))
        for d, s in zip(made, shots, strict=True)
    ]


def _grey(rgb: NDArray[np.uint8]) -> Depth:
    """Luminance [H, W], 0..1; written out, so that it never depends on where the photo lies in memory."""
    red, green, blue = (rgb[..., k].astype(np.float32) for k in range(3))
    grey = np.float32(0.299) * red + np.float32(0.587) * green + np.float32(0.114) * blue
    return (grey / np.float32(255)).astype(np.float32)


def depth_ranges(cameras: Sequence[Camera], points: Points | None) -> list[tuple[float, float]]:
    """The nearest and the farthest that each camera looks at."""
    guess: Floats | None = None
    made = []
    for k, camera in enumerate(cameras):
        deep = np.empty(0) if points is None else _depths_in_view(camera, points.xyz)
        if len(deep) >= LEAST_POINTS:
            near, far = np.quantile(deep, [TAIL, 1 - TAIL])
            made.append((float(near) * (1 - MARGIN), float(far) * (1 + MARGIN)))
            continue
        guess = start.looked_at(cameras) if guess is None else guess
        made.append((float(guess[k]) * start.AROUND[0], float(guess[k]) * start.AROUND[1]))
    return made


def _depths_in_view(camera: Camera, places: Floats) -> Floats:
    inside = places[start.visible(camera, places)]
    return inside @ camera.world_to_camera[2, :3] + camera.world_to_camera[2, 3]


def neighbours(cameras: Sequence[Camera], ranges: Sequence[tuple[float, float]]) -> list[list[int]]:
    """For each camera those, up to NEIGHBOURS, that see most of the same at a good angle."""
    made = []
    for k, camera in enumerate(cameras):
        places = _grid(camera, ranges[k])
        # rounded: where two are as good, the last bit of a sum must not choose
        scores = [(0.0 if j == k else round(_worth(camera, c, places), 6), -j) for j, c in enumerate(cameras)]
        made.append([-j for worth, j in sorted(scores, reverse=True)[:NEIGHBOURS] if worth > 0])
    return made


def _grid(camera: Camera, deep: tuple[float, float]) -> Floats:
    """Places [P, 3] that a camera may see: 8 x 8 rays at three depths."""
    u, v = np.meshgrid((np.arange(8) + 0.5) / 8 * camera.width, (np.arange(8) + 0.5) / 8 * camera.height)
    depths = 1 / np.linspace(1 / deep[0], 1 / deep[1], 3)
    return np.concatenate([start.lifted(camera, u.ravel(), v.ravel(), np.full(u.size, z)) for z in depths])


def _worth(camera: Camera, other: Camera, places: Floats) -> float:
    one, two = places - camera.position, places - other.position
    cosine = (one * two).sum(1) / np.linalg.norm(one, axis=1) / np.maximum(np.linalg.norm(two, axis=1), 1e-12)
    angle = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    fit = np.exp(-0.5 * (np.log(np.maximum(angle, 1e-3) / BEST_DEG) / SPREAD) ** 2)
    return float((fit * (angle > LEAST_DEG) * start.visible(other, places)).mean())


@dataclass(frozen=True)
class _Swept:
    """inverse [H, W]; cost [H, W]; step: of the inverse depth from plane to plane."""

    inverse: Depth
    cost: Depth
    step: float


def _swept(
    grey: Depth, camera: Camera, others: Sequence[tuple[Depth, Camera]], deep: tuple[float, float]
) -> _Swept:
    if not others:
        return _Swept(np.full(grey.shape, np.nan, np.float32), np.full(grey.shape, 2, np.float32), 1.0)
    maps = [_map(camera, other) for _, other in others]
    planes = int(np.clip(_travel(camera, maps, deep), *PLANES)) + 1
    inverse = np.linspace(1 / deep[1], 1 / deep[0], planes)
    small = [(a.astype(np.float32), b.astype(np.float32)) for a, b in maps]
    volume = sweep.costs(grey, [o for o, _ in others], small, inverse.astype(np.float32))
    plane, cost = sweep.best(sweep.smoothed(volume, grey), volume)
    cost[(plane < 1) | (plane > planes - 2)] = np.inf  # the best may lie beyond, or all are the same
    step = float(inverse[1] - inverse[0])
    return _Swept((np.float32(inverse[0]) + plane * np.float32(step)), cost, step)


def _map(camera: Camera, other: Camera) -> tuple[Floats, Floats]:
    """Matrix [3, 3] and vector [3]: from (u, v, 1) of one camera at inverse depth r to A (u, v, 1) + r b."""
    between = other.world_to_camera @ np.linalg.inv(camera.world_to_camera)
    return other.K @ between[:3, :3] @ np.linalg.inv(camera.K), other.K @ between[:3, 3]


def _travel(camera: Camera, maps: Sequence[tuple[Floats, Floats]], deep: tuple[float, float]) -> float:
    """Pixels that the middle of the photo moves in the others, from the nearest depth to the farthest."""
    middle = np.array([camera.width / 2, camera.height / 2, 1.0])
    ends = [[a @ middle + b / z for z in deep] for a, b in maps]
    moved = [
        np.linalg.norm(near[:2] / near[2] - far[:2] / far[2])
        for near, far in ends
        if min(near[2], far[2]) > 0
    ]
    return float(np.median(moved)) if moved else 0.0


def _believed(found: Sequence[_Swept], cameras: Sequence[Camera], k: int, beside: Sequence[int]) -> Depth:
    """The depths of a photo, NaN but where another photo's depth is the same."""
    mine = found[k]
    height, width = mine.inverse.shape
    v, u = np.mgrid[0:height, 0:width] + 0.5
    rays = np.stack([u, v, np.ones_like(u)])  # [3, H, W]
    agreeing = np.zeros((height, width), int)
    for j in beside:
        matrix, shift = _map(cameras[k], cameras[j])
        seen = np.einsum("ij,jyx->iyx", matrix, rays) + mine.inverse * shift[:, None, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            column, row = seen[0] / seen[2], seen[1] / seen[2]
            inverse = mine.inverse / seen[2]  # of the other camera
        theirs = found[j].inverse
        inside = (seen[2] > 0) & (column >= 0) & (row >= 0)
        inside &= (column < theirs.shape[1]) & (row < theirs.shape[0])
        at = (np.where(inside, row, 0).astype(int), np.where(inside, column, 0).astype(int))
        agreeing += inside & (np.abs(theirs[at] - inverse) < AGREE * max(found[j].step, mine.step))
    good = (agreeing >= WITNESSES) & (mine.cost <= WORST) & (mine.inverse > 0)
    return np.where(good, 1 / np.where(good, mine.inverse, 1), np.nan).astype(np.float32)
