"""Cloud-optimised GeoTIFFs: written by windows, made from other rasters, recognised."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.enums import ColorInterp
from rasterio.io import DatasetWriter
from rasterio.windows import Window

from geolab import store
from geolab.errors import FileRejected
from geolab.raster.info import GDAL_ERRORS, Info, gdal_env, open_raster

Array = np.ndarray
BLOCK_PX = 512


class Writer:
    """Writes windows of a raster that becomes a COG when its block ends."""

    def __init__(self, dataset: DatasetWriter):
        self._dataset = dataset

    def write(self, pixels: Array, window: Window, *, valid: Array | None = None) -> None:
        """Store a window; any order, the last one wins.

        pixels: [band, y, x], or [y, x] for a single band. valid: [y, x] bool, False becomes masked.
        """
        self._dataset.write(pixels if pixels.ndim == 3 else pixels[None], window=window)
        if valid is not None:
            self._dataset.write_mask(valid, window=window)


@contextmanager
def write_cog(
    path: str | os.PathLike[str],
    *,
    like: Info,
    count: int,
    dtype: str,
    nodata: float | None = None,
    band_names: Sequence[str] = (),
    tags: Mapping[str, str] | None = None,
    scales: Sequence[float] = (),
    colorinterp: Sequence[str] = (),
    colormap: Mapping[int, tuple[int, ...]] | None = None,
    resampling: str = "nearest",
    level: int = 6,
) -> Iterator[Writer]:
    """A writer of windows; when the block ends well, `path` is a COG on exactly the grid of `like`.

    Nothing is visible under `path` before, or if the block raises. path: a file or any URI.
    scales: value = scale * stored. resampling: for the overviews; "average" for continuous pixels.
    level: of the compression, 1..9; 1 takes a third of the time of 6 and a few per cent more space.
    """
    with _local_target(path) as target, _scratch(target.parent) as raw:
        profile = {
            "driver": "GTiff", "width": like.width, "height": like.height, "count": count, "dtype": dtype,
            "crs": like.crs, "transform": like.transform, "nodata": nodata,
            "tiled": True, "blockxsize": BLOCK_PX, "blockysize": BLOCK_PX, "BIGTIFF": "IF_SAFER",
            "SPARSE_OK": True,
        }  # fmt: skip
        with gdal_env():
            with rasterio.open(raw, "w", **profile) as dataset:
                _describe(dataset, band_names, tags or {}, scales, colorinterp, colormap)
                yield Writer(dataset)
            _to_cog(raw, target, resampling=resampling, small=_is_small(like.shape), level=level)


def _describe(
    dataset: DatasetWriter,
    band_names: Sequence[str],
    tags: Mapping[str, str],
    scales: Sequence[float],
    colorinterp: Sequence[str],
    colormap: Mapping[int, tuple[int, ...]] | None,
) -> None:
    dataset.update_tags(**tags)
    for index, name in enumerate(band_names, 1):
        dataset.set_band_description(index, name)
    if scales:
        dataset.scales = tuple(scales)
    if colormap:
        dataset.write_colormap(1, dict(colormap))
    elif colorinterp:
        dataset.colorinterp = [ColorInterp[name] for name in colorinterp]


@contextmanager
def _local_target(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A local path whose file becomes the object at a path or URI, whole or not at all."""
    local = store.local_path(path)
    if local is not None:
        with store.atomic_path(local, suffix=".tif") as temporary:
            yield temporary
        return
    with tempfile.TemporaryDirectory(prefix="geolab-") as folder:
        yield Path(folder, "out.tif")
        store.put_file(Path(folder, "out.tif"), os.fspath(path))


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    handle, name = tempfile.mkstemp(prefix=".tmp-", suffix=".tif", dir=folder)
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def make_cog(source: str, target: str | os.PathLike[str], *, resampling: str | None = None) -> None:
    """Write `source` as a COG: every pixel, the grid, nodata, masks, palette and tags as they are, lossless.

    resampling: of the overviews; by default nearest for palettes and complex pixels, else average.
    GDAL's COG driver does it: rio-cogeo 7.0's cog_translate warps, which turns rotated and south-up grids.
    Raises FileRejected when the pixels can't be read.
    """
    with open_raster(source) as dataset:
        small = _is_small(dataset.shape)
        is_complex = "complex" in dataset.dtypes[0]
        discrete = is_complex or dataset.colorinterp[0] == ColorInterp.palette
    with _local_target(target) as local, gdal_env():
        try:
            chosen = resampling or ("nearest" if discrete else "average")
            _to_cog(
                store.vsi_path(source),
                local,
                resampling=chosen,
                small=small,
                predictor="NO" if is_complex else "YES",
            )
        except GDAL_ERRORS as error:
            raise FileRejected(source, f"can't be converted to a COG: {error}") from error


def _to_cog(
    source: str | Path, target: Path, *, resampling: str, small: bool, predictor: str = "YES", level: int = 6
) -> None:
    """small: needs no overviews. GDAL 3.10 then copies those of the source, even with IGNORE_EXISTING."""
    rasterio.shutil.copy(
        str(source),
        str(target),
        driver="COG",
        BLOCKSIZE=BLOCK_PX,
        COMPRESS="DEFLATE",
        LEVEL=level,
        PREDICTOR=predictor,
        OVERVIEWS="NONE" if small else "IGNORE_EXISTING",
        OVERVIEW_RESAMPLING=resampling.upper(),
        BIGTIFF="IF_SAFER",
        STATISTICS="NO",
        NUM_THREADS="ALL_CPUS",  # to compress; the bytes are the same with any number
    )


def _is_small(shape: tuple[int, int]) -> bool:
    return max(shape) <= BLOCK_PX


def is_cog(uri: str) -> bool:
    """Whether a raster already is a valid cloud-optimised GeoTIFF, by rio-cogeo's rules."""
    from rio_cogeo.cogeo import cog_validate  # 0.2 s to import

    with gdal_env():
        valid, _, _ = cog_validate(store.vsi_path(uri), quiet=True)
    return valid
