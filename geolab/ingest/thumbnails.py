"""Small pictures of rasters and photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from rasterio.enums import Resampling
from rasterio.io import DatasetReader

from geolab.raster import Info, open_raster
from geolab.raster.info import info_of

Array = np.ndarray
LONGEST_PX = 512
NAME = "thumbnail.webp"
MEDIA_TYPE = "image/webp"
_RED_GREEN_BLUE = (("red", "green", "blue"), ("b04", "b03", "b02"))


def write_raster_thumbnail(uri: str, target: Path) -> None:
    """Write a picture at most LONGEST_PX long: red, green and blue (else the first three bands, a palette,
    or grey), each stretched from its 2nd to its 98th percentile; invalid pixels are transparent."""
    with open_raster(uri) as dataset:
        info = info_of(dataset, uri)
        scale = min(1.0, LONGEST_PX / max(info.shape))
        shape = tuple(max(1, round(side * scale)) for side in info.shape)
        if info.colorinterp[0] == "palette":
            rgb = _palette(dataset, shape)
        else:
            bands = rgb_bands(info)
            pixels = dataset.read(bands, out_shape=(len(bands), *shape), resampling=_resampling(info))
            valid = dataset.read_masks(bands, out_shape=(len(bands), *shape)) > 0
            rgb = np.stack([stretch(p, v) for p, v in zip(pixels, valid, strict=True)], axis=-1)
        alpha = _visible(dataset, shape)
        north_up = (slice(None, None, -1 if info.transform.e > 0 else 1),)
    if rgb.shape[-1] == 1:
        rgb = rgb.repeat(3, axis=-1)
    _save(Image.fromarray(np.ascontiguousarray(np.dstack([rgb, alpha])[north_up])), target)


def rgb_bands(info: Info) -> list[int]:
    """The numbers, from 1, of the bands to show: three, or one."""
    names = [name.lower() for name in info.band_names]
    for wanted, given in (
        (_RED_GREEN_BLUE[0], list(info.colorinterp)),
        *((w, names) for w in _RED_GREEN_BLUE),
    ):
        if all(colour in given for colour in wanted):
            return [given.index(colour) + 1 for colour in wanted]
    return list(info.data_bands[:3] if len(info.data_bands) >= 3 else info.data_bands[:1]) or [1]


def stretch(pixels: Array, valid: Array) -> Array:
    """[y, x] uint8: the 2nd percentile of the valid pixels becomes 0, the 98th 255; a constant, grey."""
    values = (np.abs(pixels) if np.iscomplexobj(pixels) else pixels).astype(np.float64)
    valid = valid & np.isfinite(values)
    if not valid.any():
        return np.zeros(values.shape, np.uint8)
    low, high = np.percentile(values[valid], (2, 98))
    if low == high:  # a mask with few set pixels
        low, high = values[valid].min(), values[valid].max()
    if low == high:
        return np.full(values.shape, 128, np.uint8)
    scaled = (np.where(valid, values, low) - low) / (high - low)
    return (np.clip(scaled, 0, 1) * 255).round().astype(np.uint8)


def _resampling(info: Info) -> Resampling:
    return Resampling.nearest if "complex" in info.dtype else Resampling.average


def _palette(dataset: DatasetReader, shape: tuple[int, ...]) -> Array:
    indices = dataset.read(1, out_shape=shape)
    colours = np.zeros((max(256, int(indices.max()) + 1), 3), np.uint8)
    for index, colour in dataset.colormap(1).items():
        colours[index] = colour[:3]
    return colours[indices]


def _visible(dataset: DatasetReader, shape: tuple[int, ...]) -> Array:
    """[y, x] uint8, 0 where the dataset is invalid."""
    # any opacity counts: in files of 16 bits with an alpha of 0..255 all of it is next to nothing
    alpha = np.where(dataset.dataset_mask(out_shape=shape) > 0, 255, 0)
    if np.issubdtype(dataset.dtypes[0], np.floating):
        alpha = np.where(np.isnan(dataset.read(1, out_shape=shape)), 0, alpha)
    return alpha.astype(np.uint8)


def write_photo_thumbnail(picture: Image.Image, orientation: int, target: Path) -> None:
    """Write a picture at most LONGEST_PX long, turned upright by the EXIF orientation."""
    small = picture.copy() if picture.mode in ("RGB", "RGBA", "L") else picture.convert("RGB")
    small.thumbnail((LONGEST_PX, LONGEST_PX))
    _save(upright(small, orientation), target)


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def upright(picture: Image.Image, orientation: int) -> Image.Image:
    """The picture as EXIF orientation 1..8 wants it shown."""
    return picture.transpose(_TURNS[orientation]) if orientation in _TURNS else picture


def _save(picture: Image.Image, target: Path) -> None:
    picture.save(target, "WEBP", quality=80, method=2)
