"""Volumes between a surface model and a base, over a polygon."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio import Affine, features
from rasterio.io import DatasetReader
from rasterio.windows import Window, transform
from shapely.geometry.base import BaseGeometry

from geolab import raster
from geolab.errors import BadInput
from geolab.raster.info import positions
from geolab.splats.grid import Polygon, polygon_in, projected

Floats = NDArray[np.float64]

SUBPIXELS = 8  # along each side, by which the polygon's edge is weighed
STRIP_PX = 256  # rows read at once
LEAST_KNOWN = 0.5  # share of the polygon that must have heights
TRIM = 3.0  # times the NMAD beyond which a rim height is an object on the rim
TRIMS = 5  # times that is done
CORRELATION_PX = 5.0  # over which errors of neighbouring heights are taken as one


@dataclass(frozen=True)
class Volume:
    """Metres. cut_m3: of what stands above the base; fill_m3: of what lacks below it.

    area_m2: of the polygon with heights. known: its share of the polygon. sigma_m3: standard deviation of
    cut - fill, from the DSM's sigma band and the scatter of the rim; None if neither is there.
    base_m: mean height of the base. rim_rmse_m: scatter of the rim about a fitted plane, else None.
    """

    cut_m3: float
    fill_m3: float
    area_m2: float
    sigma_m3: float | None
    base_m: float
    known: float
    rim_rmse_m: float | None = None

    @property
    def net_m3(self) -> float:
        return self.cut_m3 - self.fill_m3

    def as_json(self) -> dict[str, float | None]:
        return asdict(self) | {"net_m3": self.net_m3}


def volume(
    dsm: str | os.PathLike[str], polygon: Polygon, *, base: str | float | os.PathLike[str] = "plane",
    correlation_px: float = CORRELATION_PX,
) -> Volume:  # fmt: skip
    """Cut and fill of a DSM (bands: height and, if there, sigma) over a polygon.

    polygon: GeoJSON in longitude and latitude, or shapely in the DSM's CRS. base: "plane", fitted to the
    heights along the polygon's rim; "lowest", the lowest height inside; a height in metres; or another
    DSM on the same grid. correlation_px: pixels over which errors of heights go together, for sigma_m3:
    each patch of that side counts as one measurement. Pixels on the rim count by their share inside.
    Raises BadInput where the polygon leaves the DSM or most of it has no heights, GridMismatch.
    """
    info = raster.read_info(os.fspath(dsm))
    if info.crs is None:
        raise BadInput(info.uri, found="no CRS", expected="a projected CRS")
    area = polygon_in(projected(info.crs), polygon)
    _check_inside(info, area)
    with raster.open_raster(info.uri) as dataset:
        strips = _Strips(dataset, info, area)
        level, rmse = _base(strips, base)
        return _sum(strips, level, rmse, correlation_px)


def _check_inside(info: raster.Info, area: BaseGeometry) -> None:
    corners = np.array([[0, 0], [info.width, 0], [info.width, info.height], [0, info.height]], float)
    outline = shapely.Polygon(np.stack(positions(info.transform, *corners.T), axis=1))
    outside = shapely.difference(area, outline.buffer(1e-6)).area / area.area
    if outside > 1e-6:
        raise BadInput(
            "polygon", found=f"{100 * outside:.3g} % of it outside {Path(info.uri).name}",
            expected="a polygon inside the DSM", remedy="is it longitude, latitude in this order?",
        )  # fmt: skip


# ---------------------------------------------------------------- pixels of the polygon


@dataclass(frozen=True)
class _Strip:
    """Pixels [y, x] of a part of the polygon's box: places of their centres in pixels, heights (NaN for
    none), sigma or None, and the share of each inside the polygon."""

    window: Window
    columns: Floats
    rows: Floats
    height: Floats
    sigma: Floats | None
    share: Floats


@dataclass(frozen=True)
class _Strips:
    dataset: DatasetReader
    info: raster.Info
    area: BaseGeometry

    def __iter__(self) -> Iterator[_Strip]:
        for window in self._windows():
            bands = raster.read_window(self.dataset, window).astype(np.float64)
            rows, columns = np.mgrid[: int(window.height), : int(window.width)] + 0.5
            sigma = self.info.band_names.index("sigma") if "sigma" in self.info.band_names else None
            yield _Strip(
                window, columns + window.col_off, rows + window.row_off, bands[0],
                None if sigma is None else bands[sigma], self._share(window),
            )  # fmt: skip

    def _windows(self) -> Iterator[Window]:
        x, y = shapely.get_coordinates(self.area).T
        columns, rows = positions(~self.info.transform, x, y)
        left, top = max(0, math.floor(columns.min())), max(0, math.floor(rows.min()))
        right = min(self.info.width, math.ceil(columns.max()))
        bottom = min(self.info.height, math.ceil(rows.max()))
        for row in range(top, bottom, STRIP_PX):
            yield Window(left, row, right - left, min(STRIP_PX, bottom - row))  # pyright: ignore[reportCallIssue]

    def _share(self, window: Window) -> Floats:
        """The share of every pixel inside the polygon, from SUBPIXELS x SUBPIXELS places in it."""
        k = SUBPIXELS
        shape = (int(window.height), int(window.width))
        t = transform(window, self.info.transform)
        fine = Affine(t.a / k, t.b / k, t.c, t.d / k, t.e / k, t.f)
        mask = features.geometry_mask([self.area], (shape[0] * k, shape[1] * k), fine, invert=True)
        return mask.reshape(shape[0], k, shape[1], k).mean(axis=(1, 3))

    def rim(self, strip: _Strip) -> NDArray[np.bool_]:
        """Which pixels of a strip the polygon's outline touches."""
        place = transform(strip.window, self.info.transform)
        outline = [self.area.boundary]
        touched = features.rasterize(outline, strip.height.shape, transform=place, all_touched=True)
        return np.asarray(touched) == 1


