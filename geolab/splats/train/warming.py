"""Compile what training compiles, so that the first training does not wait for it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from geolab.splats.train.config import TrainConfig
from geolab.splats.train.loop import train
from geolab.splats.views import Camera, Points, Scene, View

WIDTH, HEIGHT = 64, 48
_BETWEEN = 5  # places of the pattern between two photos


def warm() -> None:
    """Train a moment on four small photos of a pattern."""
    rng = np.random.default_rng(0)
    pattern = rng.integers(0, 255, (HEIGHT, WIDTH + 4 * _BETWEEN, 3), dtype=np.uint8)
    ground = rng.uniform((-1, -1, -0.01), (1, 1, 0.01), (200, 3))
    points = Points(ground, np.full((200, 3), 128, np.uint8))
    with tempfile.TemporaryDirectory() as folder:
        views = tuple(_view(Path(folder), k, pattern) for k in range(4))
        for strategy in ("mcmc", "default"):
            config = TrainConfig(
                steps=12, strategy=strategy, cap=500, sh_degree=1, refine_every=4, backend="cpu"
            )
            for _ in train(Scene(views, points, held_out=frozenset({"0.png"})), config=config):
                pass


def _view(folder: Path, number: int, pattern: np.ndarray) -> View:
    path = folder / f"{number}.png"
    Image.fromarray(pattern[:, number * _BETWEEN :][:, :WIDTH]).save(path)
    matrix = np.diag([1.0, -1, -1, 1])
    matrix[:3, 3] = -matrix[:3, :3] @ [number * _BETWEEN / 30, 0, 2]
    K = np.array([[60.0, 0, WIDTH / 2], [0, 60, HEIGHT / 2], [0, 0, 1]])
    return View(path.name, path, Camera(WIDTH, HEIGHT, K, matrix))
