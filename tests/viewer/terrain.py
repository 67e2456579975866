"""A model that is known exactly: coloured hills with two flat roofs over them, and cameras round it."""

from __future__ import annotations

import numpy as np
import torch

from geolab.splats.frame import Frame
from geolab.splats.gaussians import SH_C0, Gaussians
from geolab.splats.views import Camera

FRAME = Frame(11.5, 48.1, 520.0, "EGM96", "2024-08-15")
RED_ROOF = (20.0, 10.0, 14.0)  # its middle, metres; 16 by 10
WHITE_ROOF = (-25.0, -12.0, 10.0)  # 10 by 18


def ground(east, north):
    """Height of the hills, metres; the roofs lie above."""
    return 4 * np.sin(east / 15) + 3 * np.cos(north / 11)


def terrain(count: int = 20_000, *, sh_degree: int = 3, seed: int = 0) -> Gaussians:
    """Discs on a surface of 120 by 84 m, opaque where they are dense; colours depend on the view."""
    random = np.random.default_rng(seed)
    place = random.uniform(-60, 60, (count, 2)) * [1, 0.7]
    height = ground(*place.T)
    rgb = np.stack(
        [
            0.35 + 0.2 * np.sin(place[:, 0] / 9),
            0.45 + 0.2 * np.cos(place[:, 1] / 7),
            0.35 + 0.2 * np.sin(place.sum(axis=1) / 13),
        ],
        axis=1,
    )
    for (x, y, z), (width, depth), colour in (
        (RED_ROOF, (16, 10), (0.8, 0.25, 0.2)),
        (WHITE_ROOF, (10, 18), (0.8, 0.8, 0.75)),
    ):
        on = (np.abs(place[:, 0] - x) < width / 2) & (np.abs(place[:, 1] - y) < depth / 2)
        height[on], rgb[on] = z, colour
    sh = random.normal(0, 0.03, (count, (sh_degree + 1) ** 2, 3))
    sh[:, 0] = (rgb - 0.5) / SH_C0
    if sh_degree:
        sh[:, 2, 0] += 0.15  # redder from below, bluer from the east: the same for all
        sh[:, 3, 2] += 0.2
    turn = random.uniform(0, np.pi, count)
    quats = np.stack([np.cos(turn / 2), 0 * turn, 0 * turn, np.sin(turn / 2)], axis=1)
    scales = np.log([0.7, 0.5, 0.12]) + np.log(random.uniform(0.8, 1.3, (count, 1)))
    arrays = (np.column_stack([place, height]), quats, scales, np.full(count, 4.0), sh)
    return Gaussians(*(torch.tensor(array, dtype=torch.float32) for array in arrays))


def camera(eye, target, *, width: int = 400, height: int = 300, focal_px: float = 350.0) -> Camera:
    """A camera at eye that looks at target, z up; its principal point is not in the middle."""
    eye, target = np.array(eye, float), np.array(target, float)
    ahead = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(ahead, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = [right, np.cross(ahead, right), ahead]
    pose[:3, 3] = -pose[:3, :3] @ eye
    K = np.array([[focal_px, 0, width / 2 + 13], [0, focal_px * 1.02, height / 2 - 9], [0, 0, 1]])
    return Camera(width, height, K, pose)


def fitted(seen: Camera, width: int, height: int) -> Camera:
    """The camera for a canvas of this size, with the whole photo in its middle, as large as it fits."""
    scale = min(width / seen.width, height / seen.height)
    K = np.diag([scale, scale, 1.0]) @ seen.K
    K[:2, 2] += [(width - scale * seen.width) / 2, (height - scale * seen.height) / 2]
    return Camera(width, height, K, seen.world_to_camera)


def pixel(seen: Camera, point) -> tuple[float, float]:
    """Column and row of a point [3]."""
    u, v, w = seen.K @ (seen.world_to_camera @ [*point, 1.0])[:3]
    return u / w, v / w


def psnr(one, other) -> float:
    """Of two pictures [y, x, 3], 0..255, in dB."""
    error = np.mean((np.asarray(one, float) - np.asarray(other, float)) ** 2)
    return float(10 * np.log10(255**2 / error))
