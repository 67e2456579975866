"""Pictures, stills and videos of a small model."""

from __future__ import annotations

import hashlib
import math
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from geolab.errors import BadInput
from geolab.splats import rasterize, render, video
from geolab.splats.gaussians import SH_C0, Gaussians
from geolab.splats.pathfile import CameraPath
from geolab.splats.render import Look
from geolab.splats.views import Camera


def model() -> Gaussians:
    """Four balls: red to the east, green to the north, blue above, white in the middle."""
    places = [[3.0, 0, 0], [0, 3, 0], [0, 0, 3], [0, 0, 0]]
    colours = torch.tensor([[0.9, 0.1, 0.1], [0.1, 0.9, 0.1], [0.1, 0.1, 0.9], [0.9, 0.9, 0.9]])
    return Gaussians(
        torch.tensor(places), torch.tensor([[1.0, 0, 0, 0]]).repeat(4, 1), torch.full((4, 3), math.log(0.4)),
        torch.full((4,), 5.0), ((colours - 0.5) / SH_C0)[:, None],
    )  # fmt: skip


def around(n: int = 6, width: int = 97, height: int = 64) -> tuple[Camera, ...]:
    K = render.pinhole(width, height, 50)
    turn = 2 * np.pi * np.arange(n) / n
    return tuple(
        render.look_at((12 * np.cos(a), 12 * np.sin(a), 5), (0, 0, 1), K=K, width=width, height=height)
        for a in turn
    )


def pictures(path: Path, width: int, height: int) -> np.ndarray:
    command = [video.ffmpeg(), "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"]
    done = subprocess.run(command, capture_output=True, check=True)
    return np.frombuffer(done.stdout, np.uint8).reshape(-1, height, width, 3)


def test_a_picture_is_what_the_rasterizer_draws_over_the_background() -> None:
    camera = around()[0]
    drawn = rasterize.render(model(), camera)
    seen = render.picture(model(), camera, Look(background=(0.2, 0.4, 0.6)))
    expected = drawn.rgb + (1 - drawn.alpha[..., None]) * np.array([0.2, 0.4, 0.6])
    assert np.abs(seen / 255 - np.clip(expected, 0, 1)).max() < 0.003
    assert seen.shape == (64, 97, 3)
    assert seen[0, 0].tolist() == [51, 102, 153]


def test_frames_come_one_by_one_and_say_how_far_they_are() -> None:
    shots = render.frames(model(), around())
    first = next(shots)
    assert (first.done, first.total) == (1, 6)
    rest = list(shots)
    assert rest[-1].progress == 1
    assert not (rest[0].picture == first.picture).all()


def test_stills_are_files_that_hold_the_pictures(tmp_path: Path) -> None:
    shots = list(render.stills(model(), around(3), tmp_path / "new"))
    names = ["still-0001.png", "still-0002.png", "still-0003.png"]
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == names
    for shot, name in zip(shots, names, strict=True):
        assert shot.path == tmp_path / "new" / name
        assert (np.asarray(Image.open(shot.path)) == shot.picture).all()


def test_a_video_along_an_orbit_shows_what_the_cameras_see(tmp_path: Path) -> None:
    cameras = render.orbit(around(), frames=10, width=97, height=64)
    shots = list(render.film(model(), CameraPath(cameras, fps=15), tmp_path / "orbit.mp4"))
    assert [s.path for s in shots[:-1]] == [None] * 9
    assert shots[-1].path == tmp_path / "orbit.mp4"
    got = pictures(tmp_path / "orbit.mp4", 96, 64)
    assert len(got) == 10
    for shot, picture in zip(shots, got, strict=True):
        assert np.abs(shot.picture[:, :96].astype(int) - picture).mean() < 4


def test_the_same_model_and_path_give_the_same_video(tmp_path: Path) -> None:
    for name in ("a", "b"):
        render.video(model(), around(), tmp_path / f"{name}.mp4")
    sums = {hashlib.sha256(p.read_bytes()).hexdigest() for p in tmp_path.iterdir()}
    assert len(sums) == 1


def test_a_film_that_is_given_up_leaves_nothing(tmp_path: Path) -> None:
    shots = render.film(model(), around(), tmp_path / "v.mp4")
    next(shots)
    shots.close()
    assert not list(tmp_path.iterdir())


def test_no_cameras_and_impossible_colours_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="path: found no cameras"):
        next(render.film(model(), (), tmp_path / "v.mp4"))
    with pytest.raises(BadInput, match="path: found no cameras"):
        next(render.frames(model(), CameraPath(())))
    with pytest.raises(BadInput, match="background"):
        Look(background=(0, 0, 2))
    assert not list(tmp_path.iterdir())
