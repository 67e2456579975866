"""The model: a set of 3-D Gaussians, held as it is optimised and stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from geolab.errors import BadInput

SH_DEGREES = {1: 0, 4: 1, 9: 2, 16: 3}  # number of coefficients -> degree
SH_C0 = 0.28209479177387814  # of the constant spherical harmonic, 1 / (2 sqrt(pi))


@dataclass(frozen=True)
class Gaussians:
    """N Gaussians in the frame of their scene, in the parameters of the standard PLY.

    means [N, 3] metres; quats [N, 4] w, x, y, z, of any length but zero; log_scales [N, 3], natural
    logarithm of metres; logit_opacities [N]; sh [N, K, 3], K = 1, 4, 9 or 16, real spherical harmonics of
    the colour minus 0.5 (Kerbl et al., 2023). Raises BadInput if the shapes differ from that.
    """

    means: Tensor
    quats: Tensor
    log_scales: Tensor
    logit_opacities: Tensor
    sh: Tensor

    def __post_init__(self) -> None:
        n = len(self.means)
        found = tuple(tuple(getattr(self, f.name).shape) for f in fields(self))
        k = found[-1][1] if len(found[-1]) == 3 else 0
        if k not in SH_DEGREES or found != ((n, 3), (n, 4), (n, 3), (n,), (n, k, 3)):
            raise BadInput(
                "Gaussians", found=f"arrays of {found}", expected="[N, 3], [N, 4], [N, 3], [N], [N, K, 3]"
            )

    def __len__(self) -> int:
        return len(self.means)

    @property
    def sh_degree(self) -> int:
        return SH_DEGREES[self.sh.shape[1]]

    @property
    def scales(self) -> Tensor:
        """Standard deviations along the axes [N, 3], metres."""
        return self.log_scales.exp()

    @property
    def opacities(self) -> Tensor:
        """[N], 0..1."""
        return self.logit_opacities.sigmoid()

    def map(self, function: Callable[[Tensor], Tensor]) -> Gaussians:
        """The same function applied to every array, for example `lambda t: t[keep]` or `Tensor.detach`."""
        return Gaussians(*(function(getattr(self, f.name)) for f in fields(self)))

    def to(self, device: str | torch.device) -> Gaussians:
        return self.map(lambda t: t.to(device))
