"""gsplat on a CUDA device against the CPU back end: images, gradients, median depth, weights; and what of it
can be tried anywhere. Tests marked gpu run by bench/gpu.sh on a machine that has such a device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from geolab.errors import BadInput
from geolab.splats.gaussians import Gaussians
from geolab.splats.rasterize import cuda, render
from geolab.splats.rasterize.compose import camera
from geolab.splats.rasterize.projection import Ellipses, Limits, Pinhole, covariances, ellipses
from geolab.splats.views import Camera

Make = Callable[..., Any]
MODES = ("RGB", "D", "ED", "RGB+D", "RGB+ED")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def _on(device: str, scene: Any) -> Any:
    """The scene in single precision on a device."""
    scene = scene.as_type(torch.float32)
    return scene.given(**{name: t.to(device) for name, t in scene.inputs.items()})


def _relative(found: Tensor, expected: Tensor) -> float:
    """Length of the difference over that of the expected, both as they are in memory of the CPU."""
    found, expected = found.cpu().double(), expected.cpu().double()
    return float((found - expected).norm() / expected.norm().clamp(min=1e-12))


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize("blend", ["classic", "antialiased"])
@pytest.mark.parametrize("ortho", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_gsplat_draws_the_image_of_the_cpu(
    make_crowd: Make, psnr: Make, mode: str, ortho: bool, blend: str
) -> None:
    scene = make_crowd(n=2000, width=203, height=131, ortho=ortho, sh_degree=3, spread=0.06)
    words = {"render_mode": mode, "rasterize_mode": blend}
    images, alphas, _ = _on("cuda", scene).draw("cuda", **words)
    expected, opaque, _ = _on("cpu", scene).draw("cpu", **words)
    scale = 1.0 if mode == "RGB" else 4.0  # depths are about 4 m
    assert psnr(images / scale, expected / scale) > 50
    assert psnr(alphas, opaque) > 50


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize("ortho", [False, True])
@pytest.mark.parametrize("blend", ["classic", "antialiased"])
def test_gradients_of_gsplat_are_near_those_of_the_cpu(make_crowd: Make, ortho: bool, blend: str) -> None:
    scene = make_crowd(n=800, width=100, height=77, ortho=ortho, sh_degree=2)
    words = {"render_mode": "RGB+ED", "rasterize_mode": blend, "absgrad": True}
    found = _on("cuda", scene).gradients("cuda", **words)
    expected = _on("cpu", scene).gradients("cpu", **words)
    for name, gradient in expected.items():
        assert _relative(found[name], gradient) < 0.02, name


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize("opaque", [0.0, 0.6])
def test_median_depth_and_weights_are_those_of_the_cpu(make_crowd: Make, opaque: float) -> None:
    """More Gaussians in a tile than gsplat lists at once (256); pixels that end in the middle."""
    scene = make_crowd(n=3000, width=90, height=70, opaque=opaque, spread=0.2)
    asked = {"median_depth": True, "weights": True}
    _, _, found = _on("cuda", scene).draw("cuda", **asked)
    _, alphas, expected = _on("cpu", scene).draw("cpu", **asked)
    ours, theirs = expected["median_depth"], found["median_depth"].cpu()
    same = (ours == theirs) | (ours.isnan() & theirs.isnan()) | ((ours - theirs).abs() < 1e-5)
    assert same.double().mean() > 0.995  # the others: a Gaussian that passes within rounding of one half
    assert _relative(found["weights"], expected["weights"]) < 1e-3
    assert found["weights"].sum().item() == pytest.approx(alphas.sum().item(), rel=1e-4)


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize("channels", [1, 2, 5, 7])
def test_any_number_of_channels_and_no_harmonics(make_crowd: Make, psnr: Make, channels: int) -> None:
    scene = make_crowd(n=500, channels=channels)
    images, _, _ = _on("cuda", scene).draw("cuda")
    assert psnr(images, _on("cpu", scene).draw("cpu")[0]) > 50


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("degree", [None, 0])
def test_nothing_to_draw_is_the_background_on_cuda_too(
    make_crowd: Make, mode: str, degree: int | None
) -> None:
    scene = make_crowd(n=0, sh_degree=degree).told(median_depth=True, weights=True, render_mode=mode)
    images, alphas, meta = _on("cuda", scene).draw("cuda")
    torch.testing.assert_close(images.cpu(), _on("cpu", scene).draw("reference")[0])
    assert not alphas.any()
    assert meta["median_depth"].isnan().all()
    behind = make_crowd(n=5, cameras=1)
    behind = behind.given(means=behind.inputs["means"] - 50 * behind.inputs["viewmats"][0, 2, :3])
    images, _, meta = _on("cuda", behind).draw("cuda", median_depth=True, weights=True)
    torch.testing.assert_close(images.cpu(), _on("cpu", behind).draw("cpu")[0])
    assert not meta["weights"].any()


@pytest.mark.gpu
@needs_cuda
def test_a_camera_of_another_kind_is_drawn_by_gsplat_too(make_crowd: Make, psnr: Make) -> None:
    scene = _on("cuda", make_crowd(n=500))
    told = scene.inputs
    projection = Pinhole(told["viewmats"], told["Ks"], scene.words["width"], scene.words["height"])
    found = scene.draw("cuda", projection=projection, median_depth=True, weights=True)
    expected = scene.draw("cuda", median_depth=True, weights=True)
    assert psnr(found[0], expected[0]) > 60
    assert _relative(found[2]["weights"], expected[2]["weights"]) < 1e-3


@pytest.mark.gpu
@needs_cuda
def test_tensors_and_back_end_are_on_one_device_but_render_moves_them(make_crowd: Make, psnr: Make) -> None:
    scene = _on("cpu", make_crowd(n=50, sh_degree=0))
    with pytest.raises(BadInput, match="back end cuda: found tensors on cpu, expected tensors on cuda"):
        scene.draw("cuda")
    told = scene.inputs
    model = Gaussians(
        told["means"], told["quats"], told["scales"].log(), told["opacities"].logit(), told["colors"]
    )
    view = Camera(37, 26, told["Ks"][0].double().numpy(), told["viewmats"][0].double().numpy())
    best, plain = render(model, view), render(model.to("cuda"), view, backend="cpu")
    assert psnr(torch.from_numpy(best.rgb), torch.from_numpy(plain.rgb)) > 50


@pytest.mark.gpu
@needs_cuda
def test_double_precision_is_refused_on_cuda(make_crowd: Make) -> None:
    scene = make_crowd(n=5)
    scene = scene.given(**{name: t.cuda() for name, t in scene.inputs.items()})
    with pytest.raises(BadInput, match=r"back end cuda: found torch\.float64, expected float32"):
        scene.draw("cuda")


# ---------------------------------------------------------------- anywhere


def _pairs(
    scene: Any, shapes: Ellipses, first: int, last: int, light: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gaussians first..last, nearest first, at pixels [M], pixel after pixel: as gsplat lists them."""
    width, height = scene.words["width"], scene.words["height"]
    found = []
    for c in range(len(shapes.depths)):
        seen = shapes.visible[c].nonzero()[:, 0]
        order = seen[shapes.depths[c, seen].argsort(stable=True)][first:last]
        for pixel in range(width * height):
            left = float(light[c * width * height + pixel])
            at = torch.full_like(order, pixel)
            alphas = cuda._alphas(shapes, order, at, torch.full_like(order, c), width)
            for g, alpha in zip(order.tolist(), alphas.tolist(), strict=True):
                if alpha < 1 / 255:
                    continue
                if left * (1 - alpha) <= 1e-4:
                    break
                left *= 1 - alpha
                found.append((g, pixel, c))
    gaussian, pixel_ids, image = torch.tensor(found, dtype=torch.int64).reshape(-1, 3).T
    return gaussian, pixel_ids, image


