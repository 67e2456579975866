"""The similarity between two sets of points, in spite of outliers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from geolab.splats.views import Floats

SAMPLES = 500  # of three points each
REACH = 3.0  # standard deviations beyond which a point is an outlier
_HUBER = 1.5


@dataclass(frozen=True)
class Similarity:
    """x -> scale * rotation @ x + translation; rotation [3, 3], translation [3]."""

    scale: float
    rotation: Floats
    translation: Floats

    def apply(self, points: Floats) -> Floats:
        """Points [N, 3] moved."""
        return self.scale * points @ self.rotation.T + self.translation


def exact(source: Floats, target: Floats, weights: Floats | None = None) -> Similarity:
    """The least-squares similarity from source [N, 3] to target [N, 3] (Umeyama, 1991)."""
    w = np.full(len(source), 1 / len(source)) if weights is None else weights / weights.sum()
    mean_s, mean_t = w @ source, w @ target
    s, t = source - mean_s, target - mean_t
    u, d, vt = np.linalg.svd((t * w[:, None]).T @ s)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    rotation = (u * sign) @ vt
    variance = float(w @ (s**2).sum(axis=1))
    scale = float((d * sign).sum() / variance) if variance > 0 else 1.0
    return Similarity(scale, rotation, mean_t - scale * rotation @ mean_s)


def robust(
    source: Floats, target: Floats, sigma: Floats, *, seed: int = 0
) -> tuple[Similarity, NDArray[np.bool_]]:
    """The similarity that most points agree on, and which [N] these are.

    sigma [N, 3]: of the targets, along their axes. The start is the sample of three with the least median
    residual (Rousseeuw, 1984), so up to half of the points may be wrong; then Huber's loss on the rest. Three
    points leave nothing to judge by: all are used. Needs at least three that are not on one line.
    """
    everyone = np.ones(len(source), np.bool_)
    if len(source) == 3:
        return exact(source, target), everyone
    start, spread = _least_median(source, target, sigma, seed)
    used = _misfit(start, source, target, sigma) <= REACH * spread
    best = start
    for _ in range(5):
        best = refine(best, source[used], target[used], sigma[used])
        again = _misfit(best, source, target, sigma) <= REACH * max(
            spread, _deviation(_misfit(best, source[used], target[used], sigma[used]))
        )
        if (again == used).all() or again.sum() < 3:
            break
        used = again
    return best, used


def _least_median(source: Floats, target: Floats, sigma: Floats, seed: int) -> tuple[Similarity, float]:
    """The best similarity of three points, and the standard deviation of the misfits that it leaves."""
    rng = np.random.default_rng(seed)
    n = len(source)
    best, least = exact(source, target), np.inf
    for _ in range(SAMPLES):
        chosen = rng.choice(n, 3, replace=False)
        if _flatness(source[chosen]) < 0.05:
            continue
        found = exact(source[chosen], target[chosen])
        median = float(np.median(_misfit(found, source, target, sigma)))
        if median < least:
            best, least = found, median
    if not np.isfinite(least):
        least = float(np.median(_misfit(best, source, target, sigma)))
    # of a misfit in three dimensions, whose median is 1.54 sigma; widened for few points (Rousseeuw, 1984)
    return best, max(least / 1.54 * (1 + 5 / max(n - 3, 1)) * np.sqrt(3), 1e-9)


def _deviation(misfits: Floats) -> float:
    return float(np.sqrt(np.mean(misfits**2)))


def _misfit(found: Similarity, source: Floats, target: Floats, sigma: Floats) -> Floats:
    """Lengths [N] of the residuals, in standard deviations."""
    return np.linalg.norm((found.apply(source) - target) / sigma, axis=1)


def _flatness(points: Floats) -> float:
    """How far points are from lying on a line: the second singular value as a share of the first."""
    values = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    return float(values[1] / values[0]) if values[0] > 0 else 0.0


def refine(start: Similarity, source: Floats, target: Floats, sigma: Floats) -> Similarity:
    """The similarity of least Huber loss near a start; residuals are in standard deviations [N, 3]."""
    centre = source.mean(axis=0)
    reach = float(np.linalg.norm(source - centre, axis=1).max()) or 1.0
    middle = start.apply(centre[None])[0]

    def similarity(p: Floats) -> Similarity:
        scale = start.scale * np.exp(p[3])
        rotation = Rotation.from_rotvec(p[:3]).as_matrix() @ start.rotation
        return Similarity(
            float(scale), rotation, middle + p[4:] * start.scale * reach - scale * rotation @ centre
        )

    def residuals(p: Floats) -> Floats:
        return ((similarity(p).apply(source) - target) / sigma).ravel()

    found = least_squares(residuals, np.zeros(7), loss="huber", f_scale=_HUBER, x_scale="jac", max_nfev=200)
    return similarity(found.x)
