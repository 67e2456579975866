"""The model's arrays, and the scene they come from."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from geolab.errors import BadInput
from geolab.splats.gaussians import Gaussians
from geolab.splats.views import Camera, Scene, View


def some(n: int = 5, k: int = 4) -> Gaussians:
    return Gaussians(
        torch.zeros(n, 3), torch.ones(n, 4), torch.zeros(n, 3), torch.zeros(n), torch.zeros(n, k, 3)
    )


def test_scales_and_opacities_are_those_of_the_stored_parameters():
    model = some()
    assert len(model) == 5
    assert model.sh_degree == 1
    assert torch.equal(model.scales, torch.ones(5, 3))
    assert torch.equal(model.opacities, torch.full((5,), 0.5))


def test_a_selection_takes_the_same_rows_of_every_array():
    rows = torch.arange(5.0)
    shapes = ((3,), (4,), (3,), (), (1, 3))
    model = Gaussians(*(rows.reshape(5, *[1] * len(s)).expand(5, *s).clone() for s in shapes))
    chosen = model.map(lambda t: t[[3, 1]])
    assert [t[:, 0].tolist() for t in (chosen.means, chosen.quats, chosen.log_scales)] == [[3.0, 1.0]] * 3
    assert chosen.sh[:, 0, 0].tolist() == [3.0, 1.0]


@pytest.mark.parametrize("wrong", [{"k": 5}, {"k": 2}])
def test_a_number_of_coefficients_that_is_no_degree_is_refused(wrong):
    with pytest.raises(BadInput, match=r"^Gaussians: found arrays of"):
        some(**wrong)


def test_arrays_of_different_lengths_are_refused():
    with pytest.raises(BadInput, match=r"expected \[N, 3\]"):
        Gaussians(
            torch.zeros(5, 3), torch.ones(4, 4), torch.zeros(5, 3), torch.zeros(5), torch.zeros(5, 1, 3)
        )


def view(name: str, position: tuple[float, float, float]) -> View:
    matrix = np.diag([1.0, -1, -1, 1])  # looks straight down
    matrix[:3, 3] = -matrix[:3, :3] @ np.array(position)
    return View(name, Path(name), Camera(40, 30, np.diag([50.0, 50, 1]), matrix))


def test_a_scene_knows_its_parts_and_its_extent():
    views = tuple(view(f"{k}.jpg", (30.0 * k, 5.0, 60.0)) for k in range(3))
    scene = Scene(views, held_out=frozenset({"1.jpg"}))
    assert [v.name for v in scene.training] == ["0.jpg", "2.jpg"]
    assert [v.name for v in scene.testing] == ["1.jpg"]
    np.testing.assert_allclose(scene.positions[2], [60, 5, 60])
    assert scene.extent == pytest.approx(1.1 * 30)
    assert math.isfinite(scene.extent)
