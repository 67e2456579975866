"""Colours that depend on the direction of view: real spherical harmonics up to degree 3."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize


def basis(degree: int, directions: Tensor) -> Tensor:
    """The harmonics [..., (degree + 1)^2] at directions [..., 3] of any length but zero.

    Order and signs as in 3DGS files (Kerbl et al., 2023); constants of Sloan, JCGT 2013.
    """
    x, y, z = normalize(directions, dim=-1).unbind(-1)
    terms = [torch.full_like(x, 0.2820947917738781)]
    if degree >= 1:
        terms += [-0.48860251190292 * y, 0.48860251190292 * z, -0.48860251190292 * x]
    if degree >= 2:
        xx, yy, zz = x * x, y * y, z * z
        terms += [
            1.092548430592079 * x * y,
            -1.092548430592079 * y * z,
            0.9461746957575601 * zz - 0.3153915652525201,
            -1.092548430592079 * x * z,
            0.5462742152960395 * (xx - yy),
        ]
        if degree >= 3:
            band = 0.4570457994644658 - 2.285228997322329 * zz
            terms += [
                -0.5900435899266435 * y * (3 * xx - yy),
                2.890611442640554 * x * y * z,
                band * y,
                z * (1.865881662950577 * zz - 1.119528997770346),
                band * x,
                1.445305721320277 * z * (xx - yy),
                -0.5900435899266435 * x * (xx - 3 * yy),
            ]
    return torch.stack(terms, dim=-1)


def colours(degree: int, directions: Tensor, sh: Tensor) -> Tensor:
    """RGB [C, N, 3], not below 0, of coefficients [N, K, 3] or [C, N, K, 3] seen along [C, N, 3]."""
    terms = basis(degree, directions)  # [C, N, k]
    used = sh[..., : terms.shape[-1], :]
    return ((terms[..., None] * used).sum(dim=-2) + 0.5).clamp(min=0)
