"""Small labelled pairs on disk: squares that appear between two dates of noise and tint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio

Written = Callable[..., Path]


def crude_pair(seed: int, height: int, width: int, bands: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """before, after uint8 [band, y, x] and change 0/1 [y, x]: bright squares come, everything is tinted."""
    rng = np.random.default_rng(seed)
    ground = 90 + 10 * rng.standard_normal((bands, height, width))
    before, after = ground.copy(), 0.8 * ground + 20
    change = np.zeros((height, width), dtype=np.uint8)
    for _ in range(max(3, height * width // 1500)):
        y, x = rng.integers(0, max(1, height - 12)), rng.integers(0, max(1, width - 10))
        square = np.s_[y : y + 12, x : x + 10]
        after[:, *square] = 200
        change[square] = 1
    noise = 6 * rng.standard_normal((2, bands, height, width))
    both = np.clip(np.stack([before, after]) + noise, 0, 255).astype(np.uint8)
    return both[0], both[1], change


def write_image(path: Path, pixels: np.ndarray, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    drivers = {".png": "PNG", ".jpg": "JPEG", ".tif": "GTiff"}
    count, height, width = pixels.shape
    profile = {"driver": drivers[path.suffix], "count": count, "height": height, "width": width}
    with rasterio.open(path, "w", dtype=pixels.dtype, **profile, **options) as dataset:
        dataset.write(pixels)


@pytest.fixture
def write_pairs() -> Written:
    """Writes A/ B/ label/ below a folder: count pairs, named 00, 01, ..."""

    def write(
        folder: Path, *, count: int = 10, shape: tuple[int, int] = (96, 64), bands: int = 3,
        suffix: str = ".png", changed: int = 1, first: int = 0,
    ) -> Path:  # fmt: skip
        for number in range(first, first + count):
            before, after, change = crude_pair(number, *shape, bands)
            write_image(folder / "A" / f"{number:02}{suffix}", before)
            write_image(folder / "B" / f"{number:02}{suffix}", after)
            write_image(folder / "label" / f"{number:02}.png", change[None] * np.uint8(changed))
        return folder

    return write
