"""Grids on the map that products are made on, and polygons that say where."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray
from pyproj.exceptions import CRSError
from rasterio import Affine
from rasterio.crs import CRS
from shapely.geometry.base import BaseGeometry

from geolab import raster
from geolab.catalog import shapes
from geolab.errors import BadInput, one_line
from geolab.raster.info import positions
from geolab.splats.frame import Frame

Floats = NDArray[np.float64]
Bounds = tuple[float, float, float, float]
Polygon = Mapping[str, Any] | BaseGeometry

MOST_PX = 10**9  # of a product; more is a slip of the resolution
DISTORTION = 0.01  # largest stretch of the CRS against the ground that products accept
LONLAT = "EPSG:4326"


@dataclass(frozen=True)
class Grid:
    """Square pixels in a projected CRS; transform maps (column, row) to the CRS's units.

    gsd_m: the side of a pixel, metres of the CRS.
    """

    crs: CRS
    transform: Affine
    width: int
    height: int
    gsd_m: float

    def info(self, name: str = "grid") -> raster.Info:
        """The grid as a raster's header."""
        return raster.Info(
            uri=name, driver="GTiff", width=self.width, height=self.height, count=0, dtype="", crs=self.crs,
            transform=self.transform, nodata=None, band_names=(), colorinterp=(), tags={},
        )  # fmt: skip

    def finer(self, times: int) -> Grid:
        """The grid with each pixel cut into times x times."""
        t, k = self.transform, 1 / times
        transform = Affine(t.a * k, t.b * k, t.c, t.d * k, t.e * k, t.f)
        return Grid(self.crs, transform, self.width * times, self.height * times, self.gsd_m * k)

    def locate(self, lonlat: Floats) -> tuple[Floats, Floats]:
        """Fractional columns and rows [N] of longitudes and latitudes [N, 2 or more]; 0, 0 is the corner."""
        x, y = project(lonlat, self.crs).T
        return positions(~self.transform, x, y)

    def lonlat(self, columns: Floats, rows: Floats) -> Floats:
        """Longitudes and latitudes [N, 2] of fractional columns and rows [N]."""
        places = positions(self.transform, columns, rows)
        return np.stack(_to_crs(self.crs.to_wkt()).transform(*places, direction="INVERSE"), axis=1)


def grid(
    frame: Frame, *, gsd_m: float, bounds: Bounds | None = None, area: BaseGeometry | None = None,
    crs: str | CRS | None = None,
) -> Grid:  # fmt: skip
    """The grid of a given resolution that covers bounds (left, bottom, right, top) or an area, in a CRS.

    crs: any projected one; the UTM zone of the frame if None. Edges lie at multiples of the resolution.
    Raises BadInput for a CRS in degrees or one that stretches the ground there, and for a size that is
    empty or beyond MOST_PX.
    """
    if not (math.isfinite(gsd_m) and 1e-3 <= gsd_m <= 1e4):
        raise BadInput("gsd_m", found=gsd_m, expected="0.001 to 10000 metres")
    chosen = projected(crs or frame.crs)
    box = bounds if bounds is not None else area.bounds if area is not None else ()
    if len(box) != 4 or not all(math.isfinite(v) for v in box) or box[0] >= box[2] or box[1] >= box[3]:
        raise BadInput("bounds", found=tuple(box), expected="left < right and bottom < top, in the CRS")
    pixel = gsd_m / chosen.linear_units_factor[1]
    left, bottom = (math.floor(v / pixel + 1e-6) for v in box[:2])
    right, top = (math.ceil(v / pixel - 1e-6) for v in box[2:])
    width, height = max(1, right - left), max(1, top - bottom)
    if width * height > MOST_PX:
        raise BadInput(
            "product", found=f"{width} x {height} px", expected=f"at most {MOST_PX:.0e} px",
            remedy="choose a larger gsd_m or a smaller footprint",
        )  # fmt: skip
    return Grid(chosen, Affine(pixel, 0, left * pixel, 0, -pixel, top * pixel), width, height, gsd_m)


def grid_of(like: raster.Info | str | os.PathLike[str]) -> Grid:
    """The grid of a raster. Raises BadInput if its pixels are not square or its CRS is not projected."""
    info = like if isinstance(like, raster.Info) else raster.read_info(os.fspath(like))
    if info.crs is None:
        raise BadInput(info.uri, found="no CRS", expected="a projected CRS")
    crs = projected(info.crs)
    gsd_m = math.sqrt(abs(info.transform.determinant)) * crs.linear_units_factor[1]
    return Grid(crs, info.transform, info.width, info.height, gsd_m)


def projected(crs: str | CRS) -> CRS:
    """A CRS in metres or feet by its name. Raises BadInput."""
    try:
        found = CRS.from_wkt(pyproj.CRS(crs).to_wkt() if isinstance(crs, str) else crs.to_wkt())
    except (CRSError, ValueError) as error:
        raise BadInput("CRS", found=one_line(repr(crs), 60), expected="a code such as EPSG:32633") from error
    if not found.is_projected:
        raise BadInput(
            "CRS", found=raster.crs_name(found), expected="a projected CRS, in metres",
            remedy="leave it out for the UTM zone of the model",
        )  # fmt: skip
    return found


def project(lonlat: Floats, crs: CRS) -> Floats:
    """Positions [N, 2] in a CRS of longitudes and latitudes [N, 2 or more]."""
    return np.stack(_to_crs(crs.to_wkt()).transform(lonlat[:, 0], lonlat[:, 1]), axis=1)


@lru_cache(maxsize=32)
def _to_crs(wkt: str) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(LONLAT, pyproj.CRS.from_wkt(wkt), always_xy=True)


# ---------------------------------------------------------------- polygons


def polygon_in(crs: CRS, polygon: Polygon, *, what: str = "polygon") -> BaseGeometry:
    """A polygon in a CRS: GeoJSON in longitude and latitude, or a shapely geometry already in that CRS.

    GeoJSON may be a geometry, a Feature or a FeatureCollection. Raises BadInput if it has no area.
    """
    if isinstance(polygon, BaseGeometry):
        shape = polygon if polygon.is_valid else shapely.make_valid(polygon)
    else:
        parts = [shapes.read(part, what) for part in _geometries(polygon, what)]
        shape = shapely.transform(
            shapely.segmentize(shapely.union_all(parts), 1e-3), lambda places: project(places, crs)
        )
    if shape.is_empty or not shape.area > 0 or not np.isfinite(shape.bounds).all():
        raise BadInput(what, found=f"{shape.geom_type} without an area", expected="a Polygon or MultiPolygon")
    return shape


def _geometries(polygon: Mapping[str, Any], what: str) -> Sequence[Any]:
    if not isinstance(polygon, Mapping):
        raise BadInput(what, found=one_line(repr(polygon), 60), expected="GeoJSON or a shapely geometry")
    if polygon.get("type") == "FeatureCollection":
        features = polygon.get("features")
        if not isinstance(features, Sequence) or not features:
            raise BadInput(what, found="a FeatureCollection without features", expected="at least one")
        return [f.get("geometry") if isinstance(f, Mapping) else f for f in features]
    return [polygon.get("geometry") if polygon.get("type") == "Feature" else polygon]
