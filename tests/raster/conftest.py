"""Rasters made for the tests: asymmetric, so that swapped axes show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio import Affine
from rasterio.enums import ColorInterp

Array = np.ndarray
UTM = "EPSG:32650"
NORTH_UP = Affine(3.0, 0.0, 600_000.0, 0.0, -5.0, 3_500_000.0)  # x and y steps differ
ROTATED = Affine.translation(600_000, 3_500_000) @ Affine.rotation(30) @ Affine.scale(3, -5)
SOUTH_UP = Affine(3.0, 0.0, 600_000.0, 0.0, 5.0, 3_400_000.0)

Make = Callable[..., Path]


@pytest.fixture
def pixels() -> Array:
    """[band, y, x] uint8 of 3 x 70 x 90 random pixels without zeros."""
    return np.random.default_rng(1).integers(1, 255, (3, 70, 90), dtype=np.uint8)


@pytest.fixture
def make(tmp_path: Path, pixels: Array) -> Make:
    """A function that writes a GeoTIFF and gives its path."""

    def write(
        name: str = "a.tif",
        data: Array | None = None,
        *,
        crs: str | None = UTM,
        transform: Affine | None = NORTH_UP,
        nodata: float | None = None,
        tags: dict[str, str] | None = None,
        names: tuple[str, ...] = (),
        colorinterp: tuple[str, ...] = (),
        mask: Array | None = None,
        **profile: object,
    ) -> Path:
        data = pixels if data is None else data
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
            rasterio.open(
                path, "w", driver="GTiff", count=data.shape[0], height=data.shape[1], width=data.shape[2],
                dtype=data.dtype, crs=crs, transform=transform, nodata=nodata, **profile,
            ) as out,
        ):  # fmt: skip
            if colorinterp:
                out.colorinterp = [ColorInterp[c] for c in colorinterp]
            out.update_tags(**(tags or {}))
            for index, band in enumerate(names, 1):
                out.set_band_description(index, band)
            out.write(data)  # last: nothing but pixels at the end of the file
            if mask is not None:
                out.write_mask(mask)
        return path

    return write
