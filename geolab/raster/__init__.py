"""Pixels on a grid: read headers and windows, compare and align grids, check files, write COGs.

Arrays are `[band, y, x]`. A raster is named by a URI: a path, file://, s3:// or http(s)://.
"""

from __future__ import annotations

from geolab.raster.check import Content, check, check_content
from geolab.raster.clip import clip
from geolab.raster.cog import Writer, is_cog, make_cog, write_cog
from geolab.raster.grid import (
    crs_name,
    footprint_lonlat,
    geobox,
    gsd_m,
    pixel_area_m2,
    row_areas_m2,
    same_grid,
)
from geolab.raster.info import DRIVERS, Info, open_raster, read_info
from geolab.raster.mosaic import mosaic
from geolab.raster.overviews import stale_overviews
from geolab.raster.windows import align, iter_windows, read_window

__all__ = [
    "DRIVERS",
    "Content",
    "Info",
    "Writer",
    "align",
    "check",
    "check_content",
    "clip",
    "crs_name",
    "footprint_lonlat",
    "geobox",
    "gsd_m",
    "is_cog",
    "iter_windows",
    "make_cog",
    "mosaic",
    "open_raster",
    "pixel_area_m2",
    "read_info",
    "read_window",
    "row_areas_m2",
    "same_grid",
    "stale_overviews",
    "write_cog",
]
