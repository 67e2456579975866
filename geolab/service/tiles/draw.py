"""Map tiles of a raster: what may be asked, how it is drawn, what is kept.

A tile is 256 px of Web Mercator. Which bands it shows and between which values comes from
`display`, so that a tile looks like the figure of the same image.
"""

from __future__ import annotations

import io
import math
import re
import threading
import warnings
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from morecantile import Tile as MercatorTile
from morecantile.defaults import tms
from PIL import Image
from rasterio.errors import RasterioError
from rasterio.transform import from_bounds
from rasterio.warp import transform_bounds

# At the top on purpose: two threads that import rio-tiler at once break its circular imports (9.4.12).
from rio_tiler.colormap import cmap
from rio_tiler.errors import NoOverviewWarning, TileOutsideBounds
from rio_tiler.io import Reader

from geolab import display, raster
from geolab.errors import BadInput, FileRejected
from geolab.raster import hillshade

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

Array = np.ndarray
Resampling = Literal["nearest", "bilinear"]
Palette = Mapping[int, tuple[int, int, int, int]]

warnings.filterwarnings("ignore", category=NoOverviewWarning)  # which one is read is chosen below

MERCATOR = tms.get("WebMercatorQuad")
WEB_MERCATOR = "EPSG:3857"
TILE_PX = 256
DEEPEST_ZOOM = 24  # 1 cm pixels
CHANGE = (0xE8, 0x59, 0x0C, 255)
FORMATS = {"png": "image/png", "webp": "image/webp", "jpg": "image/jpeg"}
COLORMAPS = ("change", "cividis", "gray", "hillshade")
_PARAMETERS = ("bidx", "rescale", "colormap")
_NUMBER = re.compile(r"[+-]?\d{1,20}(\.\d{1,20})?([eE][+-]?\d{1,2})?")


@dataclass(frozen=True)
class Tile:
    """One tile as asked for. bands: numbers from 1, empty for the usual ones; limits: (low, high) each."""

    z: int
    x: int
    y: int
    format: str = "png"
    bands: tuple[int, ...] = ()
    limits: display.Limits = ()
    colormap: str = ""

    @property
    def content_type(self) -> str:
        return FORMATS[self.format]


def parse(z: str, x: str, y: str, format: str, query: Mapping[str, Sequence[str]]) -> Tile:
    """The tile that a request's path and query name. Raises BadInput for anything else."""
    unknown = sorted(set(query) - set(_PARAMETERS))
    if unknown:
        raise BadInput("tile query", found=unknown[0][:40], expected=f"only {', '.join(_PARAMETERS)}")
    zoom = _whole(z, "z", DEEPEST_ZOOM)
    side = 2**zoom - 1
    bands = tuple(_whole(text, "bidx", 65535, least=1) for text in query.get("bidx", ()))
    limits = tuple(_limits(text) for text in query.get("rescale", ()))
    colormap = (list(query.get("colormap", ())) or [""])[-1]
    if len(bands) not in (0, 1, 3):
        raise BadInput("bidx", found=f"{len(bands)} bands", expected="1 or 3")
    if len(limits) not in (0, 1, 3):
        raise BadInput("rescale", found=f"{len(limits)} ranges", expected="1, or 3 for three bands")
    if colormap and colormap not in COLORMAPS:
        raise BadInput("colormap", found=colormap[:40], expected=" | ".join(COLORMAPS))
    if colormap and len(bands) > 1:
        raise BadInput("bidx", found=f"{len(bands)} bands", expected="1 with a colormap")
    if format not in FORMATS:
        raise BadInput("tile format", found=format[:10], expected=" | ".join(FORMATS))
    return Tile(zoom, _whole(x, "x", side), _whole(y, "y", side), format, bands, limits, colormap)


def _whole(text: str, name: str, most: int, *, least: int = 0) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text) <= most:
        raise BadInput(name, found=text[:20] or "nothing", expected=f"a whole number from {least} to {most}")
    return int(text)


def _limits(text: str) -> tuple[float, float]:
    parts = text.split(",")
    if len(parts) == 2 and all(_NUMBER.fullmatch(p) for p in parts) and float(parts[0]) < float(parts[1]):
        return float(parts[0]), float(parts[1])
    raise BadInput("rescale", found=text[:40], expected="low,high with low < high")