# ---------------------------------------------------------------- the base


@dataclass(frozen=True)
class _Plane:
    """height = coefficients . (1, column, row), with their covariance [3, 3] for independent errors."""

    coefficients: Floats
    covariance: Floats

    def heights(self, columns: Floats, rows: Floats) -> Floats:
        a, b, c = self.coefficients
        return a + b * columns + c * rows

    def at(self, strip: _Strip) -> tuple[Floats, Floats | None]:
        return self.heights(strip.columns, strip.rows), None


@dataclass(frozen=True)
class _Surface:
    """Another DSM."""

    dsm: str
    info: raster.Info

    def at(self, strip: _Strip) -> tuple[Floats, Floats | None]:
        with raster.open_raster(self.dsm) as dataset:
            bands = raster.read_window(dataset, strip.window).astype(np.float64)
        names = self.info.band_names
        return bands[0], bands[names.index("sigma")] if "sigma" in names else None


def _base(strips: _Strips, base: str | float | os.PathLike[str]) -> tuple[_Plane | _Surface, float | None]:
    """The base and, of a plane, the scatter of the rim about it."""
    if isinstance(base, (int, float)):
        if not math.isfinite(base):
            raise BadInput("base", found=base, expected="a height in metres")
        return _level(float(base)), None
    if base == "lowest":
        return _level(_lowest(strips)), None
    if base == "plane":
        return _rim_plane(strips)
    info = raster.read_info(os.fspath(base))  # raises NotFound for a word we do not know
    raster.same_grid(strips.info, info)
    return _Surface(info.uri, info), None


def _level(height: float) -> _Plane:
    return _Plane(np.array([height, 0.0, 0.0]), np.zeros((3, 3)))


def _lowest(strips: _Strips) -> float:
    inside = [strip.height[(strip.share >= 0.5) & np.isfinite(strip.height)] for strip in strips]
    heights = np.concatenate(inside) if inside else np.empty(0)
    if not heights.size:
        raise _unknown(0.0)
    return float(heights.min())


