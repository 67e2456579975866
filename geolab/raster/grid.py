"""Where pixels lie on Earth and how large they are."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from rasterio.crs import CRS

from geolab.errors import BadInput, GridMismatch
from geolab.raster.info import Info, positions, read_info

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox
    from pyproj import Transformer

Array = np.ndarray
LONLAT = CRS.from_epsg(4326)

SAME_PX = 0.01  # grids whose corners differ by less, in pixels, are the same
TRUE_SCALE = 0.01  # projections whose areas are off by less count pixels with their own units

_A_M, _F = 6378137.0, 1 / 298.257223563  # WGS 84
_E2 = _F * (2 - _F)


def geobox(info: Info) -> GeoBox:
    """The grid as an odc-geo GeoBox."""
    from odc.geo.geobox import GeoBox  # 0.3 s to import; not everyone who reads a header needs it

    return GeoBox(info.shape, info.transform, info.crs)


def same_grid(before: Info | str, after: Info | str) -> None:
    """Nothing, if both rasters share CRS, shape and transform. Raises GridMismatch naming what differs."""
    one = before if isinstance(before, Info) else read_info(before)
    two = after if isinstance(after, Info) else read_info(after)
    if one.crs != two.crs:
        raise GridMismatch(one.uri, two.uri, what="CRS", found=crs_name(two.crs), expected=crs_name(one.crs))
    if one.shape != two.shape:
        raise GridMismatch(one.uri, two.uri, what="size", found=_size(two), expected=_size(one))
    off_px = _largest_offset_px(one, two)
    if off_px > SAME_PX:
        raise GridMismatch(
            one.uri,
            two.uri,
            what="transform",
            found=f"off by {off_px:.3g} px",
            expected=f"at most {SAME_PX} px",
        )


def _largest_offset_px(one: Info, two: Info) -> float:
    columns = np.array([0.0, one.width, 0.0, one.width])
    rows = np.array([0.0, 0.0, one.height, one.height])
    theirs = positions(~one.transform, *positions(two.transform, columns, rows))
    return float(np.hypot(theirs[0] - columns, theirs[1] - rows).max())


def _size(info: Info) -> str:
    return f"{info.width} x {info.height} px"


def crs_name(crs: CRS | None) -> str:
    """A short name: EPSG:32650, else the CRS's own name; 'none' without one."""
    if crs is None:
        return "none"
    code = crs.to_epsg()
    if code:
        return f"EPSG:{code}"
    return crs.to_wkt().split('"')[1] if '"' in crs.to_wkt() else crs.to_string()


# ---------------------------------------------------------------- sizes on the ground


def gsd_m(info: Info) -> float:
    """The ground distance between neighbouring pixels at the middle of the raster, metres.

    The geometric mean of both directions.
    """
    return math.sqrt(pixel_area_m2(info))


def pixel_area_m2(info: Info) -> float:
    """The area on the ground of one pixel, m2, at the middle of the raster.

    In a projected CRS whose areas are true to 1 % (UTM, state planes, any linear unit) it is the same
    for all pixels; elsewhere (degrees, Web Mercator) see row_areas_m2. Raises BadInput without a CRS.
    """
    constant = _constant_area_m2(info)
    return constant if constant is not None else float(_true_areas_m2(info, np.array([info.height / 2]))[0])


def row_areas_m2(info: Info) -> Array:
    """The area on the ground of one pixel of each row, [y] float64, m2.

    Constant in a projected CRS whose areas are true to 1 %; else the true area on the WGS 84 ellipsoid
    at the middle column. Raises BadInput without a CRS.
    """
    constant = _constant_area_m2(info)
    if constant is not None:
        return np.full(info.height, constant)
    return _true_areas_m2(info, np.arange(info.height) + 0.5)


def _constant_area_m2(info: Info) -> float | None:
    """The pixel's area in the CRS's own units, where that is within TRUE_SCALE of the truth."""
    if info.crs is None:
        raise BadInput(
            info.uri, found="no CRS", expected="a CRS, to know the size of a pixel",
            remedy="assign one: rio edit-info --crs EPSG:... FILE",
        )  # fmt: skip
    if not info.crs.is_projected:
        return None
    area = abs(info.transform.determinant) * info.crs.linear_units_factor[1] ** 2
    truth = _true_areas_m2(info, np.array([0.5, info.height / 2, info.height - 0.5]))
    finite = truth[np.isfinite(truth)]
    return area if finite.size and np.all(np.abs(finite / area - 1) < TRUE_SCALE) else None