# ---------------------------------------------------------------- drawing


def render(uri: str, tile: Tile, *, version: str = "") -> bytes | None:
    """The tile as an encoded image; None where the raster does not reach.

    version: changes when the pixels behind the URI do; the stretch is read again then.
    Invalid pixels are transparent (white in a JPEG). Raises BadInput when the raster lies nowhere
    on Earth or lacks a band, FileRejected, NotFound.
    """
    with raster.open_raster(uri) as dataset:
        if dataset.crs is None and not dataset.gcps[0]:
            raise BadInput("raster", found="no coordinate system", expected="one, to lie on a map")
        bands = _bands(dataset, tile)
        if len(tile.limits) not in (0, 1, len(bands)):
            raise BadInput("rescale", found=f"{len(tile.limits)} ranges", expected=f"1 or {len(bands)}")
        palette = _palette(dataset, bands, tile.colormap)
        overview = _overview(dataset, tile.z)
    how: Resampling = "nearest" if palette is not None else "bilinear"
    try:
        image = _read(uri, tile, bands, overview, how, margin=int(tile.colormap == "hillshade"))
    except RasterioError as error:
        raise FileRejected(uri, f"its pixels can't be read: {error.__cause__ or error}") from error
    if image is None:
        return None
    pixels, valid = _values(image)
    if palette is not None:
        return _encode(*_colored(pixels[0], valid, palette), tile.format)
    if tile.colormap == "hillshade":
        bright = hillshade.shade(pixels[0], valid, _pixel_m(tile))
        return _encode(np.repeat(bright[None], 3, axis=0), valid[1:-1, 1:-1], tile.format)
    between = tile.limits or stretch(uri, bands, version)
    shown = display.stretch(pixels, between * len(bands) if len(between) == 1 else between)
    if tile.colormap == "cividis":
        return _encode(*_colored(shown[0], valid, _cividis()), tile.format)
    return _encode(np.repeat(shown, 3, axis=0) if len(shown) == 1 else shown, valid, tile.format)


def _read(
    uri: str, tile: Tile, bands: tuple[int, ...], overview: int | None, how: Resampling, *, margin: int
) -> np.ma.MaskedArray | None:
    """The pixels of a tile, [band, y, x], warped once, straight from the overview that fits.

    margin: pixels more on each side. rio-tiler alone would warp at the raster's own resolution first: at
    zoom 7 of a 0.5 m raster GDAL then wants 390 GB.
    """
    west, south, east, north = MERCATOR.xy_bounds(MercatorTile(tile.x, tile.y, tile.z))
    size, more = TILE_PX + 2 * margin, (east - west) / TILE_PX * margin
    grid = from_bounds(west - more, south - more, east + more, north + more, size, size)
    options = {} if overview is None else {"overview_level": overview}
    with raster.open_raster(uri, **options) as dataset:
        reader = Reader(None, dataset=dataset)  # pyright: ignore[reportCallIssue]
        try:
            return reader.tile(
                tile.x,
                tile.y,
                tile.z,
                indexes=bands,
                reproject_method=how,
                buffer=margin,
                vrt_options={"transform": grid, "width": size, "height": size},
            ).array
        except TileOutsideBounds:
            return None


def _pixel_m(tile: Tile) -> float:
    """Side of the tile's pixels on the ground, in its middle."""
    box = MERCATOR.xy_bounds(MercatorTile(tile.x, tile.y, tile.z))
    return hillshade.ground_m((box.right - box.left) / TILE_PX, (box.top + box.bottom) / 2)


def _overview(dataset: DatasetReader, zoom: int) -> int | None:
    """The coarsest overview that still has the tile's resolution; None for the raster itself."""
    levels = dataset.overviews(1)
    if not levels or dataset.crs is None:
        return None
    west, south, east, north = dataset.bounds
    if dataset.crs.is_geographic:
        south, north = max(south, -85.0), min(north, 85.0)
    box = transform_bounds(dataset.crs, WEB_MERCATOR, west, south, east, north)
    pixel_m = math.sqrt((box[2] - box[0]) * (box[3] - box[1]) / (dataset.width * dataset.height))
    factor = MERCATOR.matrix(zoom).cellSize / pixel_m
    fitting = [index for index, level in enumerate(levels) if level <= factor]
    return fitting[-1] if fitting else None


