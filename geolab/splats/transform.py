"""A model moved: every Gaussian with its axes and the harmonics of its colour."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from geolab.errors import BadInput
from geolab.splats import harmonics
from geolab.splats.gaussians import Gaussians

_TOLERANCE = 1e-5  # a rotation matrix in float32 is orthogonal to about 1e-7


def transform(
    gaussians: Gaussians,
    rotation: ArrayLike,
    scale: float = 1.0,
    translation: ArrayLike = (0.0, 0.0, 0.0),
) -> Gaussians:
    """The model after x -> scale * rotation @ x + translation, in the dtype and on the device it has.

    rotation: [3, 3]. scale: above 0. translation: [3]. Seen along a turned direction, the colours are the
    same as before. Raises BadInput for a mirror (determinant below 0), which Gaussians can't follow by
    rotation, and for what is no rotation.
    """
    matrix, shift = _checked(rotation, scale, translation)
    w, x, y, z = np.roll(Rotation.from_matrix(matrix).as_quat(), 1)
    left = np.array([[w, -x, -y, -z], [x, w, -z, y], [y, z, w, -x], [z, -y, x, w]])
    turn = harmonics.rotation(matrix, gaussians.sh_degree)

    def like(values: NDArray[np.float64], tensor: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(values, dtype=tensor.dtype, device=tensor.device)

    return Gaussians(
        means=gaussians.means @ like(scale * matrix.T, gaussians.means) + like(shift, gaussians.means),
        quats=gaussians.quats @ like(left.T, gaussians.quats),
        log_scales=gaussians.log_scales + math.log(scale),
        logit_opacities=gaussians.logit_opacities,
        sh=torch.einsum("jk,nkc->njc", like(turn, gaussians.sh), gaussians.sh),
    )


def _checked(
    rotation: ArrayLike, scale: float, translation: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    matrix, shift = np.asarray(rotation, np.float64), np.asarray(translation, np.float64)
    if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
        raise BadInput("rotation", found=f"an array {matrix.shape}", expected="a finite matrix [3, 3]")
    if np.linalg.det(matrix) < 0:
        raise BadInput("rotation", found="a mirror (determinant below 0)", expected="a rotation")
    if not np.allclose(matrix @ matrix.T, np.eye(3), atol=_TOLERANCE):
        raise BadInput(
            "rotation", found="rows that are not orthonormal", expected="a rotation; give its scale apart"
        )
    if not (math.isfinite(scale) and scale > 0):
        raise BadInput("scale", found=scale, expected="a number above 0")
    if shift.shape != (3,) or not np.isfinite(shift).all():
        raise BadInput("translation", found=f"an array {shift.shape}", expected="three finite numbers")
    return matrix, shift
