"""The way of a film."""

from pathlib import Path

import numpy as np
import pytest
import torch

from geolab.errors import BadInput, NotFound
from geolab.splats import flight
from geolab.splats.gaussians import Gaussians
from geolab.splats.pathfile import write_path
from geolab.splats.views import Camera

K = np.array([[500.0, 0, 330], [0, 500, 240], [0, 0, 1]])


def cameras() -> list[Camera]:
    made = []
    for k in range(4):
        matrix = np.diag([1.0, -1, -1, 1])
        matrix[:3, 3] = -matrix[:3, :3] @ [10.0 * k, 0, 50]
        made.append(Camera(640, 480, K, matrix))
    return made


def ground() -> Gaussians:
    n = 50
    means = torch.rand(n, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([40.0, 40.0, 0.1])
    return Gaussians(means, torch.ones(n, 4), torch.zeros(n, 3), torch.full((n,), 4.0), torch.zeros(n, 1, 3))


def follow(path: str, shot_by: list[Camera], frames: int = 5):
    return flight.along(path, shot_by, gaussians=ground(), frames=frames, width_px=320, fps=12)


@pytest.mark.parametrize("word", flight.WORDS)
def test_a_word_gives_so_many_frames_of_that_width(word: str):
    found = follow(word, cameras())
    assert len(found.cameras) == 5
    assert {c.width for c in found.cameras} == {320}
    assert found.fps == 12


def test_a_spline_begins_and_ends_at_photos_seen_in_the_new_size():
    found = follow("spline", cameras())
    np.testing.assert_allclose(found.cameras[0].position, [0, 0, 50], atol=1e-9)
    np.testing.assert_allclose(found.cameras[-1].position, [30, 0, 50], atol=1e-9)
    assert found.cameras[0].height == 240
    np.testing.assert_allclose(found.cameras[0].K, [[250, 0, 165], [0, 250, 120], [0, 0, 1]])


def test_a_file_has_its_own_frames(tmp_path: Path):
    file = tmp_path / "path.json"
    middle = np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]])
    centred = [Camera(640, 480, middle, camera.world_to_camera) for camera in cameras()]
    write_path(file, centred, fps=10)
    found = follow(str(file), [])
    assert len(found.cameras) == 4
    assert found.cameras[0].width == 320
    assert found.fps == 10


def test_without_cameras_or_file_it_is_one_line():
    with pytest.raises(BadInput, match="no cameras written with it"):
        follow("orbit", [])
    with pytest.raises(NotFound, match="no camera path 'orbits'"):
        follow("orbits", cameras())


@pytest.mark.parametrize(
    ("count", "expected"), [(1, [0]), (2, [0, 2]), (5, [0, 1, 2, 3, 4]), (9, [0, 1, 2, 3, 4])]
)
def test_some_cameras_of_a_path_are_spread_evenly(count: int, expected: list[int]):
    path = follow("orbit", cameras())
    assert flight.some(path, count) == tuple(path.cameras[k] for k in expected)
