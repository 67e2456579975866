"""From Gaussians in the world to ellipses in the image, in torch, with gradients.

A camera is here whatever says where points fall in its images and how the image moves when they move: see
`Projection`. Pinhole and orthographic cameras are given; an affine or RPC camera is one more such value.
The numbers equal those of gsplat 1.5.3 (ProjectionEWA3DGSFused.cu).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import normalize

ALPHA_MIN = 1 / 255  # what is fainter is not drawn
EXTENT = 3.33  # standard deviations at which an opaque Gaussian has faded to ALPHA_MIN
MARGIN = 0.15  # of the image's size: beyond it the Jacobian of a pinhole camera is held


@dataclass(frozen=True)
class Linear:
    """Cameras near each Gaussian, to first order.

    means2d [C, N, 2] pixels, centres at +0.5; jacobian [C, N, 2, 3], pixels per metre of the world's axes;
    depths [C, N] metres, growing away from the camera; directions [C, N, 3] from the camera to the
    Gaussian in the world's axes, of any length. A culled Gaussian (nearer or farther than the planes) may
    hold any finite numbers.
    """

    means2d: Tensor
    jacobian: Tensor
    depths: Tensor
    directions: Tensor


class Projection(Protocol):
    """C cameras of one kind and one image size."""

    def __call__(self, means: Tensor, near: float) -> Linear:
        """Where means [N, 3] fall; nothing nearer than `near` is drawn, so it need not be projected well."""
        ...


@dataclass(frozen=True)
class Pinhole:
    """viewmats [C, 4, 4] from the world to OpenCV axes; Ks [C, 3, 3] pixels; width, height in pixels."""

    viewmats: Tensor
    Ks: Tensor
    width: int
    height: int

    def __call__(self, means: Tensor, near: float) -> Linear:
        x, y, z = _in_camera(means, self.viewmats).unbind(-1)  # [C, N]
        safe = torch.where(z > max(near, 0.0), z, torch.ones_like(z))
        fx, fy, cx, cy = (self.Ks[:, i, j, None] for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))  # [C, 1]
        held_x = _held(x / safe, fx, cx, self.width)
        held_y = _held(y / safe, fy, cy, self.height)
        none = torch.zeros_like(safe)
        rows = torch.stack(
            [fx / safe, none, -fx * held_x / safe, none, fy / safe, -fy * held_y / safe], dim=-1
        )
        jacobian = rows.unflatten(-1, (2, 3)) @ self.viewmats[:, None, :3, :3]  # [C, N, 2, 3]
        means2d = torch.stack([fx * x / safe + cx, fy * y / safe + cy], dim=-1)
        return Linear(means2d, jacobian, z, _directions(means, self.viewmats))


@dataclass(frozen=True)
class Orthographic:
    """As Pinhole, but K's focal lengths are pixels per metre, whatever the depth: u = fx x + cx.

    As in gsplat, directions (for view-dependent colour) still start at the camera's position: tiles of one
    product share one viewmat and differ in cx, cy.
    """

    viewmats: Tensor
    Ks: Tensor

    def __call__(self, means: Tensor, near: float) -> Linear:  # noqa: ARG002 parallel rays meet no pole
        x, y, z = _in_camera(means, self.viewmats).unbind(-1)
        fx, fy, cx, cy = (self.Ks[:, i, j, None] for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
        scale = torch.stack([self.Ks[:, 0, 0], self.Ks[:, 1, 1]], dim=-1)  # [C, 2]
        jacobian = scale[:, :, None] * self.viewmats[:, :2, :3]  # [C, 2, 3]
        means2d = torch.stack([fx * x + cx, fy * y + cy], dim=-1)
        jacobian = jacobian[:, None].expand(-1, len(means), -1, -1)
        return Linear(means2d, jacobian, z, _directions(means, self.viewmats))


def _in_camera(means: Tensor, viewmats: Tensor) -> Tensor:
    return means @ viewmats[:, :3, :3].mT + viewmats[:, None, :3, 3]  # [C, N, 3]


def _directions(means: Tensor, viewmats: Tensor) -> Tensor:
    return means - torch.linalg.inv(viewmats)[:, None, :3, 3]  # [C, N, 3]


def _held(slope: Tensor, focal: Tensor, centre: Tensor, size: int) -> Tensor:
    """The slope x/z, kept within the view and a margin: farther out the linear camera explodes."""
    margin = MARGIN * size / focal
    return torch.minimum(torch.maximum(slope, -centre / focal - margin), (size - centre) / focal + margin)


@dataclass(frozen=True)
class Ellipses:
    """What a back end draws, for C cameras.

    means2d [C, N, 2] pixels; conics [C, N, 3]: a, b, c of the inverse covariance [[a, b], [b, c]];
    depths [C, N] metres; opacities [C, N], with antialiasing's compensation; radii [C, N, 2] int32, half
    the size of the box round all that shows, pixels, 0 where nothing does.
    """

    means2d: Tensor
    conics: Tensor
    depths: Tensor
    opacities: Tensor
    radii: Tensor

    @property
    def visible(self) -> Tensor:
        """[C, N]"""
        return (self.radii > 0).all(dim=-1)


@dataclass(frozen=True)
class Limits:
    """near, far: metres; clip: radius in pixels up to which nothing is drawn; eps2d: pixels squared."""

    near: float = 0.01
    far: float = 1e10
    clip: float = 0.0
    eps2d: float = 0.3


def covariances(quats: Tensor, scales: Tensor) -> Tensor:
    """[N, 3, 3], of rotations [N, 4] (w, x, y, z, any length) and standard deviations [N, 3]."""
    w, x, y, z = normalize(quats, dim=-1).unbind(-1)
    rotation = torch.stack([
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ], dim=-1).unflatten(-1, (3, 3))  # fmt: skip
    half = rotation * scales[:, None, :]
    return half @ half.mT


def ellipses(
    near: Linear, covars: Tensor, opacities: Tensor, size: tuple[int, int], limits: Limits, *, blend: str
) -> Ellipses:
    """The ellipses of Gaussians with covariances [N, 3, 3] and opacities [N].

    size: width, height. blend: "classic", or "antialiased": opacity falls as the least width eps2d makes an
    ellipse larger (Yu et al., Mip-Splatting, 2024).
    """
    cov = near.jacobian @ covars @ near.jacobian.mT  # [C, N, 2, 2]
    a, b, c = cov[..., 0, 0], (cov[..., 0, 1] + cov[..., 1, 0]) / 2, cov[..., 1, 1]
    inside = (near.depths >= limits.near) & (near.depths <= limits.far)
    det_orig = a * c - b * b
    a, c = a + limits.eps2d, c + limits.eps2d
    det = a * c - b * b
    inside = inside & (det > 0)
    safe = torch.where(inside, det, torch.ones_like(det))
    conics = torch.stack([c / safe, -b / safe, a / safe], dim=-1)
    seen = opacities.expand(len(near.depths), -1)  # [C, N]
    if blend == "antialiased":
        seen = seen * _root(det_orig / safe)
    with torch.no_grad():
        radii = _radii(near.means2d, (a, c), seen, inside, size, limits.clip)
    return Ellipses(near.means2d, conics, near.depths, seen, radii)


def _root(ratio: Tensor) -> Tensor:
    """The square root where positive, else 0 without a gradient."""
    positive = ratio > 0
    return torch.where(positive, torch.where(positive, ratio, torch.ones_like(ratio)).sqrt(), 0.0)


def _radii(
    means2d: Tensor,
    spread: Sequence[Tensor],
    seen: Tensor,
    inside: Tensor,
    size: tuple[int, int],
    clip: float,
) -> Tensor:
    """[C, N, 2] int32: the box of what is not fainter than ALPHA_MIN (Radl et al., StopThePop, 2024, B.2)."""
    shows = inside & (seen >= ALPHA_MIN)
    extent = (2 * (seen.clamp(min=ALPHA_MIN) / ALPHA_MIN).log()).sqrt().clamp(max=EXTENT)
    radii = torch.stack([(extent * s.clamp(min=0).sqrt()).ceil() for s in spread], dim=-1)  # [C, N, 2]
    shape = means2d.new_tensor(size)
    on_image = ((means2d + radii > 0) & (means2d - radii < shape)).all(dim=-1)
    shows = shows & on_image & (radii > clip).any(dim=-1)
    return torch.where(shows[..., None], radii.clamp(max=2**30), 0.0).to(torch.int32)
