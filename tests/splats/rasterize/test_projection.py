"""Projection and colour against gsplat's own pure-torch code, and a camera of another kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from geolab.errors import BadInput
from geolab.splats.rasterize import Linear, harmonics
from geolab.splats.rasterize.compose import camera
from geolab.splats.rasterize.projection import Limits, Orthographic, covariances, ellipses

Make = Callable[..., Any]


@pytest.fixture(scope="module")
def twin() -> ModuleType:
    """gsplat's functions in torch, which need no CUDA; skips aloud without gsplat."""
    return pytest.importorskip("gsplat.cuda._torch_impl", reason="the splats extra is not installed")


def _projected(scene: Any, opacities: Tensor, blend: str) -> Any:
    i, size = scene.inputs, (scene.words["width"], scene.words["height"])
    projection = camera(scene.words["camera_model"], i["viewmats"], i["Ks"], *size)
    linear = projection(i["means"], 0.01)
    return ellipses(linear, covariances(i["quats"], i["scales"]), opacities, size, Limits(), blend=blend)


@pytest.mark.parametrize("model", ["pinhole", "ortho"])
def test_ellipses_and_gradients_are_those_of_gsplat(make_crowd: Make, twin: ModuleType, model: str) -> None:
    scene = make_crowd(n=150, ortho=model == "ortho", spread=0.3)
    wide = torch.tensor([4.0, 3.0, 1.0], dtype=torch.float64)
    scene = scene.given(means=scene.inputs["means"] * wide)
    ours = _ours(scene)
    theirs = _of_gsplat(twin, scene, model)
    seen = (ours[4] > 0).all(dim=-1) & (theirs[4] > 0).all(dim=-1)
    assert 0.3 < seen.double().mean() < 0.95
    found = _slopes(_ours, scene, seen)
    expected = _slopes(partial(_of_gsplat, twin, model=model), scene, seen)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9 * float(b.abs().max()))


def _slopes(project: Callable[..., tuple[Tensor, ...]], scene: Any, seen: Tensor) -> list[Tensor]:
    """Values where seen, and gradients of a random weighing of them."""
    leaves = {n: scene.inputs[n].clone().requires_grad_() for n in ("means", "quats", "scales", "viewmats")}
    found = [t[seen] for t in project(scene.given(**leaves))[:4]]
    random = torch.Generator().manual_seed(2)
    weighed = [(t * torch.randn(t.shape, generator=random, dtype=t.dtype)).sum() for t in found]
    gradients = torch.autograd.grad(torch.stack(weighed).sum(), list(leaves.values()))
    return [t.detach() for t in (*found, *gradients)]


def _ours(scene: Any) -> tuple[Tensor, ...]:
    made = _projected(scene, torch.ones(len(scene.inputs["means"]), dtype=torch.float64), "antialiased")
    return made.means2d, made.conics, made.depths, made.opacities, made.radii


def _of_gsplat(twin: ModuleType, scene: Any, model: str) -> tuple[Tensor, ...]:
    i = scene.inputs
    covars, _ = twin._quat_scale_to_covar_preci(i["quats"], i["scales"], True, False, triu=False)
    radii, means2d, depths, conics, compensations = twin._fully_fused_projection(
        i["means"], covars, i["viewmats"], i["Ks"], scene.words["width"], scene.words["height"],
        calc_compensations=True, camera_model=model,
    )  # fmt: skip
    return means2d, conics, depths, compensations, radii


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_harmonics_and_their_gradients_are_those_of_gsplat(twin: ModuleType, degree: int) -> None:
    torch.manual_seed(degree)
    sh = torch.randn(40, 16, 3, dtype=torch.float64)
    directions = 3 * torch.randn(2, 40, 3, dtype=torch.float64)
    results = []
    for ours in (True, False):
        leaves = sh.clone().requires_grad_(), directions.clone().requires_grad_()
        if ours:
            found = harmonics.colours(degree, leaves[1], leaves[0])
        else:
            seen = twin._spherical_harmonics(degree, leaves[1], leaves[0].expand(2, -1, -1, -1))
            found = (seen + 0.5).clamp(min=0)
        (found * torch.arange(240.0, dtype=torch.float64).reshape(2, 40, 3)).sum().backward()
        along = leaves[1].grad if degree else torch.zeros(())
        results.append((found.detach(), leaves[0].grad, along))
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_harmonics_are_orthonormal_over_the_sphere() -> None:
    z, weigh = (torch.from_numpy(t) for t in np.polynomial.legendre.leggauss(8))
    turn = torch.arange(16, dtype=torch.float64) * (2 * torch.pi / 16)
    flat = (1 - z**2).sqrt()[:, None]
    places = torch.stack([flat * turn.cos(), flat * turn.sin(), z[:, None].expand(-1, 16)], dim=-1)
    values = harmonics.basis(3, places.reshape(-1, 3))  # [128, 16]
    area = weigh.repeat_interleave(16) * (2 * torch.pi / 16)
    torch.testing.assert_close(values.T @ (values * area[:, None]), torch.eye(16, dtype=torch.float64))


