"""Which way is up, where positions do not tell: photos along one line, or heights that are wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geolab.splats.similarity import REACH, SAMPLES, Similarity
from geolab.splats.views import Floats

Complexes = NDArray[np.complex128]

GIMBAL = "gimbal angles"
LEAST_POINTS = 50
PARALLEL_DEG = 20.0  # axes that spread less are taken to look straight down on average
FLAT, BROAD = 0.1, 0.1  # of a flight at one height: scatter by breadth at most, breadth by length at least
MOST, LEAST_LEVEL = 0.6, 6  # share and number of its photos in one plane
ALONG = 0.2  # share of the second singular value, below which level axes are all the same axis


@dataclass(frozen=True)
class Up:
    """Up [3] in the scene's frame, by what it is known, and how well (standard deviation, degrees)."""

    direction: Floats
    by: str
    sigma_deg: float


def gimbal_up(xmp: Mapping[str, float]) -> Floats | None:
    """Up [3] in the axes of the camera (right, down, forward), by the gimbal's angles; None if unknown."""
    pitch, roll = xmp.get("gimbal_pitch_deg"), xmp.get("gimbal_roll_deg", 0.0)
    if pitch is None:
        return None
    p, r = math.radians(pitch), math.radians(roll)
    return np.array([-math.cos(p) * math.sin(r), -math.cos(p) * math.cos(r), math.sin(p)])


def by_gimbal(rotations: Sequence[Floats], xmps: Sequence[Mapping[str, float]]) -> Up | None:
    """Up by the gimbal angles of the photos that state them; rotations [3, 3]: scene to camera."""
    pairs = ((r, gimbal_up(xmp)) for r, xmp in zip(rotations, xmps, strict=True))
    ups = [r.T @ up for r, up in pairs if up is not None]
    return Up(_unit(np.median(ups, axis=0)), GIMBAL, 2.0) if len(ups) >= 2 else None


def by_cameras(rotations: Sequence[Floats], sideways: Sequence[bool], points: Floats | None) -> Up | None:
    """Up if the cameras look straight down on average, or else were held level; None if that leaves it open.

    They are taken to look down if their axes are nearly parallel, and cross the plane through the points
    [P, 3] nearly at a right angle. sideways: whether a photo is shown turned by 90 degrees.
    """
    forward = _unit(np.mean([r[2] for r in rotations], axis=0))
    spread = np.degrees(np.arccos(np.clip([r[2] @ forward for r in rotations], -1, 1)))
    if np.percentile(spread, 90) < PARALLEL_DEG and _faces(points, forward):
        return Up(-forward, "cameras that look straight down on average", 5.0)
    right = np.array([r[1] if s else r[0] for r, s in zip(rotations, sideways, strict=True)])
    _, values, axes = np.linalg.svd(right, full_matrices=True)
    if values[1] < ALONG * values[0]:
        return None
    up = axes[2]
    return Up(up if np.mean([r[2] @ up for r in rotations]) < 0 else -up, "level cameras", 3.0)


def by_flight(up: Up, places: Floats) -> Up:
    """Up nearer than `up` tells it if most of the places [V, 3] lie in one plane: drones keep their height.

    `up` itself if there is no such plane, or one too far from it. Climb and descent do not count.
    """
    normal, level = up.direction, np.ones(len(places), np.bool_)
    values = np.zeros(3)
    for _ in range(10):
        heights = (places - places[level].mean(axis=0)) @ normal
        off = np.abs(heights - np.median(heights))
        level = off <= max(3 * 1.4826 * float(np.median(off)), 1e-6 * float(np.ptp(places)))
        if level.sum() < max(MOST * len(places), LEAST_LEVEL):
            return up
        _, values, axes = np.linalg.svd(places[level] - places[level].mean(axis=0), full_matrices=False)
        normal = axes[2] if axes[2] @ up.direction > 0 else -axes[2]
    tilt = math.degrees(math.acos(min(1.0, float(normal @ up.direction))))
    if values[2] > FLAT * values[1] or not values[1] > BROAD * values[0] or tilt > 2 * up.sigma_deg:
        return up
    return Up(normal, f"{up.by}, flown at one height", 1.5)


