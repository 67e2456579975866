"""`rasterize`: checked once here, drawn by a back end."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from geolab.splats.rasterize import check
from geolab.splats.rasterize.backends import choose, module
from geolab.splats.rasterize.compose import Drawn, Given, compose
from geolab.splats.rasterize.projection import Limits, Projection


def rasterize(
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    opacities: Tensor,
    colors: Tensor,
    viewmats: Tensor,
    Ks: Tensor,
    width: int,
    height: int,
    *,
    near_plane: float = 0.01,
    far_plane: float = 1e10,
    radius_clip: float = 0.0,
    eps2d: float = 0.3,
    sh_degree: int | None = None,
    backgrounds: Tensor | None = None,
    render_mode: str = "RGB",
    rasterize_mode: str = "classic",
    camera_model: str = "pinhole",
    backend: str = "auto",
    median_depth: bool = False,
    weights: bool = False,
    absgrad: bool = False,
    projection: Projection | None = None,
) -> Drawn:
    """Images [C, H, W, D or D + 1], alphas [C, H, W, 1] and meta of Gaussians seen by C cameras.

    Arguments and image are those of gsplat 1.5.3's `rasterization`: means [N, 3]; quats [N, 4] w, x, y, z;
    scales [N, 3]; opacities [N] 0..1; colors [N, D] or [C, N, D], or with sh_degree coefficients [N, K, 3];
    viewmats [C, 4, 4] world to camera, OpenCV axes; Ks [C, 3, 3], for "ortho" in pixels per metre;
    backgrounds [C, D]. Depths (last channel; blended, for "ED" divided by alpha) are along the camera's z.
    projection: cameras of another kind, in place of viewmats, Ks and camera_model (which still are checked).
    meta: means2d [C, N, 2] (keeps its gradient after `retain_grad()`; with absgrad also `.absgrad` after
    backward), radii [C, N, 2], depths [C, N], width, height, n_cameras, backend and its reason; if asked
    for, without gradients: median_depth [C, H, W] (of the Gaussian behind which at most half of the light is
    left; nan where more is), weights [N] (sum over all pixels of alpha times transmittance).
    Raises BadInput, NotFound (back end), MissingExtra (gsplat).
    """
    check.size(width, height)
    check.words(render_mode, rasterize_mode, camera_model)
    check.tensors(means, quats, scales, opacities, viewmats, Ks)
    channels = check.colours(colors, means, len(viewmats), sh_degree)
    if backgrounds is not None:
        check.backgrounds(backgrounds, means, len(viewmats), channels)
    choice = choose(backend, means.device)
    drawing = module(choice.name)
    look: dict[str, Any] = {
        "sh_degree": sh_degree,
        "backgrounds": backgrounds,
        "render_mode": render_mode,
        "rasterize_mode": rasterize_mode,
    }
    asked: dict[str, Any] = {"median_depth": median_depth, "weights": weights, "absgrad": absgrad}
    limits = Limits(near_plane, far_plane, radius_clip, eps2d)
    given = Given(means, quats, scales, opacities, colors, viewmats, Ks, width, height)
    if projection is not None:
        images, alphas, meta = compose(
            drawing.rasterize_2d, projection, given, limits=limits, **look, **asked
        )
    else:
        images, alphas, meta = drawing.rasterize(
            given, limits=limits, camera_model=camera_model, **look, **asked
        )
    facts = {"width": width, "height": height, "n_cameras": len(viewmats)}
    return images, alphas, meta | facts | {"backend": choice.name, "reason": choice.reason}
