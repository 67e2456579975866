"""How much of a model is worth mapping: what the training cameras saw, without the sky and the floaters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from rasterio.crs import CRS
from torch import Tensor

from geolab.errors import BadInput
from geolab.splats.frame import Frame
from geolab.splats.gaussians import Gaussians
from geolab.splats.grid import Bounds, project
from geolab.splats.views import Camera

Floats = NDArray[np.float64]

VIEWS = 3  # cameras that must have a place in view
OPAQUE = 0.1  # opacity from which a Gaussian counts as surface
FAR = 2.0  # times a camera's median depth, beyond which it sees background
TAIL = 0.01  # share of the surface that is left out at each side
LAYER = 0.02  # of the range of heights
THIN = 5e-4  # share of the surface below which a layer holds floaters only
MOST_LAYERS = 1000


def in_view(means: Floats, cameras: Sequence[Camera]) -> NDArray[np.int64]:
    """How many cameras have each point [N, 3] in their picture, nearer than FAR times their median depth.

    Nothing hides anything here: a point behind a wall is in view; see observe for what was truly seen.
    """
    count = np.zeros(len(means), np.int64)
    for camera in cameras:
        x, y, z = camera.world_to_camera[:3, :3] @ means.T + camera.world_to_camera[:3, 3:]
        safe = np.where(z > 1e-6, z, np.nan)
        u, v = camera.K[:2, :2] @ np.stack([x / safe, y / safe]) + camera.K[:2, 2:]
        inside = (u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height)  # False where NaN
        if inside.any():
            count += inside & (z < FAR * np.median(z[inside]))
    return count


def surface(gaussians: Gaussians, cameras: Sequence[Camera] = ()) -> Tensor:
    """Which Gaussians [N] (bool) are surface in view of VIEWS cameras (all cameras if there are fewer).

    Without cameras: all that are opaque. Raises BadInput if that is none.
    """
    kept = ((gaussians.opacities > OPAQUE) & gaussians.means.isfinite().all(dim=1)).detach()
    if cameras:
        means = gaussians.means.detach().cpu().double().numpy()
        kept &= torch.from_numpy(in_view(means, cameras) >= min(VIEWS, len(cameras))).to(kept.device)
    if not kept.any():
        where = f" in view of {min(VIEWS, len(cameras))} cameras" if cameras else ""
        raise BadInput(
            "model", found=f"no opaque Gaussian{where}", expected="a surface",
            remedy="are these the cameras of this model?" if cameras else "",
        )  # fmt: skip
    return kept


def bulk(gaussians: Gaussians, frame: Frame, crs: CRS, cameras: Sequence[Camera] = ()) -> Bounds:
    """The box (left, bottom, right, top) in a CRS around the surface but for TAIL at each side."""
    kept = surface(gaussians, cameras)
    means = gaussians.means[kept].detach().cpu().double().numpy()
    low, high = np.quantile(project(frame.lonlat(means), crs), [TAIL, 1 - TAIL], axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def height_range(gaussians: Gaussians, frame: Frame, cameras: Sequence[Camera] = ()) -> tuple[float, float]:
    """The heights (lowest, highest), metres in the frame's datum, beyond which there are only floaters.

    From the middle 98 % of the surface up and down as far as every layer of it (LAYER of that range thick, at
    least half a metre) holds at least THIN of the surface, so that a tower stays and a cloud under the
    ground goes; and a layer more. Below the lowest camera if the cameras are above the scene.
    """
    kept = surface(gaussians, cameras)
    height = frame.lonlat(gaussians.means[kept].detach().cpu().double().numpy())[:, 2]
    low, middle, high = np.quantile(height, [TAIL, 0.5, 1 - TAIL])
    layer = max(0.5, LAYER * float(high - low))
    least = max(1.0, THIN * len(height))
    top = high + layer * _layers(height - high, layer, least)
    bottom = low - layer * _layers(low - height, layer, least)
    if cameras:
        lowest = frame.lonlat(np.stack([c.position for c in cameras]))[:, 2].min()
        top = min(top, lowest) if lowest > middle else top
    return float(bottom), float(top)


def _layers(above: Floats, layer: float, least: float) -> int:
    """How many layers upwards from 0 to draw: those that hold enough without a gap, and one more."""
    number = np.floor(above[(above > 0) & (above < MOST_LAYERS * layer)] / layer).astype(int)
    thin = np.flatnonzero(np.bincount(number, minlength=MOST_LAYERS) < least)
    return 1 + (int(thin[0]) if len(thin) else MOST_LAYERS)


def box(gaussians: Gaussians) -> list[float]:
    """[xmin, ymin, zmin, xmax, ymax, zmax] of what one sees: without the outermost 0.5 % of centres."""
    places = gaussians.means.detach().cpu().double().numpy()
    solid = gaussians.logit_opacities.detach().cpu().numpy() > -2.2  # opacity 0.1
    chosen = places[solid] if solid.sum() > 10 else places
    chosen = chosen[np.isfinite(chosen).all(axis=1)]
    low, high = np.percentile(chosen, [0.5, 99.5], axis=0)
    margin = 0.02 * max(float((high - low).max()), 1e-3)
    return [float(v) for v in (*(low - margin), *(high + margin))]