def _rim_plane(strips: _Strips) -> tuple[_Plane, float]:
    """The least-squares plane through the heights on the rim, without those that stand out."""
    parts = [_rim_heights(strips, strip) for strip in strips]
    rim = np.concatenate(parts) if parts else np.empty((0, 3))
    plane, rmse = _fit(rim)
    for _ in range(TRIMS):
        errors = rim[:, 2] - plane.heights(rim[:, 0], rim[:, 1])
        nmad = 1.4826 * float(np.median(np.abs(errors - np.median(errors))))
        plane, rmse = _fit(rim[np.abs(errors) <= max(TRIM * nmad, 1e-6)])
    return plane, rmse


def _rim_heights(strips: _Strips, strip: _Strip) -> Floats:
    """Column, row and height [n, 3] of the pixels of a strip that lie on the rim."""
    rim = strips.rim(strip) & np.isfinite(strip.height)
    return np.stack([strip.columns[rim], strip.rows[rim], strip.height[rim]], axis=1)


def _fit(rim: Floats) -> tuple[_Plane, float]:
    """The least-squares plane through columns, rows and heights [n, 3], and its root mean square error."""
    middle = rim[:, :2].mean(axis=0) if len(rim) else np.zeros(2)
    design = np.column_stack([np.ones(len(rim)), rim[:, :2] - middle])  # centred for the numbers' sake
    if len(rim) < 3 or np.linalg.matrix_rank(design) < 3:
        raise BadInput(
            "polygon", found=f"{len(rim)} heights along its rim", expected="3 or more that span a plane",
            remedy="give base='lowest' or a height in metres",
        )  # fmt: skip
    normal = np.linalg.inv(design.T @ design).astype(np.float64)
    solution = normal @ design.T @ rim[:, 2]
    rmse = float(np.sqrt(np.mean((rim[:, 2] - design @ solution) ** 2)))
    back = np.array([[1, -middle[0], -middle[1]], [0, 1, 0], [0, 0, 1]])
    covariance = back @ normal @ back.T * rmse**2
    return _Plane(back @ solution, covariance), rmse


# ---------------------------------------------------------------- the sum


def _sum(strips: _Strips, base: _Plane | _Surface, rmse: float | None, correlation_px: float) -> Volume:
    total = np.zeros(5)  # cut, fill, area, base * area, area of the polygon
    variance, told = 0.0, rmse is not None
    moment = np.zeros(3)  # of area, for the plane's error
    for strip in strips:
        level, base_sigma = base.at(strip)
        pixel = raster.row_areas_m2(strips.info)[int(strip.window.row_off) :][: len(strip.height), None]
        difference = strip.height - level
        weight = np.where(np.isfinite(difference), strip.share, 0) * pixel
        rise = np.where(np.isfinite(difference), difference, 0)
        total += [
            (weight * np.maximum(rise, 0)).sum(), (weight * np.maximum(-rise, 0)).sum(), weight.sum(),
            (weight * np.where(weight > 0, level, 0)).sum(), (strip.share * pixel).sum(),
        ]  # fmt: skip
        moment += [weight.sum(), (weight * strip.columns).sum(), (weight * strip.rows).sum()]
        for sigma in (strip.sigma, base_sigma):
            if sigma is not None:
                told = True
                variance += float(np.nansum((weight * sigma) ** 2)) * correlation_px**2
    cut, fill, area, level_area, whole = (float(v) for v in total)
    if not area > LEAST_KNOWN * whole:
        raise _unknown(area / whole if whole else 0.0)
    if isinstance(base, _Plane):
        variance += float(moment @ base.covariance @ moment) * correlation_px
    sigma_m3 = math.sqrt(variance) if told else None
    return Volume(cut, fill, area, sigma_m3, level_area / area, area / whole, rmse)


def _unknown(known: float) -> BadInput:
    return BadInput(
        "polygon", found=f"heights on {100 * known:.0f} % of it",
        expected=f"at least {100 * LEAST_KNOWN:.0f} %", remedy="draw it where the DSM has data",
    )  # fmt: skip
