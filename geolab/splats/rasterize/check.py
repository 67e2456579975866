"""What is refused at the door of the rasterizer, in words."""

from __future__ import annotations

from torch import Tensor

from geolab.errors import BadInput

RENDER_MODES = ("RGB", "D", "ED", "RGB+D", "RGB+ED")
RASTERIZE_MODES = ("classic", "antialiased")
CAMERA_MODELS = ("pinhole", "ortho")
LARGEST = 65536  # pixels along a side


def words(render_mode: str, rasterize_mode: str, camera_model: str) -> None:
    """Raises BadInput for an unknown mode."""
    for what, found, known in (
        ("render_mode", render_mode, RENDER_MODES),
        ("rasterize_mode", rasterize_mode, RASTERIZE_MODES),
        ("camera_model", camera_model, CAMERA_MODELS),
    ):
        if found not in known:
            raise BadInput(what, found=repr(found), expected=f"one of {', '.join(known)}")


def size(width: int, height: int) -> None:
    """Raises BadInput unless both are whole numbers of pixels that make an image."""
    if not (0 < width <= LARGEST and 0 < height <= LARGEST):
        raise BadInput("image size", found=f"{width} x {height}", expected=f"1 to {LARGEST} pixels a side")


def tensors(
    means: Tensor, quats: Tensor, scales: Tensor, opacities: Tensor, viewmats: Tensor, Ks: Tensor
) -> None:
    """Raises BadInput unless shapes, device and type (float32 or float64, one for all) agree."""
    n, c = len(means), len(viewmats)
    named = {
        "means": (means, (n, 3)),
        "quats": (quats, (n, 4)),
        "scales": (scales, (n, 3)),
        "opacities": (opacities, (n,)),
        "viewmats": (viewmats, (c, 4, 4)),
        "Ks": (Ks, (c, 3, 3)),
    }
    for name, (tensor, shape) in named.items():
        if tuple(tensor.shape) != shape:
            raise BadInput(name, found=f"shape {tuple(tensor.shape)}", expected=f"{shape}")
        like(name, tensor, means)
    if not means.is_floating_point() or means.element_size() < 4:
        raise BadInput("means", found=str(means.dtype), expected="float32 or float64")
    if c == 0:
        raise BadInput("viewmats", found="no camera", expected="at least one")


def like(name: str, tensor: Tensor, means: Tensor) -> None:
    """Raises BadInput unless the tensor has the means' type and device."""
    if tensor.dtype != means.dtype or tensor.device != means.device:
        found, expected = (
            f"{tensor.dtype} on {tensor.device}",
            f"{means.dtype} on {means.device} as the means",
        )
        raise BadInput(name, found=found, expected=expected)


def colours(colors: Tensor, means: Tensor, cameras: int, sh_degree: int | None) -> int:
    """Number of channels. Raises BadInput unless colors fit: see `rasterize`."""
    like("colors", colors, means)
    shape, n = tuple(colors.shape), len(means)
    if sh_degree is None:
        if len(shape) in (2, 3) and shape[:-1] in ((n,), (cameras, n)) and shape[-1] > 0:
            return shape[-1]
        raise BadInput("colors", found=f"shape {shape}", expected=f"({n}, D) or ({cameras}, {n}, D)")
    if not 0 <= sh_degree <= 3:
        raise BadInput("sh_degree", found=sh_degree, expected="0, 1, 2 or 3")
    if len(shape) == 3 and shape[0] == n and shape[1] >= (sh_degree + 1) ** 2 and shape[2] == 3:
        return 3
    expected = f"({n}, {(sh_degree + 1) ** 2} or more, 3) for spherical harmonics of degree {sh_degree}"
    raise BadInput("colors", found=f"shape {shape}", expected=expected)


def backgrounds(backs: Tensor, means: Tensor, cameras: int, channels: int) -> None:
    """Raises BadInput unless they are [C, D]."""
    like("backgrounds", backs, means)
    if tuple(backs.shape) != (cameras, channels):
        found, expected = f"shape {tuple(backs.shape)}", f"({cameras}, {channels})"
        raise BadInput("backgrounds", found=found, expected=expected)
