"""Working copies of photos: upright, reduced, without EXIF, under names of our own."""

from __future__ import annotations

from pathlib import Path

import rasterio
from PIL import Image

from geolab.errors import FileRejected, one_line
from geolab.ingest.exif import DAMAGED
from geolab.ingest.photos import FORMATS, Photo, read_photo
from geolab.ingest.thumbnails import upright
from geolab.raster.info import GDAL_ERRORS, gdal_env
from geolab.store import atomic_path

QUALITY = 95
_OPENERS = [name for name in FORMATS if name != "MPO"]


def size_within(width: int, height: int, image_px: int) -> tuple[int, int]:
    """Width and height reduced so that the longer side is at most image_px; 0: as they are."""
    longest = max(width, height)
    if not image_px or longest <= image_px:
        return width, height
    return max(1, round(width * image_px / longest)), max(1, round(height * image_px / longest))


def upright_size(photo: Photo) -> tuple[int, int]:
    """Width and height of a photo as it is shown."""
    return (photo.height, photo.width) if photo.exif.orientation >= 5 else (photo.width, photo.height)


def write_copy(source: Path, target: Path, *, image_px: int) -> tuple[int, int]:
    """Write the photo upright as a JPEG whose longer side is at most image_px; its width and height.

    A copy that is there already is kept: it was written whole. Raises FileRejected if the photo can't be
    decoded to its last byte.
    """
    if not target.is_file():
        photo = read_photo(source)
        picture = upright(_decode(source, photo, image_px), photo.exif.orientation)
        size = size_within(*upright_size(photo), image_px)
        if picture.size != size:
            picture = picture.resize(size, Image.Resampling.LANCZOS)
        with atomic_path(target) as temporary:
            picture.save(temporary, "JPEG", quality=QUALITY, subsampling=0)
    with Image.open(target, formats=["JPEG"]) as copy:
        return copy.width, copy.height


def _decode(path: Path, photo: Photo, image_px: int) -> Image.Image:
    """The photo as stored, RGB, reduced while decoding but not below image_px."""
    try:
        if photo.format in ("JPEG", "MPO"):
            return _decode_jpeg(path, photo, image_px)
        with Image.open(path, formats=_OPENERS) as image:
            image.load()
            if image.mode.startswith(("I", "F")):  # 16 bits and more
                return image.convert("F").point(lambda v: v / 256).convert("L").convert("RGB")
            return image.convert("RGB")
    except (*GDAL_ERRORS, *DAMAGED) as error:
        detail = one_line(str(error.__cause__ or error).replace(str(path), "it"), 100)
        raise FileRejected(str(path), f"its pixels can't be read; copy it again ({detail})") from error


def _decode_jpeg(path: Path, photo: Photo, image_px: int) -> Image.Image:
    """By GDAL, which counts libjpeg's warnings as errors: Pillow shows damaged JPEGs as grey or shifted."""
    longest = max(photo.width, photo.height)
    factor = max((f for f in (2, 4, 8) if image_px and longest >= f * image_px), default=1)
    shape = -(-photo.height // factor), -(-photo.width // factor)
    with gdal_env(), rasterio.open(path, driver="JPEG") as dataset:
        bands = [1, 2, 3] if dataset.count >= 3 else [1]
        pixels = dataset.read(bands, out_shape=(len(bands), *shape))
    picture = Image.fromarray(pixels.transpose(1, 2, 0) if len(bands) == 3 else pixels[0])
    return picture.convert("RGB")
