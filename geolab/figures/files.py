"""A pair or a surface straight from its files: read small, on one grid, and drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from rasterio.enums import ColorInterp, Resampling
from rasterio.vrt import WarpedVRT

from geolab import display, raster
from geolab.errors import BadInput
from geolab.figures import seasons
from geolab.figures.pictures import LONGEST_PX, MASK_NODATA, pair
from geolab.figures.scenes import surface

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rasterio.io import DatasetReader

Array = np.ndarray


def pair_of(
    before: str,
    after: str,
    overlay: str | None = None,
    *,
    dates: tuple[str, str] | None = None,
    titles: tuple[str, str, str] = ("Before", "After", "Change"),
    truth: str | None = None,
) -> Figure:
    """Before | after | change of whole rasters, read at the size they are drawn; see `pair`.

    before, after, overlay (a mask), truth: URIs. All are shown on the grid of `before`, with a scale
    bar where it has a CRS. Raises NotFound, FileRejected, and BadInput when grids differ without a CRS.
    """
    info = raster.read_info(before)
    scale = max(1.0, max(info.shape) / LONGEST_PX)
    shape = (max(1, round(info.height / scale)), max(1, round(info.width / scale)))
    views = [_read(uri, info, shape) for uri in (before, after)]
    masks = [None if uri is None else _read_mask(uri, info, shape) for uri in (overlay, truth)]
    metres = raster.gsd_m(info) * scale if info.crs is not None else None
    return pair(views[0], views[1], masks[0], gsd_m=metres, dates=dates, titles=titles, truth=masks[1])


def surface_of(orthophoto: str, dsm: str) -> Figure:
    """An orthophoto | its heights | their uncertainty, read at the size they are drawn; see `surface`.

    dsm: bands height and, if it has a second, sigma. Raises NotFound, FileRejected;
    BadInput if the grids differ.
    """
    info = raster.read_info(dsm)
    other = raster.read_info(orthophoto)
    if (info.shape, info.transform, info.crs) != (other.shape, other.transform, other.crs):
        raise BadInput("DSM", found="another grid than the orthophoto's", expected="the same one")
    scale = max(1.0, max(info.shape) / LONGEST_PX)
    shape = (max(1, round(info.height / scale)), max(1, round(info.width / scale)))
    with raster.open_raster(orthophoto) as dataset:
        picture = dataset.read(out_shape=(dataset.count, *shape), resampling=Resampling.average)
    with raster.open_raster(dsm) as dataset:
        bands = list(range(1, min(dataset.count, 2) + 1))
        heights = dataset.read(
            bands, out_shape=(len(bands), *shape), masked=True, resampling=Resampling.average
        )
        datum = dataset.tags().get("VERTICAL_DATUM", "")
    known = heights.astype(np.float32).filled(np.nan)
    sigma = known[1] if len(known) > 1 else None
    return surface(picture, known[0], gsd_m=raster.gsd_m(info) * scale, sigma=sigma, datum=_above(datum))


def _above(datum: str) -> str:
    """A vertical datum's tag in words that follow "height, m"."""
    if datum == "unknown":
        return "above an unknown datum"
    words = datum.removeprefix("metres ")
    return words if not words or words.startswith("above") else f"above {words}"


def _read(uri: str, like: raster.Info, shape: tuple[int, int]) -> Array:
    """[band, y, x] float32 of the bands to show, NaN where invalid."""
    with raster.open_raster(uri) as dataset:
        colors = [c.name for c in dataset.colorinterp]
        count = sum(color != "alpha" for color in colors)
        bands = list(display.rgb_bands(dataset.descriptions, colors, count=count))
        pixels = _warped(dataset, bands, like, shape, Resampling.average)
    return pixels.astype(np.float32).filled(np.nan)


def _read_mask(uri: str, like: raster.Info, shape: tuple[int, int]) -> Array:
    """[y, x] uint8, 255 where invalid."""
    with raster.open_raster(uri) as dataset:
        return _warped(dataset, [1], like, shape, Resampling.nearest).filled(MASK_NODATA)[0].astype(np.uint8)


def _warped(
    dataset: DatasetReader, bands: Sequence[int], like: raster.Info, shape: tuple[int, int], how: Resampling
) -> Any:
    out = (len(bands), *shape)
    if (dataset.crs, dataset.transform, dataset.shape) == (like.crs, like.transform, like.shape):
        return dataset.read(list(bands), out_shape=out, masked=True, resampling=how)
    if dataset.crs is None or like.crs is None:
        raise BadInput(dataset.name, found="no coordinate system", expected="one, to lie over the other date")
    grid = {"crs": like.crs, "transform": like.transform, "width": like.width, "height": like.height}
    with WarpedVRT(dataset, **grid, resampling=how, add_alpha=dataset.nodata is None) as warped:
        pixels = warped.read(list(bands), out_shape=out, resampling=how)
        outside = _alpha(warped, shape) == 0
        return np.ma.array(pixels, mask=np.broadcast_to(outside, out))


def _alpha(warped: WarpedVRT, shape: tuple[int, int]) -> Array:
    """[y, x], 0 where invalid. GDAL 3.10 takes no alpha band of floats for a mask: it is read itself."""
    if warped.colorinterp[-1] == ColorInterp.alpha:
        return warped.read(warped.count, out_shape=shape)
    return warped.dataset_mask(out_shape=shape)


def composite_of(composite: str, looks: str, *, title: str = "Composite") -> Figure:
    """A composite and its clear looks, read at the size they are drawn; see `seasons.composite`."""
    info = raster.read_info(composite)
    scale = max(1.0, max(info.shape) / LONGEST_PX)
    shape = (max(1, round(info.height / scale)), max(1, round(info.width / scale)))
    with raster.open_raster(looks) as dataset:
        counted = dataset.read(1, out_shape=shape, resampling=Resampling.nearest)
    picture = _read(composite, info, shape)
    return seasons.composite(picture, counted, gsd_m=raster.gsd_m(info) * scale, title=title)


def years_of(mosaic: str, *, areas_m2: Sequence[float] = (), title: str = seasons.TITLE) -> Figure:
    """A mosaic of change masks, a band for every pair of years, read small; see `seasons.years`."""
    info = raster.read_info(mosaic)
    scale = max(1.0, max(info.shape) / LONGEST_PX)
    shape = (info.count, max(1, round(info.height / scale)), max(1, round(info.width / scale)))
    with raster.open_raster(mosaic) as dataset:
        masks = dataset.read(out_shape=shape, resampling=Resampling.nearest)
    metres = raster.gsd_m(info) * scale
    return seasons.years(masks, info.band_names, gsd_m=metres, areas_m2=areas_m2, title=title)
