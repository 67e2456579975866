"""A model as a map sees it: Gaussians in pixels of a grid, lit from straight above.

Every mean goes through the map projection by itself, so that convergence, scale and the Earth's
curvature are exact wherever it lies. Only a Gaussian's shape is turned and scaled by one similarity,
that of the middle of the grid; `similarity` refuses grids on which that is not good enough.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor

from geolab import raster
from geolab.errors import BadInput
from geolab.splats.frame import Frame
from geolab.splats.gaussians import Gaussians
from geolab.splats.grid import DISTORTION, Grid
from geolab.splats.rasterize import harmonics

Floats = NDArray[np.float64]

REACH = 3.34  # standard deviations at which an opaque Gaussian falls below 1/255: sqrt(2 ln 255)
FINENESS = 2.0**12  # means lie at multiples of 1/4096 px: float32 then holds them alike in every tile
STEP_M = 50.0  # of the finite differences
CHUNK = 1 << 18  # Gaussians projected at once


@dataclass(frozen=True)
class Flat:
    """N Gaussians over a grid whose pixels are `1 / per_metre` metres, in pixels along all three axes.

    columns, rows, up [N] float64, up from the datum; reach [N] float32: half the side of the square
    beyond which nothing of a Gaussian is drawn. quats, scales, opacities, colours [N, 3]: for the
    rasterizer. index [N]: of each in the model.
    """

    columns: Tensor
    rows: Tensor
    up: Tensor
    reach: Tensor
    quats: Tensor
    scales: Tensor
    opacities: Tensor
    colours: Tensor
    index: Tensor
    per_metre: float

    def __len__(self) -> int:
        return len(self.columns)

    def near(self, column: int, row: int, width: int, height: int) -> Tensor:
        """The numbers of the Gaussians that may touch a tile."""
        reach = self.reach
        across = (self.columns + reach > column) & (self.columns - reach < column + width)
        along = (self.rows + reach > row) & (self.rows - reach < row + height)
        return torch.nonzero(across & along).flatten()


def similarity(frame: Frame, grid: Grid) -> tuple[Floats, float]:
    """Rotation [3, 3] from east, north, up to columns, rows, depth; and pixels a metre, at the grid's middle.

    Raises BadInput where shapes would be off by more than DISTORTION anywhere on the grid.
    """
    linear = _linear(frame, grid, 0.5, 0.5)
    u, stretch, vt = np.linalg.svd(linear)
    turn, per_metre = u @ vt, float(np.sqrt(stretch.prod()))
    if np.linalg.det(turn) > 0:
        raise BadInput("grid", found="rows that run north", expected="a grid whose first row is the top")
    corners = [_linear(frame, grid, c, r) for c in (0.0, 1.0) for r in (0.0, 1.0)]
    off = max(np.linalg.norm(m / per_metre - turn, 2) for m in (linear, *corners))
    ground = abs(per_metre * grid.gsd_m - 1)
    if not off <= DISTORTION or not ground <= DISTORTION:
        raise BadInput(
            "CRS", found=f"{raster.crs_name(grid.crs)}, which is off by {100 * max(off, ground):.2g} % there",
            expected=f"one that is true to {100 * DISTORTION:g} %", remedy=f"use {frame.crs}",
        )  # fmt: skip
    rotation = np.eye(3)
    rotation[:2, :2], rotation[2, 2] = turn, -1.0
    return rotation, per_metre


def _linear(frame: Frame, grid: Grid, across: float, along: float) -> Floats:
    """Pixels per metre [2, 2] east and north, near a place of the grid (0..1 of its width and height)."""
    lon, lat = grid.lonlat(np.array([across * grid.width]), np.array([along * grid.height]))[0]
    middle = frame.enu([[lon, lat, frame.height_m]])[0]
    steps = np.array([[1.0, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]]) * STEP_M + middle
    seen = np.stack(grid.locate(frame.lonlat(steps)))
    return np.stack([seen[:, 0] - seen[:, 1], seen[:, 2] - seen[:, 3]], axis=1) / (2 * STEP_M)


def flatten(
    gaussians: Gaussians, frame: Frame, grid: Grid, *, heights: tuple[float, float] | None = None,
    kept: Tensor | None = None,
) -> Flat:  # fmt: skip
    """The Gaussians that can be seen, over a grid.

    heights: lowest and highest of the means that are kept, metres in the frame's datum. kept: [N] bool,
    those that may be seen.
    """
    rotation, per_metre = similarity(frame, grid)
    columns, rows, height = _places(gaussians.means, frame, grid)
    low, high = heights or (-np.inf, np.inf)
    opaque = gaussians.opacities > 1 / 255 if kept is None else kept & (gaussians.opacities > 1 / 255)
    good = opaque.cpu().numpy() & np.isfinite(columns + rows + height)
    picked = np.flatnonzero(good & (height >= low) & (height <= high))
    device = gaussians.means.device
    index = torch.from_numpy(picked).to(device)
    chosen = gaussians.map(lambda t: t.detach()[index])
    scales = chosen.scales * per_metre
    turned = _turn(rotation, chosen.quats)
    down = torch.tensor([0.0, 0.0, -1.0], device=device, dtype=chosen.sh.dtype).expand(1, 1, 3)
    return Flat(
        *(torch.from_numpy(np.round(v[picked] * FINENESS) / FINENESS).to(device)
          for v in (columns, rows, height * per_metre)),
        reach=REACH * (scales.amax(dim=1) ** 2 + 0.3).sqrt() + 1, quats=turned, scales=scales,
        opacities=chosen.opacities, colours=harmonics.colours(chosen.sh_degree, down, chosen.sh)[0],
        index=index, per_metre=per_metre,
    )  # fmt: skip


def _places(means: Tensor, frame: Frame, grid: Grid) -> tuple[Floats, Floats, Floats]:
    """Columns, rows and heights (metres) [N] of means [N, 3]."""
    out = np.empty((3, len(means)))
    for start in range(0, len(means), CHUNK):
        part = slice(start, start + CHUNK)
        lonlat = frame.lonlat(means[part].detach().cpu().double().numpy())
        out[:2, part] = grid.locate(lonlat)
        out[2, part] = lonlat[:, 2]
    return out[0], out[1], out[2]


def _turn(rotation: Floats, quats: Tensor) -> Tensor:
    """Quaternions [N, 4] (w, x, y, z) after a rotation [3, 3]."""
    x, y, z, w = (float(v) for v in Rotation.from_matrix(rotation).as_quat())
    left = [[w, -x, -y, -z], [x, w, -z, y], [y, z, w, -x], [z, -y, x, w]]
    return quats @ torch.tensor(left, dtype=quats.dtype, device=quats.device).T
