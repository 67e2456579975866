"""The Gaussians that training begins with: from points, from depth maps, or at random, as the caller says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import KDTree

from geolab.errors import BadInput
from geolab.splats.gaussians import SH_C0, Gaussians
from geolab.splats.views import Camera, Points

Floats = NDArray[np.float64]
NEIGHBOURS = 3  # whose distance makes a Gaussian's size, Kerbl et al. (2023)
LARGEST = 20.0  # times the median size: points that stand alone become no clouds
OVERLAP = 0.7  # of neighbouring photos that look the same way, where depth has to be guessed
CROSSING = 0.1  # mean squared sine of the angles to the axes' common direction, from which they cross
AROUND = 0.5, 1.5  # depths of random places, times the depth that is looked at


def from_points(
    points: Points, *, opacity: float = 0.1, scale: float = 1.0, cap: int = 0, seed: int = 0
) -> Gaussians:
    """A round Gaussian at every point, as large as the distance to its three nearest, times `scale`.

    cap: most Gaussians; of more points a random part is taken; 0 for all. Points that are not finite are left
    out. Raises BadInput for fewer than four points.
    """
    good = np.isfinite(points.xyz).all(axis=1)
    xyz, rgb = np.asarray(points.xyz[good], np.float64), points.rgb[good]
    if len(xyz) <= NEIGHBOURS:
        raise BadInput("points", found=len(xyz), expected=f"more than {NEIGHBOURS}")
    if 0 < cap < len(xyz):
        chosen = np.sort(np.random.default_rng((seed, 1)).choice(len(xyz), cap, replace=False))
        xyz, rgb = xyz[chosen], rgb[chosen]
    distances = KDTree(xyz).query(xyz, k=NEIGHBOURS + 1)[0][:, 1:]
    size = np.sqrt(np.square(distances).mean(axis=1))
    middle = float(np.median(size[size > 0])) if (size > 0).any() else 1.0
    size = np.clip(size, middle / LARGEST, middle * LARGEST) * scale
    n = len(xyz)
    return Gaussians(
        means=torch.from_numpy(xyz).float(),
        quats=torch.tensor([1.0, 0, 0, 0]).repeat(n, 1),
        log_scales=torch.from_numpy(np.log(size)).float()[:, None].repeat(1, 3),
        logit_opacities=torch.full((n,), float(np.log(opacity / (1 - opacity)))),
        sh=torch.from_numpy((rgb.astype(np.float64) / 255 - 0.5) / SH_C0).float()[:, None, :],
    )


def from_depth(
    photos: Sequence[NDArray[np.uint8]],
    cameras: Sequence[Camera],
    depths: Sequence[NDArray[np.floating]],
    *,
    count: int,
    seed: int = 0,
    opacity: float = 0.1,
    scale: float = 1.0,
) -> Gaussians:
    """Gaussians at pixels drawn from depth maps.

    photos [H, W, 3]; cameras without distortion, of the same sizes; depths [H, W] along the camera's z, in
    the scene's unit, not finite or not above 0 where unknown. Raises BadInput if too few pixels have a depth.
    """
    places, colours = [], []
    for photo, camera, depth in zip(photos, cameras, depths, strict=True):
        row, column = np.nonzero(np.isfinite(depth) & (depth > 0))
        share = min(len(row), -(-count // len(photos)))
        rng = np.random.default_rng((seed, 2, len(places)))
        chosen = rng.choice(len(row), share, replace=False) if share else np.empty(0, np.int64)
        row, column = row[chosen], column[chosen]
        places.append(lifted(camera, *_middles(column, row), depth[row, column].astype(np.float64)))
        colours.append(photo[row, column])
    drawn = Points(np.concatenate(places), np.concatenate(colours).astype(np.uint8))
    return from_points(drawn, opacity=opacity, scale=scale, cap=count, seed=seed)


def _middles(column: NDArray[np.int64], row: NDArray[np.int64]) -> tuple[Floats, Floats]:
    return column.astype(np.float64) + 0.5, row.astype(np.float64) + 0.5


def at_random(
    cameras: Sequence[Camera], *, count: int, seed: int = 0, opacity: float = 0.1, scale: float = 1.0
) -> Gaussians:
    """Grey Gaussians at random in the volume that at least two of the cameras see.

    They lie on random rays of random cameras, from half to one and a half times as deep as `looked_at` says.
    Raises BadInput if two cameras see no place together.
    """
    depth = looked_at(cameras)
    found: list[Floats] = []
    rng = np.random.default_rng((seed, 3))
    for _ in range(200):
        each = count // len(cameras) + 1
        drawn = [_on_rays(c, d, each, rng) for c, d in zip(cameras, depth, strict=True)]
        places = np.concatenate(drawn)
        found.append(places[seen_by(cameras, places) >= 2])
        if sum(map(len, found)) >= count:
            break
    places = rng.permutation(np.concatenate(found))[:count]
    if len(places) <= NEIGHBOURS:
        raise BadInput(
            "cameras", found="no place that two of them see", expected="photos that overlap",
            remedy="check the poses, or start from points",
        )  # fmt: skip
    grey = np.full((len(places), 3), 128, np.uint8)
    return from_points(Points(places, grey), opacity=opacity, scale=scale)


def _on_rays(camera: Camera, depth: float, count: int, rng: np.random.Generator) -> Floats:
    u, v = (rng.random((count, 2)) * (camera.width, camera.height)).T
    return lifted(camera, u, v, depth * rng.uniform(*AROUND, count))


def lifted(camera: Camera, u: Floats, v: Floats, depth: Floats) -> Floats:
    """The places [P, 3] that a camera without distortion sees at pixels (u, v) in a depth [P].

    Written out, for a product of matrices rounds as its memory happens to lie: a start could not be repeated.
    """
    inverse, turn, origin = np.linalg.inv(camera.K), camera.world_to_camera[:3, :3], camera.position
    x, y, z = ((row[0] * u + row[1] * v + row[2]) * depth for row in inverse)
    return np.stack([x * turn[0, k] + y * turn[1, k] + z * turn[2, k] + origin[k] for k in range(3)], axis=1)


def looked_at(cameras: Sequence[Camera]) -> Floats:
    """How deep each camera's subject lies, a guess [C].

    Where the cameras' axes come closest to each other; if they look much the same way (or from it, apart), as
    deep as lets nearest neighbours overlap by 70 %. Raises BadInput for cameras at one place.
    """
    origin = np.stack([c.position for c in cameras])
    axis = np.stack([c.world_to_camera[2, :3] for c in cameras])
    across = np.eye(3) - axis[:, :, None] * axis[:, None, :]  # [C, 3, 3]
    if np.linalg.eigvalsh(across.mean(axis=0))[0] > CROSSING:
        centre = np.linalg.solve(across.sum(axis=0), np.einsum("cij,cj->i", across, origin))
        depth = np.einsum("ci,ci->c", centre - origin, axis)
        if (depth > 0).all():
            return depth
    nearest = float(np.median(KDTree(origin).query(origin, k=2)[0][:, 1]))
    if nearest <= 0:
        raise BadInput("cameras", found="all at one place", expected="photos from several places")
    width = float(np.median([c.width / c.K[0, 0] for c in cameras]))
    return np.full(len(cameras), nearest / ((1 - OVERLAP) * width))


def seen_by(cameras: Sequence[Camera], places: Floats) -> NDArray[np.int64]:
    """How many cameras see each place [P, 3], whatever stands before it."""
    return sum(
        (visible(camera, places).astype(np.int64) for camera in cameras), np.zeros(len(places), np.int64)
    )


def visible(camera: Camera, places: Floats) -> NDArray[np.bool_]:
    """Which places [P, 3] lie in front of a camera and inside its image [P]; distortion is left aside."""
    seen = places @ camera.world_to_camera[:3, :3].T + camera.world_to_camera[:3, 3]
    front = seen[:, 2] > 1e-6
    u, v, w = camera.K @ np.where(front[:, None], seen, 1.0).T
    return front & (u >= 0) & (v >= 0) & (u <= camera.width * w) & (v <= camera.height * w)
