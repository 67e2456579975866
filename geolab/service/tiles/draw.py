"""Tiles as pictures. A tile is 256 px of Web Mercator.

Which bands it shows and between which values comes from `display`, so that a tile looks like the
figure of the same image.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from rasterio.enums import Resampling
from rasterio.errors import RasterioError

from geolab import display, raster
from geolab.errors import BadInput, FileRejected
from geolab.raster import hillshade
from geolab.service.tiles import colors, encode, expression, sample, sources
from geolab.service.tiles.asked import TILE_PX, Tile
from geolab.service.tiles.keep import Kept
from geolab.service.tiles.sample import EDGE_M
from geolab.service.tiles.sources import Header, Source
from geolab.service.tiles.warp import Read, overview, pixel_m, warped

Array = np.ndarray

LEVELS_BYTES = 32_000_000
_levels: Kept[Array | None] = sources.Kept(LEVELS_BYTES, lambda a: 200 if a is None else a.nbytes)


def render(uri: str, tile: Tile, *, version: str = "") -> bytes | None:
    """The tile as an encoded image; None where the raster does not reach.

    version: changes when the pixels behind the URI do; the stretch is read again then.
    Invalid pixels are transparent (white in a JPEG). Raises BadInput when the raster lies nowhere
    on Earth or lacks a band, FileRejected, NotFound.
    """
    of = sources.source(uri, version)
    head = sources.header(of)
    if head.crs is None and not head.has_gcps:
        raise BadInput("raster", found="no coordinate system", expected="one, to lie on a map")
    try:
        return _drawn(of, head, tile)
    except RasterioError as error:
        raise FileRejected(uri, f"its pixels can't be read: {error.__cause__ or error}") from error


def _drawn(of: Source, head: Header, tile: Tile) -> bytes | None:
    bands = _bands(head, tile)
    if tile.threshold is not None:
        return _thresholded(of, head, tile, bands, tile.threshold)
    if tile.expression:
        return _calculated(of, head, tile, bands)
    table = _table(of, head, bands, tile.colormap)
    if table is not None:
        found = _read(of, head, tile, bands, Resampling.nearest)
        return None if found is None else _classes(found[0][0], found[1], table, tile.format)
    if tile.colormap == "hillshade":
        found = _read(of, head, tile, bands, Resampling.bilinear, margin=1)
        return None if found is None else _relief(*found, tile)
    _check_limits(tile, len(bands))
    found = _read(of, head, tile, bands, Resampling.bilinear)
    if found is None:
        return None
    return _stretched(*found, tile.limits or stretch(of.uri, bands, of.version), tile)


def _stretched(pixels: Array, valid: Array, between: display.Limits, tile: Tile) -> bytes:
    shown = display.stretch(pixels, between * len(pixels) if len(between) == 1 else between)
    if tile.colormap and tile.colormap != "gray":
        rgb = colors.ramp(tile.colormap)[shown[0]][..., :3]
        return encode.picture(np.moveaxis(rgb, -1, 0), valid, tile.format)
    return encode.picture(np.repeat(shown, 3, axis=0) if len(shown) == 1 else shown, valid, tile.format)


def _classes(values: Array, valid: Array, table: colors.Table, format: str) -> bytes:
    """Classes [y, x] in their colours; invalid ones are transparent."""
    inside = valid & (values >= 0) & (values < 256)
    indices = np.where(inside, values, 0).astype(np.uint8)
    if inside.all() or table[0, 3] == 0:  # class 0 is transparent: it can stand for nothing
        return encode.indexed(indices, table, format)
    rgba = table[indices]
    return encode.picture(np.moveaxis(rgba[..., :3], -1, 0), np.where(inside, rgba[..., 3], 0), format)


def _relief(pixels: Array, valid: Array, tile: Tile) -> bytes:
    middle = EDGE_M - (tile.y + 0.5) * TILE_PX * pixel_m(tile.z)
    ground_m = hillshade.ground_m(pixel_m(tile.z), middle)
    bright = hillshade.shade(pixels[0], valid, ground_m)
    return encode.picture(np.repeat(bright[None], 3, axis=0), valid[1:-1, 1:-1], tile.format)


# ---------------------------------------------------------------- probabilities and band math


def _thresholded(
    of: Source, head: Header, tile: Tile, bands: tuple[int, ...], threshold: float
) -> bytes | None:
    """The pixels are kept: another threshold reads nothing."""
    if head.dtypes[bands[0] - 1] != "uint8":
        raise BadInput(
            "threshold",
            found=f"pixels of {head.dtypes[bands[0] - 1]}",
            expected="levels of probability, bytes",
        )
    levels = _levels.get((of, bands, tile.z, tile.x, tile.y), lambda: _read_levels(of, head, tile, bands))
    if levels is None:
        return None
    table = colors.probability(threshold, fading=tile.colormap == "uncertain")
    return encode.indexed(levels, table, tile.format)


def _read_levels(of: Source, head: Header, tile: Tile, bands: tuple[int, ...]) -> Array | None:
    found = _read(of, head, tile, bands, Resampling.nearest)
    return None if found is None else np.where(found[1], found[0][0], colors.NODATA).astype(np.uint8)


def _calculated(of: Source, head: Header, tile: Tile, bands: tuple[int, ...]) -> bytes | None:
    _check_limits(tile, len(tile.expression))
    found = _read(of, head, tile, bands, Resampling.bilinear)
    if found is None:
        return None
    values = _evaluate(tile.expression, bands, found[0])
    valid = found[1] & np.isfinite(values).all(axis=0)
    return _stretched(values, valid, tile.limits or _stretch_of(tile.expression, bands, of), tile)


def _evaluate(trees: tuple[expression.Node, ...], bands: tuple[int, ...], pixels: Array) -> Array:
    return expression.evaluate(trees, dict(zip(bands, pixels, strict=True)), pixels.shape[1:])


@lru_cache(256)
def _stretch_of(trees: tuple[expression.Node, ...], bands: tuple[int, ...], of: Source) -> display.Limits:
    """The (low, high) of each expression, 2-98 % of an overview."""
    with raster.open_raster(of.uri) as dataset:
        values = _evaluate(trees, bands, display.read_sample(dataset, bands))
    return display.limits(np.where(np.isfinite(values), values, np.nan))


@lru_cache(1024)
def stretch(uri: str, bands: tuple[int, ...], version: str) -> display.Limits:  # noqa: ARG001
    """The (low, high) of each band, 2-98 % of an overview; read once for each version of the pixels."""
    with raster.open_raster(uri) as dataset:
        return display.limits(display.read_sample(dataset, bands))


# ---------------------------------------------------------------- bands and pixels


def _bands(head: Header, tile: Tile) -> tuple[int, ...]:
    asked = expression.bands(tile.expression) or tile.bands
    if asked and max(asked) > head.count:
        raise BadInput(
            "expression" if tile.expression else "bidx",
            found=f"band {max(asked)}",
            expected=f"at most {head.count}, the number of bands",
        )
    if asked or tile.colormap or tile.expression or tile.threshold is not None:
        return asked or (1,)
    count = sum(color != "alpha" for color in head.colors)
    return display.rgb_bands(head.descriptions, head.colors, count=count)


def _check_limits(tile: Tile, count: int) -> None:
    if len(tile.limits) not in (0, 1, count):
        raise BadInput("rescale", found=f"{len(tile.limits)} ranges", expected=f"1 or {count}")


def _table(of: Source, head: Header, bands: tuple[int, ...], colormap: str) -> colors.Table | None:
    """The colours of a raster of classes: the change mask's, or the file's own."""
    if colormap == "change":
        return colors.change()
    if not colormap and len(bands) == 1 and head.colors[bands[0] - 1] == "palette":
        return colors.classes(sources.colormap(of, bands[0]))
    return None


def _read(
    of: Source, head: Header, tile: Tile, bands: tuple[int, ...], how: Resampling, *, margin: int = 0
) -> Read | None:
    """The pixels of a tile from the overview that fits; None outside. margin: pixels more on each side."""
    if tile.z > 24 or head.crs is None or head.transform.determinant == 0:
        return warped(of, head, tile, bands, how, margin=margin)
    level = overview(head, tile.z)
    at = sample.places(sources.header(of, level), tile.z, tile.x, tile.y, TILE_PX, margin)
    if at is None or at.ratio > sample.MOST_RATIO:
        return warped(of, head, tile, bands, how, margin=margin)
    return (sample.nearest if how == Resampling.nearest else sample.smooth)(of, level, bands, at)
