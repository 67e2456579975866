"""Held-out photos beside the model."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from geolab.splats import judge
from geolab.splats.gaussians import Gaussians
from geolab.splats.views import Camera, Scene, View


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """Five photos, black but for one, 20 m over the ground."""
    views = []
    for k in range(5):
        matrix = np.diag([1.0, -1, -1, 1])
        matrix[:3, 3] = -matrix[:3, :3] @ [k, 0, 20]
        path = tmp_path / f"{k}.png"
        Image.new("RGB", (64, 48), "black").save(path)
        views.append(
            View(path.name, path, Camera(64, 48, np.array([[60.0, 0, 32], [0, 60, 24], [0, 0, 1]]), matrix))
        )
    return Scene(tuple(views), held_out=frozenset({"1.png", "3.png"}))


def nothing() -> Gaussians:
    """One Gaussian that no camera sees."""
    one = torch.zeros(1, 3)
    return Gaussians(torch.tensor([[0.0, 0, 900]]), torch.ones(1, 4), one, torch.zeros(1), one[:, None])


def test_the_held_out_views_are_shown_in_the_size_asked_for(scene: Scene):
    found = judge.rows(nothing(), scene, image_px=32)
    assert [name for name, *_ in found] == ["1.png, inf dB", "3.png, inf dB"]
    assert found[0][1].shape == found[0][2].shape == (24, 32, 3)


def test_without_held_out_views_those_of_training_are_shown(scene: Scene):
    found = judge.rows(nothing(), Scene(scene.views), most=2)
    assert [name.split(",")[0] for name, *_ in found] == ["0.png", "2.png"]


def test_psnr_of_a_known_error():
    one = np.zeros((4, 5, 3), np.uint8)
    assert judge.psnr(one, one + np.uint8(255)) == pytest.approx(0)
    assert judge.psnr(one, one + np.uint8(51)) == pytest.approx(20 * np.log10(5))


def test_the_layout_of_a_scene_suits_the_figure(scene: Scene):
    told = judge.layout(scene)
    assert np.allclose(told["positions"], [[k, 0, 20] for k in range(5)])
    assert np.allclose(told["forward"], [0, 0, -1])
    assert told["held_out"] == [False, True, False, True, False]
    assert told["unit"] == ""
    assert told["points"] is None
