"""The dense reference against a loop over pixels and Gaussians in plain Python, written from the papers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

Make = Callable[..., Any]


def _loop(scene: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Image [H, W, D + 1] with depth, alpha, median depth and weights of one camera without background."""
    i = {name: t.numpy() for name, t in scene.inputs.items()}
    width, height = scene.words["width"], scene.words["height"]
    view, K = i["viewmats"][0], i["Ks"][0]
    flat = []
    for g in range(len(i["means"])):
        x, y, z = view[:3, :3] @ i["means"][g] + view[:3, 3]
        w, qx, qy, qz = i["quats"][g] / np.linalg.norm(i["quats"][g])
        cross = np.array([[0, -qz, qy], [qz, 0, -qx], [-qy, qx, 0]])
        axes = view[:3, :3] @ (np.eye(3) + 2 * w * cross + 2 * cross @ cross)  # Rodrigues
        covar = axes @ np.diag(i["scales"][g] ** 2) @ axes.T
        if scene.words["camera_model"] == "ortho":
            place = np.array([K[0, 0] * x + K[0, 2], K[1, 1] * y + K[1, 2]])
            slope = np.array([[K[0, 0], 0, 0], [0, K[1, 1], 0]])
        else:
            place = np.array([K[0, 0] * x / z + K[0, 2], K[1, 1] * y / z + K[1, 2]])
            slope = np.array([[K[0, 0] / z, 0, -K[0, 0] * x / z**2], [0, K[1, 1] / z, -K[1, 1] * y / z**2]])
        inverse = np.linalg.inv(slope @ covar @ slope.T + 0.3 * np.eye(2))
        flat.append((z, g, place, inverse))
    image = np.zeros((height, width, i["colors"].shape[1] + 1))
    alphas, median, weights = np.zeros((height, width)), np.full((height, width), np.nan), np.zeros(len(flat))
    for row in range(height):
        for column in range(width):
            light = 1.0
            for z, g, place, inverse in sorted(flat, key=lambda f: (f[0], f[1])):
                d = np.array([column + 0.5, row + 0.5]) - place
                alpha = min(0.999, i["opacities"][g] * math.exp(-0.5 * d @ inverse @ d))
                if alpha < 1 / 255:
                    continue
                if light * (1 - alpha) <= 1e-4:
                    break
                image[row, column] += alpha * light * np.append(i["colors"][g], z)
                weights[g] += alpha * light
                if light > 0.5 >= light * (1 - alpha):
                    median[row, column] = z
                light *= 1 - alpha
            alphas[row, column] = 1 - light
    return image, alphas, median, weights


@pytest.mark.parametrize("ortho", [False, True])
@pytest.mark.parametrize("opaque", [0.0, 0.7])
def test_the_reference_draws_what_a_loop_draws(make_crowd: Make, ortho: bool, opaque: float) -> None:
    scene = make_crowd(
        n=40, width=19, height=13, cameras=1, ortho=ortho, opaque=opaque, spread=0.3, channels=2
    )
    scene = scene.given(backgrounds=torch.zeros(1, 2, dtype=torch.float64)).told(render_mode="RGB+D")
    expected, alphas, median, weights = _loop(scene)
    image, alpha, meta = scene.draw("reference", median_depth=True, weights=True)
    np.testing.assert_allclose(image[0].numpy(), expected, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(alpha[0, ..., 0].numpy(), alphas, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(meta["median_depth"][0].numpy(), median, rtol=1e-12)
    np.testing.assert_allclose(meta["weights"].numpy(), weights, rtol=1e-11, atol=1e-12)


def test_autograd_of_the_reference_is_a_finite_difference(make_crowd: Make) -> None:
    scene = make_crowd(n=12, width=9, height=7, sh_degree=2, spread=0.3).told(
        render_mode="RGB+ED", rasterize_mode="antialiased"
    )
    names = ("means", "quats", "scales", "opacities", "colors", "backgrounds")
    leaves = [scene.inputs[n].clone().requires_grad_() for n in names]

    def draw(*tensors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return scene.given(**dict(zip(names, tensors, strict=True))).draw("reference")[:2]

    assert torch.autograd.gradcheck(draw, leaves, eps=1e-6, atol=1e-5, rtol=1e-4, fast_mode=True)
