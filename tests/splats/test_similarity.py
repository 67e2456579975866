"""Similarities, against brute force and in spite of outliers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from geolab.splats.similarity import Similarity, exact, refine, robust


@pytest.fixture
def rng():
    return np.random.default_rng(4)


def some(rng) -> Similarity:
    return Similarity(
        float(rng.uniform(0.2, 5)), Rotation.random(random_state=3).as_matrix(), rng.normal(size=3) * 50
    )


def test_exact_similarity_is_found_again(rng):
    truth, points = some(rng), rng.normal(size=(7, 3)) * [30, 20, 4]
    found = exact(points, truth.apply(points))
    assert found.scale == pytest.approx(truth.scale)
    np.testing.assert_allclose(found.rotation, truth.rotation, atol=1e-12)
    np.testing.assert_allclose(found.translation, truth.translation, atol=1e-9)


def test_least_squares_equal_a_general_minimiser(rng):
    truth, points = some(rng), rng.normal(size=(9, 3)) * [30, 20, 4]
    target = truth.apply(points) + rng.normal(size=(9, 3))
    found = exact(points, target)

    def cost(p):
        turned = Similarity(np.exp(p[3]), Rotation.from_rotvec(p[:3]).as_matrix(), p[4:])
        return ((turned.apply(points) - target) ** 2).sum()

    start = [*Rotation.from_matrix(truth.rotation).as_rotvec(), np.log(truth.scale), *truth.translation]
    best = minimize(
        cost, start, method="Powell", options={"maxiter": 20_000, "ftol": 1e-14, "xtol": 1e-10}
    ).fun
    assert ((found.apply(points) - target) ** 2).sum() <= best * (1 + 1e-6)


def test_points_in_a_plane_are_not_mirrored(rng):
    truth, points = some(rng), rng.normal(size=(6, 3)) * [30, 20, 0]
    assert np.linalg.det(exact(points, truth.apply(points)).rotation) == pytest.approx(1)


@pytest.mark.parametrize("wrong", [1, 8])
def test_outliers_are_found_and_do_not_count(rng, wrong):
    truth, points = some(rng), rng.normal(size=(20, 3)) * [40, 30, 5]
    target = truth.apply(points) + rng.normal(size=(20, 3)) * 0.5
    target[:wrong] += rng.uniform(60, 200, (wrong, 3))
    found, used = robust(points, target, np.full((20, 3), 0.5))
    assert not used[:wrong].any()
    assert used[wrong:].sum() >= 18 - wrong
    assert np.abs(found.apply(points[wrong:]) - truth.apply(points[wrong:])).max() < 1.5


def test_the_better_known_axis_decides(rng):
    points = rng.normal(size=(30, 3)) * [40, 30, 5]
    target = points + rng.normal(size=(30, 3)) * [0.01, 0.01, 5]
    found = refine(exact(points, target), points, target, np.tile([0.01, 0.01, 5.0], (30, 1)))
    assert abs(found.scale - 1) < 1e-3
