"""The loss: equal to its slow twin, with the gradient of its value."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from geolab.splats.train import ssim
from geolab.splats.train.losses import Judge, photometric, transparency

SHAPE = (30, 41, 3)


def pair(dtype: type = np.float64) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.random(SHAPE)
    return x.astype(dtype), np.clip(x + 0.2 * rng.standard_normal(SHAPE), 0, 1).astype(dtype)


def test_similarity_is_that_of_skimage() -> None:
    x, y = pair()
    ours = ssim.similarity(x, y, None, np.empty_like(x), ssim.Workspace(*SHAPE[:2], np.float64))
    theirs = structural_similarity(
        x, y, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1, channel_axis=2
    )
    assert ours == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("exposed", [False, True])
def test_loss_and_gradients_are_those_of_torch(masked: bool, exposed: bool) -> None:
    x, y = (torch.from_numpy(a) for a in pair())
    keep = torch.rand(SHAPE[:2], generator=torch.Generator().manual_seed(1)) > 0.3 if masked else None
    matrix = torch.eye(3, 4, dtype=torch.float64)
    if exposed:
        matrix = matrix + 0.1 * torch.randn(3, 4, generator=torch.Generator().manual_seed(2)).double()
    found = []
    for loss in (Judge(), photometric):
        leaf, affine = x.clone().requires_grad_(), matrix.clone().requires_grad_()
        value = loss(leaf, y, keep=keep, exposure=affine)
        (2 * value).backward()
        assert leaf.grad is not None
        assert affine.grad is not None
        found.append((value.item(), leaf.grad, affine.grad))
    (value, grad, by_exposure), (slow_value, slow_grad, slow_by_exposure) = found
    assert value == pytest.approx(slow_value, rel=1e-12)
    torch.testing.assert_close(grad, slow_grad, rtol=1e-8, atol=1e-12)
    torch.testing.assert_close(by_exposure, slow_by_exposure, rtol=1e-8, atol=1e-10)


def test_masked_pixels_have_no_influence() -> None:
    x, y = (torch.from_numpy(a) for a in pair(np.float32))
    keep = torch.ones(SHAPE[:2], dtype=torch.bool)
    keep[8:20, 10:25] = False
    found = []
    for painted in (y, torch.where(keep[..., None], y, 1 - y)):
        leaf = x.clone().requires_grad_()
        loss = Judge()(leaf, painted, keep=keep)
        loss.backward()
        assert leaf.grad is not None
        assert (leaf.grad[~keep] == 0).all()
        found.append((loss.item(), leaf.grad))
    assert found[0][0] == found[1][0]
    assert torch.equal(found[0][1], found[1][1])


def test_a_loss_of_pixels_that_are_no_numbers_is_none() -> None:
    x, y = (torch.from_numpy(a) for a in pair(np.float32))
    x[3, 4, 1] = torch.nan
    assert Judge()(x, y).isnan()


def test_equal_images_cost_nothing() -> None:
    x = torch.from_numpy(pair(np.float32)[0])
    assert Judge()(x, x).item() == pytest.approx(0, abs=1e-6)


def test_transparency_is_the_light_that_passes_where_pixels_count():
    alpha = torch.tensor([[1.0, 0.5], [0.0, 0.9]])
    keep = torch.tensor([[True, True], [False, True]])
    assert float(transparency(alpha)) == pytest.approx(0.4)
    assert float(transparency(alpha, keep)) == pytest.approx(0.2)
    assert float(transparency(alpha, torch.zeros(2, 2, dtype=torch.bool))) == 0