@pytest.mark.parametrize("blend", ["classic", "antialiased"])
def test_boxes_hold_all_that_shows(make_crowd: Make, blend: str) -> None:
    """Without any box, alpha is 1/255 or more only inside the boxes of the ellipses."""
    scene = make_crowd(n=200, width=60, height=41, spread=0.08)
    shapes = _projected(scene, scene.inputs["opacities"], blend)
    y, x = torch.meshgrid(torch.arange(41) + 0.5, torch.arange(60) + 0.5, indexing="ij")
    delta = torch.stack([x, y], dim=-1)[None, None] - shapes.means2d[:, :, None, None]  # [C, N, H, W, 2]
    dx, dy = delta.unbind(-1)
    a, b, c = (t[..., None, None] for t in shapes.conics.unbind(-1))
    alpha = shapes.opacities[..., None, None] * (-0.5 * (a * dx * dx + c * dy * dy) - b * dx * dy).exp()
    inside = (delta.abs() <= shapes.radii[:, :, None, None]).all(dim=-1)
    assert (alpha >= 1 / 255).any()
    assert not ((alpha >= 1 / 255) & ~inside).any()


@dataclass(frozen=True)
class Affine:
    """An affine camera [2, 4], as of a satellite: pixels = A (x, y, z, 1); depth = -z."""

    matrix: Tensor

    def __call__(self, means: Tensor, near: float) -> Linear:
        means2d = means @ self.matrix[:, :3].T + self.matrix[:, 3]
        down = means.new_tensor([0, 0, -1.0])
        slope = self.matrix[:, :3].expand(1, len(means), 2, 3)
        return Linear(means2d[None], slope, -means[None, :, 2], down.expand(1, len(means), 3))


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_another_kind_of_camera_is_one_more_projection(make_crowd: Make, backend: str) -> None:
    """Looking straight down, an affine camera is the orthographic one."""
    scene = make_crowd(n=80, cameras=1, ortho=True)
    down = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64))[None]
    scene = scene.given(viewmats=down, means=scene.inputs["means"] - torch.tensor([0, 0, 3.0]))
    K = scene.inputs["Ks"][0]
    matrix = torch.zeros(2, 4, dtype=torch.float64)
    matrix[0, 0], matrix[0, 3], matrix[1, 1], matrix[1, 3] = K[0, 0], K[0, 2], -K[1, 1], K[1, 2]
    expected = scene.draw(backend, render_mode="RGB+ED")[0]
    found = scene.draw(backend, render_mode="RGB+ED", projection=Affine(matrix))[0]
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    assert expected[..., :3].std() > 0.05
    means = scene.inputs["means"].clone().requires_grad_()
    scene.given(means=means).draw(backend, projection=Affine(matrix))[0].square().sum().backward()
    assert means.grad is not None
    assert means.grad[:, :2].abs().max() > 0


def test_an_orthographic_camera_ignores_depth() -> None:
    K = torch.tensor([[[20.0, 0, 5], [0, 30.0, 7], [0, 0, 1]]])
    linear = Orthographic(torch.eye(4)[None], K)(torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, -300.0]]), 0.01)
    assert linear.means2d.tolist() == [[[25.0, 67.0], [25.0, 67.0]]]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"width": 0}, "image size: found 0 x 26, expected 1 to 65536 pixels a side"),
        ({"render_mode": "RGBD"}, "render_mode: found 'RGBD', expected one of RGB, D, ED, RGB+D, RGB+ED"),
        ({"rasterize_mode": "old"}, "rasterize_mode: found 'old', expected one of classic, antialiased"),
        ({"camera_model": "fisheye"}, "camera_model: found 'fisheye', expected one of pinhole, ortho"),
        ({"sh_degree": 4}, "sh_degree: found 4, expected 0, 1, 2 or 3"),
        ({"sh_degree": 0}, "colors: found shape (9, 3), expected (9, 1 or more, 3) for spherical harmonics"),
        ({"quats": torch.ones(9, 3)}, "quats: found shape (9, 3), expected (9, 4)"),
        (
            {"opacities": torch.ones(9)},
            "opacities: found torch.float32 on cpu, expected torch.float64 on cpu",
        ),
        ({"colors": torch.ones(8, 3).double()}, "colors: found shape (8, 3), expected (9, D) or (2, 9, D)"),
        ({"backgrounds": torch.ones(3).double()}, "backgrounds: found shape (3,), expected (2, 3)"),
    ],
)
def test_what_can_not_be_drawn_is_refused(make_crowd: Make, changed: dict[str, Any], message: str) -> None:
    scene = make_crowd(n=9)
    tensors = {name: v for name, v in changed.items() if isinstance(v, Tensor)}
    words = {name: v for name, v in changed.items() if name not in tensors}
    with pytest.raises(BadInput) as caught:
        scene.given(**tensors).draw("reference", **words)
    assert str(caught.value).startswith(message)