def _faces(points: Floats | None, forward: Floats) -> bool:
    """Whether a direction crosses the plane through points nearly at a right angle."""
    if points is None or len(points) < LEAST_POINTS:
        return False
    depth = points @ forward
    low, high = np.percentile(depth, [10, 90])  # trees, roofs and mistakes aside
    middle = points[(depth >= low) & (depth <= high)]
    normal = np.linalg.svd(middle - middle.mean(axis=0), full_matrices=False)[2][2]
    return math.degrees(math.acos(min(1.0, abs(float(normal @ forward))))) < PARALLEL_DEG


def _unit(vector: Floats) -> Floats:
    return vector / np.linalg.norm(vector)


def line(points: Floats) -> tuple[Floats, float]:
    """The direction [3] of the line nearest to points [N, 3], and their rms distance from it."""
    centred = points - points.mean(axis=0)
    _, values, axes = np.linalg.svd(centred, full_matrices=False)
    return axes[0], float(math.hypot(*values[1:]) / math.sqrt(len(points)))


def turn_error_deg(points: Floats, sigma_m: float) -> float:
    """The standard deviation of the turn about their line that positions [N, 3] of sigma_m determine."""
    return math.degrees(math.atan2(sigma_m / math.sqrt(len(points)), line(points)[1]))


def tilt_deg(found: Similarity, up: Floats) -> float:
    """Between up as a similarity has it and a direction [3] of the source's frame that should be up."""
    return math.degrees(math.acos(float(np.clip(found.rotation[2] @ up, -1, 1))))


def leveled(
    source: Floats, target: Floats, sigma: Floats, up: Floats, *, seed: int = 0
) -> tuple[Similarity, NDArray[np.bool_]]:
    """The similarity that turns `up` upright and fits [N, 3] across; only the mean of the heights counts.

    Robust as `similarity.robust`. Returns which [N] agree across, too.
    """
    first = _upright(up)
    flat = source @ first.T
    s, t = flat[:, 0] + 1j * flat[:, 1], target[:, 0] + 1j * target[:, 1]
    turn, used = _planar(s, t, sigma[:, 0], seed=seed)
    scale, angle = abs(turn), float(np.angle(turn))
    about = np.array(
        [[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1.0]]
    )
    rotation = about @ first
    off = target - scale * source @ rotation.T
    across = off[used, :2].mean(axis=0)
    return Similarity(float(scale), rotation, np.array([*across, np.median(off[used, 2])])), used


def _upright(up: Floats) -> Floats:
    """A rotation [3, 3] that turns a direction to (0, 0, 1)."""
    other = np.eye(3)[int(np.argmin(np.abs(up)))]
    x = _unit(np.asarray(np.cross(other, up), np.float64))
    return np.stack([x, np.cross(up, x), up])


def _planar(s: Complexes, t: Complexes, sigma: Floats, *, seed: int) -> tuple[complex, NDArray[np.bool_]]:
    """The factor of t = factor * s + shift that most points agree on, and which [N] these are."""
    rng = np.random.default_rng(seed)
    (factor, shift), least = _fit(s, t), np.inf
    for _ in range(SAMPLES if len(s) > 3 else 0):
        i, j = rng.choice(len(s), 2, replace=False)
        if abs(s[i] - s[j]) < 1e-9:
            continue
        a = (t[i] - t[j]) / (s[i] - s[j])
        b = t[i] - a * s[i]
        median = float(np.median(np.abs(a * s + b - t) / sigma))
        if median < least:
            factor, shift, least = a, b, median
    # of a misfit in two dimensions the median is 1.18 standard deviations of one
    reach = REACH * max(least / 1.18 * (1 + 5 / max(len(s) - 2, 1)), 1e-9) * math.sqrt(2)
    used = np.abs(factor * s + shift - t) / sigma <= reach
    return _fit(s[used], t[used])[0], used


def _fit(s: Complexes, t: Complexes) -> tuple[complex, complex]:
    """Factor and shift of least squares."""
    ds, dt = s - s.mean(), t - t.mean()
    power = float((np.abs(ds) ** 2).sum())
    factor = complex((np.conj(ds) * dt).sum() / power) if power > 0 else 1 + 0j
    return factor, complex(t.mean() - factor * s.mean())