def _bands(dataset: DatasetReader, tile: Tile) -> tuple[int, ...]:
    if tile.bands and max(tile.bands) > dataset.count:
        raise BadInput(
            "bidx", found=max(tile.bands), expected=f"at most {dataset.count}, the number of bands"
        )
    if tile.bands or tile.colormap:
        return tile.bands or (1,)
    colors = [c.name for c in dataset.colorinterp]
    count = sum(color != "alpha" for color in colors)
    return display.rgb_bands(dataset.descriptions, colors, count=count)


def _values(array: np.ma.MaskedArray) -> tuple[Array, Array]:
    """Pixels [band, y, x] and where all of them are valid [y, x]."""
    pixels = np.ma.getdata(array)
    pixels = np.abs(pixels) if np.iscomplexobj(pixels) else pixels
    valid = np.asarray(~np.ma.getmaskarray(array).any(axis=0))
    if np.issubdtype(pixels.dtype, np.floating):
        valid &= np.isfinite(pixels).all(axis=0)
    return pixels, valid


def _palette(dataset: DatasetReader, bands: tuple[int, ...], colormap: str) -> Palette | None:
    """The colours of a raster of classes: the change mask's, or the file's own."""
    if colormap == "change":
        return {1: CHANGE}
    if not colormap and len(bands) == 1 and dataset.colorinterp[bands[0] - 1].name == "palette":
        return dataset.colormap(bands[0])
    return None


@lru_cache(1)
def _cividis() -> Palette:
    return {int(value): tuple(rgba) for value, rgba in cmap.get("cividis").items()}  # pyright: ignore[reportAttributeAccessIssue,reportReturnType]


def _colored(classes: Array, valid: Array, palette: Palette) -> tuple[Array, Array]:
    """Classes [y, x] in their colours [3, y, x] and opacity [y, x]; unlisted values are transparent."""
    table = np.zeros((256, 4), np.uint8)
    for value, rgba in palette.items():
        if 0 <= value < 256:
            table[value] = rgba
    inside = valid & (classes >= 0) & (classes < 256)
    rgba = table[np.where(inside, classes, 0).astype(np.uint8)]
    return np.moveaxis(rgba[..., :3], -1, 0), np.where(inside, rgba[..., 3], 0)


def _encode(rgb: Array, opacity: Array, format: str) -> bytes:
    alpha = opacity.astype(np.uint8) * 255 if opacity.dtype == bool else opacity.astype(np.uint8)
    image = Image.fromarray(np.ascontiguousarray(np.moveaxis(np.concatenate([rgb, alpha[None]]), 0, -1)))
    if format == "jpg":
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.getchannel("A"))
        image = white
    options: dict[str, Any] = {
        "png": {"compress_level": 3},
        "webp": {"quality": 85, "method": 2},
        "jpg": {"quality": 88},
    }[format]
    buffer = io.BytesIO()
    image.save(buffer, {"jpg": "JPEG"}.get(format, format.upper()), **options)
    return buffer.getvalue()


@lru_cache(1024)
def stretch(uri: str, bands: tuple[int, ...], version: str) -> display.Limits:  # noqa: ARG001
    """The (low, high) of each band, 2-98 % of an overview; read once for each version of the pixels."""
    with raster.open_raster(uri) as dataset:
        return display.limits(display.read_sample(dataset, bands))


# ---------------------------------------------------------------- keeping


class Cache:
    """The most recently used encoded tiles, up to a number of bytes; None is kept too (nothing there)."""

    def __init__(self, most_bytes: int = 64_000_000):
        self._most, self._size = most_bytes, 0
        self._tiles: OrderedDict[str, bytes | None] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> tuple[bool, bytes | None]:
        """Whether the tile is known, and its bytes."""
        with self._lock:
            if key not in self._tiles:
                return False, None
            self._tiles.move_to_end(key)
            return True, self._tiles[key]

    def put(self, key: str, data: bytes | None) -> None:
        with self._lock:
            self._size += _cost(data) - (_cost(self._tiles.pop(key)) if key in self._tiles else 0)
            self._tiles[key] = data
            while self._size > self._most and len(self._tiles) > 1:
                _, oldest = self._tiles.popitem(last=False)
                self._size -= _cost(oldest)


def _cost(data: bytes | None) -> int:
    return len(data or b"") + 200