def _true_areas_m2(info: Info, rows: Array) -> Array:
    """Area of a pixel at each (fractional) row, middle column: |Jacobian| times the ellipsoid's element."""
    t = info.transform
    if info.crs is not None and info.crs.is_geographic and t.b == t.d == 0:
        return _cell_areas_m2(info, rows)
    middle = info.width / 2
    half = _half_step_px(info)
    lon_e, lat_e = lonlat(info, np.full_like(rows, middle + half), rows)
    lon_w, lat_w = lonlat(info, np.full_like(rows, middle - half), rows)
    lon_s, lat_s = lonlat(info, np.full_like(rows, middle), rows + half)
    lon_n, lat_n = lonlat(info, np.full_like(rows, middle), rows - half)
    with np.errstate(invalid="ignore"):  # rows off the Earth's disc
        dlon_x, dlon_y = _wrap(lon_e - lon_w), _wrap(lon_s - lon_n)
        jacobian = (dlon_x * (lat_s - lat_n) - dlon_y * (lat_e - lat_w)) / (2 * half) ** 2  # degrees² a pixel
        return np.abs(jacobian) * math.radians(1) ** 2 * _metric_m2(np.radians((lat_n + lat_s) / 2))


def _half_step_px(info: Info) -> float:
    """Half the finite-difference step: at least 10 m, so that rounding of degrees does not matter."""
    unit = info.crs.linear_units_factor[1] if info.crs is not None and info.crs.is_projected else 111_000.0
    pixel = math.sqrt(abs(info.transform.determinant)) * unit
    return max(0.5, 10.0 / pixel) if pixel > 0 else 0.5


def _metric_m2(lat: Array) -> Array:
    """Area element of the ellipsoid for d(lon) d(lat) in radians: meridian times parallel radius."""
    w2 = 1 - _E2 * np.sin(lat) ** 2
    return _A_M**2 * (1 - _E2) * np.cos(lat) / w2**2


def _cell_areas_m2(info: Info, rows: Array) -> Array:
    """Exact areas of lon/lat cells: Snyder (1987), eq. 3-12, the authalic function q."""
    to_degrees = _degrees_per_unit(info)
    t = info.transform
    lat_a = np.radians(np.clip((t.f + t.e * (rows - 0.5)) * to_degrees, -90, 90))
    lat_b = np.radians(np.clip((t.f + t.e * (rows + 0.5)) * to_degrees, -90, 90))
    width = math.radians(abs(t.a) * to_degrees)
    return _A_M**2 / 2 * width * np.abs(_q(lat_b) - _q(lat_a))


def _q(lat: Array) -> Array:
    e, s = math.sqrt(_E2), np.sin(lat)
    return (1 - _E2) * (s / (1 - _E2 * s**2) + np.arctanh(e * s) / e)


def _degrees_per_unit(info: Info) -> float:
    """1 for degrees; grads and radians are rare but exist."""
    units = info.crs.units_factor if info.crs is not None else ("degree", math.radians(1))
    return math.degrees(units[1])


def _wrap(degrees: Array) -> Array:
    return (degrees + 180) % 360 - 180


def lonlat(info: Info, columns: Array, rows: Array) -> tuple[Array, Array]:
    """WGS 84 longitude and latitude of pixel positions, degrees; inf where the CRS does not reach Earth."""
    xs, ys = positions(info.transform, columns, rows)
    if info.crs == LONLAT:
        return xs, ys
    if info.crs is None:
        raise BadInput(info.uri, found="no CRS", expected="a CRS, to know where the raster lies")
    # not rasterio.warp.transform: it raises when one point is off the Earth's disc
    return _to_lonlat(info.crs.to_wkt()).transform(xs, ys, errcheck=False)


@lru_cache(maxsize=32)
def _to_lonlat(wkt: str) -> Transformer:
    from pyproj import CRS as ProjCRS
    from pyproj import Transformer

    return Transformer.from_crs(ProjCRS.from_wkt(wkt), ProjCRS.from_epsg(4326), always_xy=True)


def footprint_lonlat(info: Info) -> dict[str, Any]:
    """The outline on Earth as GeoJSON: Polygon or, across the antimeridian, MultiPolygon; see footprint."""
    from geolab.raster.footprint import outline  # needs shapely

    return outline(info)
