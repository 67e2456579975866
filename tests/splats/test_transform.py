"""A model that is turned looks the same from where the turned eye is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from geolab.errors import BadInput
from geolab.splats import harmonics, io
from geolab.splats.gaussians import Gaussians
from geolab.splats.transform import transform

FIELDS = ("means", "quats", "log_scales", "logit_opacities", "sh")


def colour(sh: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Term by term, with the constants of Kerbl et al.'s code: the slow, independent twin of `harmonics`."""
    x, y, z = direction
    c1, c2, c3 = (
        0.4886025119029199,
        (
            1.0925484305920792, -1.0925484305920792, 0.31539156525252005, -1.0925484305920792,
            0.5462742152960396,
        ),
        (
            -0.5900435899266435, 2.890611442640554, -0.4570457994644658, 0.3731763325901154,
            -0.4570457994644658, 1.445305721320277, -0.5900435899266435,
        ),
    )  # fmt: skip
    basis = [
        0.28209479177387814, -c1 * y, c1 * z, -c1 * x,
        c2[0] * x * y, c2[1] * y * z, c2[2] * (2 * z * z - x * x - y * y), c2[3] * x * z,
        c2[4] * (x * x - y * y),
        c3[0] * y * (3 * x * x - y * y), c3[1] * x * y * z, c3[2] * y * (4 * z * z - x * x - y * y),
        c3[3] * z * (2 * z * z - 3 * x * x - 3 * y * y), c3[4] * x * (4 * z * z - x * x - y * y),
        c3[5] * z * (x * x - y * y), c3[6] * x * (x * x - 3 * y * y),
    ]  # fmt: skip
    return np.array(basis[: len(sh)]) @ sh


def made(degree: int = 3, count: int = 5) -> Gaussians:
    drawn = torch.Generator().manual_seed(degree)
    shapes = [(count, 3), (count, 4), (count, 3), (count,), (count, (degree + 1) ** 2, 3)]
    return Gaussians(*(torch.randn(*s, generator=drawn, dtype=torch.float64) for s in shapes))


def covariance(gaussians: Gaussians) -> np.ndarray:
    axes = Rotation.from_quat(np.roll(gaussians.quats.numpy(), -1, axis=1)).as_matrix()
    spread = axes * gaussians.scales.numpy()[:, None]
    return spread @ spread.transpose(0, 2, 1)


TURNS = [Rotation.random(random_state=seed).as_matrix() for seed in range(3)]
TURNS += [np.diag([1.0, -1, -1]), np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]])]


def test_the_basis_is_that_of_3dgs():
    for direction in Rotation.random(9, random_state=1).as_matrix()[:, 0]:
        for degree in range(4):
            sh = np.eye((degree + 1) ** 2)
            np.testing.assert_allclose(
                harmonics.basis(direction, degree), colour(sh, direction), rtol=0, atol=1e-15
            )


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_colours_turn_with_the_model(turn, degree):
    before, after = made(degree), transform(made(degree), turn)
    for direction in Rotation.random(5, random_state=2).as_matrix()[:, 0]:
        for one, other in zip(before.sh.numpy(), after.sh.numpy(), strict=True):
            np.testing.assert_allclose(
                colour(other, turn @ direction), colour(one, direction), rtol=0, atol=1e-12
            )


@pytest.mark.parametrize("turn", TURNS)
def test_places_and_shapes_turn_grow_and_move(turn):
    before = made()
    after = transform(before, turn, 2.5, [1.0, -2.0, 30.0])
    np.testing.assert_allclose(after.means, 2.5 * before.means.numpy() @ turn.T + [1, -2, 30], atol=1e-12)
    np.testing.assert_allclose(
        covariance(after), 2.5**2 * turn @ covariance(before) @ turn.T, rtol=1e-9, atol=1e-12
    )
    assert torch.equal(after.logit_opacities, before.logit_opacities)
    np.testing.assert_allclose(after.quats.norm(dim=1), before.quats.norm(dim=1))


def test_a_turned_eye_sees_the_same_picture():
    """Through the rasterizer: model and camera turned, grown and moved together."""
    from geolab.splats.rasterize import render
    from geolab.splats.views import Camera

    K = np.array([[40.0, 0, 21], [0, 44, 17], [0, 0, 1]])
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = TURNS[1], [0.3, -0.2, 6.0]
    model = made(count=30).map(torch.Tensor.float)
    turn, growth, shift = TURNS[0], 2.0, np.array([5.0, -3.0, 8.0])
    there = np.eye(4)
    there[:3, :3] = pose[:3, :3] @ turn.T
    there[:3, 3] = growth * pose[:3, 3] - there[:3, :3] @ shift
    before = render(model, Camera(40, 33, K, pose), backend="cpu")
    after = render(transform(model, turn, growth, shift), Camera(40, 33, K, there), backend="cpu")
    assert before.rgb.max() > 0.3
    np.testing.assert_allclose(after.rgb, before.rgb, rtol=0, atol=2e-5)
    np.testing.assert_allclose(after.depth, growth * before.depth, rtol=0, atol=1e-3)


def test_two_turns_are_their_product_and_back_is_where_it_was():
    one, other = TURNS[0], TURNS[1]
    twice = transform(transform(made(), one, 2.0, [1, 2, 3]), other, 0.5, [4, 5, 6])
    once = transform(made(), other @ one, 1.0, 0.5 * other @ [1, 2, 3] + [4, 5, 6])
    back = transform(transform(made(), one), one.T)
    for name in FIELDS:
        if name == "quats":  # q and -q are the same
            turned = torch.einsum("nk,nk->n", twice.quats, once.quats).abs()
            np.testing.assert_allclose(turned, twice.quats.square().sum(1), rtol=1e-12)
            continue
        np.testing.assert_allclose(getattr(twice, name), getattr(once, name), atol=1e-12)
        np.testing.assert_allclose(getattr(back, name), getattr(made(), name), atol=1e-12)


def test_no_turn_changes_nothing():
    still = transform(made(), np.eye(3))
    for name in FIELDS:
        np.testing.assert_allclose(getattr(still, name), getattr(made(), name), rtol=0, atol=1e-14)


def test_the_dtype_stays():
    assert transform(made().map(torch.Tensor.float), TURNS[0]).sh.dtype == torch.float32
    assert io.rotate is transform


@pytest.mark.parametrize(
    ("rotation", "scale", "shift", "reason"),
    [
        (np.diag([1.0, 1, -1]), 1.0, [0, 0, 0], "a mirror"),
        (2 * np.eye(3), 1.0, [0, 0, 0], "not orthonormal"),
        (np.full((3, 3), np.nan), 1.0, [0, 0, 0], "finite matrix"),
        (np.eye(4), 1.0, [0, 0, 0], "finite matrix"),
        (np.eye(3), -1.0, [0, 0, 0], "above 0"),
        (np.eye(3), np.inf, [0, 0, 0], "above 0"),
        (np.eye(3), 1.0, [0, 0], "three finite numbers"),
    ],
)
def test_what_is_no_turn_is_refused(rotation, scale, shift, reason):
    with pytest.raises(BadInput, match=reason):
        transform(made(), rotation, scale, shift)
