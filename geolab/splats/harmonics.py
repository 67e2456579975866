"""Real spherical harmonics of degree 0 to 3, in the order and signs of 3-D Gaussian splatting.

Kerbl et al. (2023) and glTF's KHR_gaussian_splatting agree: Condon-Shortley phase, m from -l to l.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from geolab.splats.gaussians import SH_C0

Floats = NDArray[np.float64]

_PROBES = 64  # directions; 7 would do in theory, more condition the fit well


def basis(directions: Floats, degree: int) -> Floats:
    """The harmonics [..., (degree + 1)**2] at unit directions [..., 3]."""
    x, y, z = np.moveaxis(directions, -1, 0)
    bands = [
        [np.full_like(x, SH_C0)],
        [-y, z, -x],
        [x * y, -y * z, (2 * z * z - x * x - y * y) / np.sqrt(12), -x * z, (x * x - y * y) / 2],
        [
            -y * (3 * x * x - y * y),
            x * y * z * np.sqrt(24),
            -y * (4 * z * z - x * x - y * y) * np.sqrt(3 / 5),
            z * (2 * z * z - 3 * x * x - 3 * y * y) * np.sqrt(2 / 5),
            -x * (4 * z * z - x * x - y * y) * np.sqrt(3 / 5),
            z * (x * x - y * y) * np.sqrt(6),
            -x * (x * x - 3 * y * y),
        ],
    ]
    norms = (1.0, np.sqrt(3 / (4 * np.pi)), np.sqrt(15 / (4 * np.pi)), np.sqrt(35 / (32 * np.pi)))
    made = [norm * y for norm, band in zip(norms[: degree + 1], bands, strict=False) for y in band]
    return np.stack(made, axis=-1)


def rotation(matrix: Floats, degree: int) -> Floats:
    """[K, K] that turns the coefficients of a colour with the rotation matrix [3, 3].

    The turned colour has at matrix @ d the value that the first one has at d. Each band turns in itself
    (a real Wigner D-matrix); it is found by a fit to probe directions, exact to rounding.
    """
    before, after = basis(_probes(), degree), basis(_probes() @ matrix.T, degree)
    made = np.zeros((before.shape[1], before.shape[1]))
    for band in range(degree + 1):
        part = slice(band**2, (band + 1) ** 2)
        made[part, part] = np.linalg.lstsq(after[:, part], before[:, part], rcond=None)[0]
    return made


@cache
def _probes() -> Floats:
    """Directions spread evenly over the sphere by the golden angle."""
    i = np.arange(_PROBES) + 0.5
    z, angle = 1 - 2 * i / _PROBES, np.pi * (1 + np.sqrt(5)) * i
    r = np.sqrt(1 - z * z)
    return np.stack([r * np.cos(angle), r * np.sin(angle), z], axis=1)
