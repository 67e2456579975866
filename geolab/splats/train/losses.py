"""What a rendered view is judged by: L1 and D-SSIM under the view's exposure, with their gradients.

loss = (1 - share) mean |corrected - photo| + share (1 - SSIM), Kerbl et al. (2023), with the corrected image
A c + b of the view's exposure [A | b]. Pixels outside the mask are black on both sides and count for nothing.
On the CPU value and gradient come from one pass of kernels; elsewhere, and in the tests, from torch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from geolab.splats.train import ssim
from geolab.splats.train.ssim import RADIUS_PX, Workspace

DSSIM_SHARE = 0.2
SMALLEST_PX = 2 * RADIUS_PX + 1  # side of an image that has a window


class Judge:
    """The loss of views of any size; it keeps its working memory between steps."""

    def __init__(self, *, dssim_share: float = DSSIM_SHARE):
        self.dssim_share = dssim_share
        self._rooms: dict[tuple[int, ...], tuple[Workspace, NDArray[Any], NDArray[Any]]] = {}

    def __call__(
        self, rendered: Tensor, photo: Tensor, *, keep: Tensor | None = None, exposure: Tensor | None = None
    ) -> Tensor:
        """The loss of a rendered view.

        rendered [H, W, 3], 0..1; photo [H, W, 3] of the same kind; keep [H, W] bool, the pixels that count;
        exposure [3, 4], None for the identity. Sides are at least 11 pixels.
        """
        if rendered.device.type != "cpu":
            return photometric(rendered, photo, keep=keep, exposure=exposure, dssim_share=self.dssim_share)
        matrix = torch.eye(3, 4, dtype=rendered.dtype) if exposure is None else exposure
        return _Fused.apply(rendered, matrix, photo, keep, self)  # pyright: ignore[reportReturnType]

    def room(self, image: NDArray[Any]) -> tuple[Workspace, NDArray[Any], NDArray[Any]]:
        key = (*image.shape, image.dtype.num)
        if key not in self._rooms:
            height, width = image.shape[:2]
            made = Workspace(height, width, image.dtype.type), np.empty_like(image), np.empty_like(image)
            self._rooms[key] = made
        return self._rooms[key]


class _Fused(torch.autograd.Function):
    """The kernels below as one step of autograd: the gradient is made with the value."""

    @staticmethod
    def forward(
        ctx: Any, rendered: Tensor, exposure: Tensor, photo: Tensor, keep: Any, judge: Judge
    ) -> Tensor:
        image, matrix, truth = (t.detach().contiguous().numpy() for t in (rendered, exposure, photo))
        mask = None if keep is None else keep.numpy()
        work, corrected, slope = judge.room(image)
        shown = truth
        if mask is not None:
            shown = np.where(mask[..., None], truth, image.dtype.type(0))
        none = np.empty((0, 0), np.bool_) if mask is None else mask
        _correct(image, matrix, none, corrected)
        alike = ssim.similarity(corrected, shown, mask, slope, work)
        counted = image.shape[0] * image.shape[1] if mask is None else int(mask.sum())
        grad, by_exposure = np.empty_like(image), np.zeros(matrix.shape, np.float64)
        share = judge.dssim_share
        weight = (1 - share) / (3 * counted) if counted else 0.0
        l1 = _finish(image, corrected, shown, none, slope, matrix, weight, share, grad, by_exposure)
        ctx.grads = torch.from_numpy(grad), torch.from_numpy(by_exposure).to(exposure.dtype)
        return rendered.new_tensor(l1 + share * (1 - alike))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        by_image, by_exposure = ctx.grads
        return by_image * grads[0], by_exposure * grads[0], None, None, None


@njit(cache=True, nogil=True)
def _correct(image, matrix, mask, corrected):
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            r, g, b = image[y, x, 0], image[y, x, 1], image[y, x, 2]
            live = mask.shape[0] == 0 or mask[y, x]
            for c in range(3):
                value = matrix[c, 0] * r + matrix[c, 1] * g + matrix[c, 2] * b + matrix[c, 3]
                corrected[y, x, c] = value if live else 0


@njit(cache=True, nogil=True)
def _finish(image, corrected, photo, mask, slope, matrix, weight, share, grad, by_exposure):
    """Gradients by the rendered image and by the exposure; the weighted L1."""
    real = image.dtype.type
    step, part = real(weight), real(share)
    d = np.empty(3, image.dtype)
    row_sums = np.empty((3, 4), image.dtype)
    total = 0.0
    for y in range(image.shape[0]):
        row_sums[:] = 0
        absolute = real(0)
        for x in range(image.shape[1]):
            live = mask.shape[0] == 0 or mask[y, x]
            for c in range(3):
                difference = corrected[y, x, c] - photo[y, x, c]
                absolute += abs(difference)
                sign = step if difference > 0 else (-step if difference < 0 else real(0))
                d[c] = sign - part * slope[y, x, c] if live else real(0)
                for k in range(3):
                    row_sums[c, k] += d[c] * image[y, x, k]
                row_sums[c, 3] += d[c]
            for k in range(3):
                grad[y, x, k] = matrix[0, k] * d[0] + matrix[1, k] * d[1] + matrix[2, k] * d[2]
        total += absolute
        for c in range(3):
            for k in range(4):
                by_exposure[c, k] += row_sums[c, k]
    return total * weight


def expose(image: Tensor, exposure: Tensor) -> Tensor:
    """An image [..., 3] seen under an exposure [3, 4]."""
    return image @ exposure[:, :3].T + exposure[:, 3]


def photometric(
    rendered: Tensor,
    photo: Tensor,
    *,
    keep: Tensor | None = None,
    exposure: Tensor | None = None,
    dssim_share: float = DSSIM_SHARE,
) -> Tensor:
    """The same loss written in torch, for other devices and as the slow twin."""
    image = rendered if exposure is None else expose(rendered, exposure)
    live = torch.ones_like(image[..., 0]) if keep is None else keep.to(image.dtype)
    image, truth = image * live[..., None], photo * live[..., None]
    l1 = (image - truth).abs().sum() / (3 * live.sum()).clamp_min(1)
    inner = live[RADIUS_PX:-RADIUS_PX, RADIUS_PX:-RADIUS_PX]
    alike = (similarity_map(image, truth) * inner[..., None]).sum() / (3 * inner.sum()).clamp_min(1)
    if not inner.any():
        alike = torch.ones_like(alike)
    return (1 - dssim_share) * l1 + dssim_share * (1 - alike)


def similarity_map(x: Tensor, y: Tensor) -> Tensor:
    """SSIM [H - 10, W - 10, 3] of images [H, W, 3] at the pixels whose window lies inside."""
    weights = torch.from_numpy(ssim.window(np.float64)).to(x)
    planes = torch.stack([x, y, x * x, y * y, x * y]).permute(0, 3, 1, 2).reshape(-1, 1, *x.shape[:2])
    blurred = functional.conv2d(planes, weights.view(1, 1, 1, -1))
    blurred = functional.conv2d(blurred, weights.view(1, 1, -1, 1))
    mx, my, xx, yy, xy = blurred.reshape(5, 3, *blurred.shape[-2:])
    above = (2 * mx * my + ssim.C1) * (2 * (xy - mx * my) + ssim.C2)
    below = (mx * mx + my * my + ssim.C1) * (xx - mx * mx + yy - my * my + ssim.C2)
    return (above / below).permute(1, 2, 0)
