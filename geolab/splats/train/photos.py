"""The photos of a training in memory: bytes, one copy for each size that is trained at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geolab.errors import BadInput
from geolab.splats import images
from geolab.splats.train.losses import SMALLEST_PX
from geolab.splats.views import View

SMALLEST_LEVEL_PX = 4 * SMALLEST_PX  # shortest side of a halved photo


@dataclass(frozen=True)
class Picture:
    """One photo at one size: rgb [H, W, 3] uint8, keep [H, W] bool or None, K and world_to_camera float32."""

    name: str
    rgb: Tensor
    keep: Tensor | None
    K: Tensor
    world_to_camera: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        return self.rgb.shape[0], self.rgb.shape[1]

    def colours(self) -> Tensor:
        """[H, W, 3] float32, 0..1."""
        return self.rgb.float().mul_(1 / 255)

    def to(self, device: torch.device) -> Picture:
        if device.type == "cpu":
            return self
        keep = None if self.keep is None else self.keep.to(device)
        moved = (t.to(device) for t in (self.K, self.world_to_camera))
        return Picture(self.name, self.rgb.to(device), keep, *moved)


def open_picture(view: View, *, image_px: int) -> Picture:
    """The photo of a view, its longest side at most image_px (0: as it is). Raises FileRejected, BadInput."""
    loaded = images.load(view, image_px=image_px)
    height, width = loaded.rgb.shape[:2]
    if min(height, width) < SMALLEST_PX:
        raise BadInput(
            view.name, found=f"{width} x {height} pixels", expected=f"at least {SMALLEST_PX} a side"
        )
    keep = None if loaded.mask is None or loaded.mask.all() else torch.from_numpy(loaded.mask)
    camera = loaded.camera
    placed = torch.from_numpy(np.asarray(camera.world_to_camera)).float()
    rgb = torch.from_numpy(loaded.rgb.copy())
    return Picture(view.name, rgb, keep, torch.from_numpy(np.asarray(camera.K)).float(), placed)


def halved(picture: Picture) -> Picture:
    """The picture at half the size: means of 2 x 2 pixels; an odd last row or column is left out.

    A pixel counts if all four do.
    """
    height, width = (side // 2 for side in picture.shape)
    blocks = picture.rgb[: 2 * height, : 2 * width].numpy().reshape(height, 2, width, 2, 3)
    rgb = (blocks.astype(np.uint16).sum(axis=(1, 3)) + 2) // 4
    keep = picture.keep
    if keep is not None:
        keep = keep[: 2 * height, : 2 * width].reshape(height, 2, width, 2).all(3).all(1)
    K = picture.K.clone()
    K[:2] /= 2
    return Picture(picture.name, torch.from_numpy(rgb.astype(np.uint8)), keep, K, picture.world_to_camera)


def pyramid(picture: Picture, levels: int) -> tuple[Picture, ...]:
    """The picture and up to so many halvings, while the shortest side keeps 44 pixels, largest first."""
    made = [picture]
    while len(made) <= levels and min(made[-1].shape) >= 2 * SMALLEST_LEVEL_PX:
        made.append(halved(made[-1]))
    return tuple(made)


@dataclass(frozen=True)
class Album:
    """Pictures of the training views by size, largest first, and of the views held out."""

    training: tuple[tuple[Picture, ...], ...]  # [level][view]
    testing: tuple[Picture, ...]

    @property
    def levels(self) -> int:
        return len(self.training) - 1

    def digest(self) -> str:
        """A hash of all pixels, masks and cameras."""
        whole = sha256()
        for picture in (*self.training[0], *self.testing):
            whole.update(picture.name.encode())
            for tensor in (picture.rgb, picture.keep, picture.K, picture.world_to_camera):
                if tensor is not None:
                    whole.update(_bytes(tensor.numpy()))
        return whole.hexdigest()


def _bytes(array: NDArray[np.generic]) -> bytes:
    return str(array.shape).encode() + np.ascontiguousarray(array).tobytes()


def open_album(training: Sequence[View], testing: Sequence[View], *, image_px: int, levels: int) -> Album:
    """Read and reduce all photos. Raises BadInput, FileRejected."""
    stacks = [pyramid(open_picture(view, image_px=image_px), levels) for view in training]
    deep = min(len(stack) for stack in stacks)
    sizes = tuple(tuple(stack[level] for stack in stacks) for level in range(deep))
    return Album(sizes, tuple(open_picture(view, image_px=image_px) for view in testing))
