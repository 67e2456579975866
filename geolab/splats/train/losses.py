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
from geolab.splats.train.ssim import RADIUS_PX, Workspace, by_rows

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


def transparency(alpha: Tensor, keep: Tensor | None = None) -> Tensor:
    """The mean share of light [H, W] that passes through the model at the pixels that count.

    What photos show is opaque; without this, dark ground is as well told by a hole before a black background.
    """
    light = 1 - alpha
    if keep is None:
        return light.mean()
    return (light * keep).sum() / keep.sum().clamp(min=1)


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
        threads, height = torch.get_num_threads(), len(image)
        by_rows(lambda a, b: _correct(image, matrix, none, corrected, a, b), height, threads)
        alike = ssim.similarity(corrected, shown, mask, slope, work, threads=threads)
        counted = image.shape[0] * image.shape[1] if mask is None else int(mask.sum())
        part = judge.dssim_share
        weight = (1 - part) / (3 * counted) if counted else 0.0
        grad, sums = np.empty_like(image), np.zeros((height, 13), image.dtype)
        exact = (weight, part)
        by_rows(
            lambda a, b: _finish(image, corrected, shown, none, slope, matrix, exact, grad, sums, a, b),
            height, threads,
        )  # fmt: skip
        total = torch.from_numpy(sums.sum(axis=0, dtype=np.float64))
        ctx.grads = torch.from_numpy(grad), total[:12].reshape(3, 4).to(exposure.dtype)
        return rendered.new_tensor(total[12].item() * weight + part * (1 - alike))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        by_image, by_exposure = ctx.grads
        return by_image * grads[0], by_exposure * grads[0], None, None, None


@njit(cache=True, nogil=True)
def _correct(image, matrix, mask, corrected, start, stop):
    for y in range(start, stop):
        for x in range(image.shape[1]):
            r, g, b = image[y, x, 0], image[y, x, 1], image[y, x, 2]
            live = mask.shape[0] == 0 or mask[y, x]
            for c in range(3):
                value = matrix[c, 0] * r + matrix[c, 1] * g + matrix[c, 2] * b + matrix[c, 3]
                corrected[y, x, c] = value if live else 0


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz"})
def _finish(image, corrected, photo, mask, slope, matrix, weights, grad, sums, start, stop):
    """Gradients by the rendered image; for each row those by the exposure [12], and the absolute difference.

    On the way `slope`, of the similarity, becomes the gradient by the corrected image.
    """
    real = image.dtype.type
    step, share_of = real(weights[0]), real(weights[1])
    for y in range(start, stop):
        ours, theirs, d = corrected[y].ravel(), photo[y].ravel(), slope[y].ravel()
        absolute = real(0)
        for j in range(len(d)):
            difference = ours[j] - theirs[j]
            absolute += abs(difference)
            sign = step if difference > 0 else (-step if difference < 0 else real(0))
            d[j] = sign - share_of * d[j]
        if mask.shape[0] > 0:
            for j in range(len(d)):
                if not mask[y, j // 3]:
                    d[j] = 0
        sums[y, 12] = absolute
        for c in range(3):
            s0 = s1 = s2 = s3 = real(0)
            for x in range(image.shape[1]):
                v = d[3 * x + c]
                s0 += v * image[y, x, 0]
                s1 += v * image[y, x, 1]
                s2 += v * image[y, x, 2]
                s3 += v
            sums[y, 4 * c], sums[y, 4 * c + 1], sums[y, 4 * c + 2], sums[y, 4 * c + 3] = s0, s1, s2, s3
        for x in range(image.shape[1]):
            for k in range(3):
                grad[y, x, k] = (
                    matrix[0, k] * d[3 * x] + matrix[1, k] * d[3 * x + 1] + matrix[2, k] * d[3 * x + 2]
                )


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