@pytest.mark.parametrize("batch", [7, 1000])
@pytest.mark.parametrize("opaque", [0.0, 0.6])
def test_median_depth_is_found_from_listed_pairs(make_crowd: Make, batch: int, opaque: float) -> None:
    """The arithmetic after gsplat's listing, which needs no device, batch by batch."""
    scene = make_crowd(n=40, width=17, height=11, opaque=opaque, spread=0.25)
    i, size = scene.inputs, (17, 11)
    linear = camera("pinhole", i["viewmats"], i["Ks"], *size)(i["means"], 0.01)
    covars = covariances(i["quats"], i["scales"])
    shapes = ellipses(linear, covars, i["opacities"], size, Limits(), blend="classic")
    median = torch.full((2 * 17 * 11,), torch.nan, dtype=torch.float64)
    light = torch.ones(2 * 17 * 11, dtype=torch.float64)
    for first in range(0, 40, batch):
        going = torch.where(light > cuda.HALF, light, 0.0)
        gaussian, pixel, image = _pairs(scene, shapes, first, first + batch, going)
        if len(gaussian) == 0:
            continue
        alpha = cuda._alphas(shapes, gaussian, pixel, image, 17)
        depths = shapes.depths.flatten()[image * 40 + gaussian]
        light = cuda._pass(light, median, image * 17 * 11 + pixel, alpha, depths)
    expected = scene.draw("reference", median_depth=True)[2]["median_depth"]
    assert expected.isfinite().any()
    torch.testing.assert_close(median.reshape(2, 11, 17), expected, equal_nan=True)


def test_weights_are_the_gradient_of_a_white_image(make_crowd: Make) -> None:
    """What the CUDA back end takes weights to be, held against those that the reference sums up."""
    scene = make_crowd(n=60, channels=1, opaque=0.3)
    scene = scene.given(colors=torch.ones(60, 1, dtype=torch.float64), backgrounds=torch.zeros(2, 1).double())
    white = scene.inputs["colors"].clone().requires_grad_()
    image, _, meta = scene.given(colors=white).draw("reference", weights=True)
    image.sum().backward()
    assert white.grad is not None
    torch.testing.assert_close(white.grad[:, 0], meta["weights"])
