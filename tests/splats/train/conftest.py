"""A painted plane seen by a few small cameras, with exact poses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geolab.splats.views import Camera, Points, Scene, View

WIDTH, HEIGHT, FOCAL_PX = 64, 48, 60.0


def colour(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The plane's colour [..., 3], 0..1: no two places look alike, nothing finer than a pixel."""
    red = 0.5 + 0.3 * np.sin(1.7 * x + 0.4 * y) * np.cos(1.1 * y)
    green = 0.5 + 0.3 * np.cos(0.9 * x - 1.3 * y)
    blue = np.where(np.hypot(x - 0.6, y + 0.3) < 1.1, 0.8, 0.25)
    return np.stack([red, green, blue], axis=-1)


def camera(east: float, north: float, up: float, tilt: float = 0.0) -> Camera:
    """Looking down, tilted about the east axis by so many radians."""
    c, s = np.cos(tilt), np.sin(tilt)
    axes = np.array([[1.0, 0, 0], [0, -c, -s], [0, s, -c]])
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = axes, -axes @ np.array([east, north, up])
    K = np.array([[FOCAL_PX, 0, WIDTH / 2], [0, FOCAL_PX, HEIGHT / 2], [0, 0, 1.0]])
    return Camera(WIDTH, HEIGHT, K, matrix)


def photo(seen: Camera) -> np.ndarray:
    """uint8 [H, W, 3]; means of 3 x 3 rays a pixel."""
    v, u = np.mgrid[0 : 3 * HEIGHT, 0 : 3 * WIDTH]
    rays = np.stack([(u + 0.5) / 3, (v + 0.5) / 3, np.ones(u.shape)], -1) @ np.linalg.inv(seen.K).T
    rays = rays @ seen.world_to_camera[:3, :3]
    place = seen.position + rays * (-seen.position[2] / rays[..., 2])[..., None]
    fine = colour(place[..., 0], place[..., 1]).reshape(HEIGHT, 3, WIDTH, 3, 3)
    return np.round(255 * fine.mean(axis=(1, 3))).astype(np.uint8)


@pytest.fixture
def write_scene(tmp_path: Path) -> Callable[..., Scene]:
    """Writes photos of the plane and gives the scene; `gains` brightens photos, `masks` covers them."""

    def write(
        *, gains: dict[int, float] | None = None, masks: dict[int, np.ndarray] | None = None,
        held_out: tuple[int, ...] = (4,), points: int = 400,
    ) -> Scene:  # fmt: skip
        rng = np.random.default_rng(3)
        places = [(x, y) for y in (-0.8, 0.0, 0.8) for x in (-1.0, 0.0, 1.0)]
        views = []
        for k, (x, y) in enumerate(places):
            seen = camera(x, y, 4.0 + 0.3 * (k % 2), tilt=0.2 * (k % 3 - 1))
            rgb = np.clip(photo(seen) * (gains or {}).get(k, 1.0), 0, 255).astype(np.uint8)
            image, mask = tmp_path / f"{k}.png", None
            Image.fromarray(rgb).save(image)
            if masks and k in masks:
                mask = tmp_path / f"{k}-mask.png"
                Image.fromarray(masks[k].astype(np.uint8) * 255).save(mask)
            views.append(View(f"{k}.png", image, seen, mask))
        xyz = np.column_stack([rng.uniform(-3.6, 3.6, points), rng.uniform(-3, 3, points), np.zeros(points)])
        rgb = np.round(255 * colour(xyz[:, 0], xyz[:, 1])).astype(np.uint8)
        xyz[:, 2] = 0.05 * rng.standard_normal(points)
        names = frozenset(f"{k}.png" for k in held_out)
        return Scene(tuple(views), Points(xyz, rgb), held_out=names, source="a painted plane")

    return write
