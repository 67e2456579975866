"""One picture of a raster that is not in the catalogue: drawn here, held by the map itself.

The server draws tiles of catalogue items only. The files of a run become items when it ends; until then, and
wherever else a file has no address on the page's origin, the map carries a small picture of it.
"""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from ipyleaflet import ImageOverlay
from numpy.typing import NDArray
from PIL import Image
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.transform import from_bounds
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds

from geolab import display, raster
from geolab.errors import BadInput, FileRejected
from geolab.maps.layers import Bounds
from geolab.maps.origin import safe
from geolab.raster import hillshade
from geolab.raster.info import positions

MOST_PX = 2048  # longest side of the picture
WEB_MERCATOR = "EPSG:3857"
_RADIUS_M = 6378137.0

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class _Grid:
    """Pixels of Web Mercator. west, north: of the upper left corner, metres."""

    west: float
    north: float
    pixel_m: float
    width: int
    height: int

    def wider(self, px: int) -> _Grid:
        more = px * self.pixel_m
        size = self.width + 2 * px, self.height + 2 * px
        return _Grid(self.west - more, self.north + more, self.pixel_m, *size)

    @property
    def south_east(self) -> tuple[float, float]:
        """(south, east), metres."""
        return self.north - self.height * self.pixel_m, self.west + self.width * self.pixel_m

    @property
    def bounds(self) -> Bounds:
        south, east = self.south_east
        return (_latitude(south), _longitude(self.west)), (_latitude(self.north), _longitude(east))


def _latitude(metres: float) -> float:
    return math.degrees(math.atan(math.sinh(metres / _RADIUS_M)))


def _longitude(metres: float) -> float:
    return math.degrees(metres / _RADIUS_M)


def picture(
    uri: str | Path, *, relief: bool = False, name: str = "", opacity: float = 1.0, visible: bool = True
) -> ImageOverlay:
    """A raster as one picture of at most 2,048 pixels a side, in the stretch that tiles and figures have.

    relief: its first band as heights, lit from the north-west. Raises NotFound, FileRejected; BadInput when
    it lies nowhere on Earth.
    """
    try:
        grid, pixels = _drawn(uri, relief=relief)
    except RasterioError as error:
        raise FileRejected(str(uri), f"its pixels can't be read: {error.__cause__ or error}") from error
    return ImageOverlay(
        url=_address(pixels), bounds=grid.bounds, opacity=opacity, visible=visible,
        name=safe(name or PurePosixPath(str(uri)).name),  # Leaflet writes names into the page as HTML
    )  # fmt: skip


def _drawn(uri: str | Path, *, relief: bool) -> tuple[_Grid, Bytes]:
    with raster.open_raster(uri) as dataset:
        if dataset.crs is None:
            raise BadInput(str(uri), found="no coordinate system", expected="one, to lie on a map")
        grid = _grid(dataset)
        between = () if relief else display.limits(display.read_sample(dataset, _shown(dataset)))
        level = _overview(dataset, grid)
    options = {} if level is None else {"overview_level": level}
    with raster.open_raster(uri, **options) as dataset:
        return grid, _relief(dataset, grid) if relief else _colours(dataset, grid, between)


def _grid(dataset: DatasetReader) -> _Grid:
    """Where the picture's pixels lie: as fine as the raster's, unless they are too many."""
    corners = np.array([(0, 0, 1, 1), (0, 1, 0, 1)]) * [[dataset.width], [dataset.height]]
    xs, ys = positions(dataset.transform, *corners)  # a raster may be turned
    box = (float(xs.min()), float(ys.min()), float(xs.max()), float(ys.max()))
    west, south, east, north = transform_bounds(dataset.crs, WEB_MERCATOR, *box, densify_pts=21)
    if not all(map(math.isfinite, (west, south, east, north))) or west >= east or south >= north:
        raise BadInput(dataset.name, found="pixels outside Web Mercator", expected="latitudes within 85°")
    own_m = math.sqrt((east - west) * (north - south) / (dataset.width * dataset.height))
    pixel_m = max(own_m, (east - west) / MOST_PX, (north - south) / MOST_PX)
    width, height = (max(1, round(length / pixel_m)) for length in (east - west, north - south))
    return _Grid(west, north, pixel_m, width, height)


def _overview(dataset: DatasetReader, grid: _Grid) -> int | None:
    """The coarsest overview that still has the picture's resolution; None for the raster itself."""
    south, east = grid.south_east
    own_m = math.sqrt((east - grid.west) * (grid.north - south) / (dataset.width * dataset.height))
    fitting = [i for i, level in enumerate(dataset.overviews(1)) if level <= grid.pixel_m / own_m * 1.01]
    return fitting[-1] if fitting else None


def _shown(dataset: DatasetReader) -> tuple[int, ...]:
    colours = [c.name for c in dataset.colorinterp]
    return display.rgb_bands(dataset.descriptions, colours, count=sum(c != "alpha" for c in colours))


def _warped(
    dataset: DatasetReader, grid: _Grid, bands: tuple[int, ...]
) -> tuple[np.ndarray, NDArray[np.bool_]]:
    """Pixels [band, y, x] on the grid and where all of them are valid [y, x]."""
    south, east = grid.south_east
    size = {"width": grid.width, "height": grid.height}
    where = from_bounds(grid.west, south, east, grid.north, **size)
    options = {} if _has_mask(dataset) else {"add_alpha": True}
    with WarpedVRT(dataset, crs=WEB_MERCATOR, transform=where, resampling=1, **size, **options) as warped:
        read = warped.read(list(bands), masked=True)
    pixels = np.ma.getdata(read)
    valid = ~np.ma.getmaskarray(read).any(axis=0)
    return pixels, np.asarray(valid & np.isfinite(pixels).all(axis=0))


def _has_mask(dataset: DatasetReader) -> bool:
    """Whether the file itself says which pixels are valid: by nodata or by an alpha band."""
    return dataset.nodata is not None or "alpha" in (c.name for c in dataset.colorinterp)


def _colours(dataset: DatasetReader, grid: _Grid, between: display.Limits) -> Bytes:
    pixels, valid = _warped(dataset, grid, _shown(dataset))
    shown = display.stretch(pixels, between)
    return _rgba(np.repeat(shown, 3, axis=0) if len(shown) == 1 else shown, valid)


def _relief(dataset: DatasetReader, grid: _Grid) -> Bytes:
    heights, valid = _warped(dataset, grid.wider(1), (1,))
    south, _ = grid.south_east
    pixel_m = hillshade.ground_m(grid.pixel_m, (south + grid.north) / 2)
    bright = hillshade.shade(heights[0], valid, pixel_m)
    return _rgba(np.repeat(bright[None], 3, axis=0), valid[1:-1, 1:-1])


def _rgba(rgb: Bytes, valid: NDArray[np.bool_]) -> Bytes:
    alpha = valid[None].astype(np.uint8) * 255
    return np.ascontiguousarray(np.moveaxis(np.concatenate([rgb, alpha]), 0, -1))


def _address(pixels: Bytes) -> str:
    """The picture [y, x, 4] as an address that holds it whole."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", quality=85, method=2)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
