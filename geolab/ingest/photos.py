"""Photos: pictures that lie nowhere on a grid, but were taken somewhere, at some time, by some camera."""

from __future__ import annotations

import warnings as python_warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rasterio
from PIL import (  # importing a plugin registers its format
    AvifImagePlugin,  # noqa: F401
    Image,
    JpegImagePlugin,  # noqa: F401
    MpoImagePlugin,  # noqa: F401
    PngImagePlugin,  # noqa: F401
    TiffImagePlugin,  # noqa: F401
    UnidentifiedImageError,
    WebPImagePlugin,  # noqa: F401
)

from geolab.errors import FileRejected, one_line
from geolab.ingest import camera
from geolab.ingest.exif import DAMAGED, Exif, read_exif
from geolab.ingest.thumbnails import LONGEST_PX
from geolab.ingest.xmp import read_xmp
from geolab.raster.info import GDAL_ERRORS, gdal_env

LARGEST_PX = 200_000_000  # the largest aerial cameras have 150 million
FORMATS = {  # Pillow's name: our suffix and media type
    "JPEG": (".jpg", "image/jpeg"),
    "MPO": (".jpg", "image/jpeg"),
    "PNG": (".png", "image/png"),
    "TIFF": (".tif", "image/tiff"),
    "WEBP": (".webp", "image/webp"),
    "AVIF": (".avif", "image/avif"),
}
_OPENERS = [name for name in FORMATS if name != "MPO"]  # the JPEG plugin opens those
_DNG_VERSION = 50706

# Before a pixel is decoded; Pillow alone would warn from 89 million on and refuse twice as many.
Image.MAX_IMAGE_PIXELS = LARGEST_PX
python_warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
# read_exif reports damage by itself, per photo.
python_warnings.filterwarnings("ignore", module=r"PIL\.TiffImagePlugin")


@dataclass(frozen=True)
class Photo:
    """What a photo's header says. width, height: of the stored pixels, before orientation."""

    format: str
    width: int
    height: int
    exif: Exif
    xmp: dict[str, float]
    has_metadata: bool
    warnings: tuple[str, ...]


def read_photo(path: Path) -> Photo:
    """The header of a photo; no pixel is read. Raises FileRejected."""
    try:
        with Image.open(path, formats=_OPENERS) as image:
            if image.width * image.height > LARGEST_PX:  # where warnings are not errors
                raise Image.DecompressionBombError
            if image.format == "TIFF" and _DNG_VERSION in image.tag_v2:  # type: ignore[attr-defined]
                raise FileRejected(str(path), "it is a raw photo (DNG); develop it to JPEG first")
            exif = read_exif(image)
            notes = list(exif.warnings)
            packet = _xmp_packet(image)
            xmp = read_xmp(packet, notes)
            known = bool(packet or image.info.get("exif") or exif.position or exif.taken)
            return Photo(
                image.format or "", image.width, image.height, exif, xmp, known, tuple(dict.fromkeys(notes))
            )
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise FileRejected(
            str(path), f"it claims more than the {LARGEST_PX // 10**6} million pixels that are read"
        ) from error
    except UnidentifiedImageError as error:
        raise FileRejected(str(path), "its header is damaged; copy or download it again") from error
    except DAMAGED as error:
        raise FileRejected(str(path), f"its header is damaged: {one_line(error, 120)}") from error


def _xmp_packet(image: Image.Image) -> object:
    return image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")


# ---------------------------------------------------------------- pixels


def read_picture(path: Path, photo: Photo) -> Image.Image:
    """The whole photo decoded, reduced towards the size of a thumbnail, as stored (not turned).

    Every byte of the image data is decoded: raises FileRejected if the data are cut off or damaged.
    """
    try:
        return _read_jpeg(path, photo) if photo.format in ("JPEG", "MPO") else _read_other(path)
    except (*GDAL_ERRORS, *DAMAGED) as error:
        cause = error.__cause__ or error
        detail = one_line(str(cause).replace(f"{path.name}, ", "").replace(str(path), "it"), 100)
        raise FileRejected(
            str(path), f"its pixels can't be read, the file is cut off or damaged; copy it again ({detail})"
        ) from error


def _read_jpeg(path: Path, photo: Photo) -> Image.Image:
    """By GDAL, which counts libjpeg's warnings as errors: Pillow shows damaged JPEGs as grey or shifted."""
    factor = max((f for f in (1, 2, 4, 8) if max(photo.width, photo.height) >= f * LONGEST_PX), default=1)
    shape = -(-photo.height // factor), -(-photo.width // factor)
    with gdal_env(), rasterio.open(path, driver="JPEG") as dataset:
        bands = [1, 2, 3] if dataset.count >= 3 else [1]
        pixels = dataset.read(bands, out_shape=(len(bands), *shape))
    return Image.fromarray(pixels.transpose(1, 2, 0) if len(bands) == 3 else pixels[0])


def _read_other(path: Path) -> Image.Image:
    with Image.open(path, formats=_OPENERS) as image:
        image.load()
        if image.mode.startswith(("I", "F")):  # 16 bits and more
            return image.convert("F").point(lambda v: v / 256).convert("L")
        return image.convert("RGBA" if image.mode in ("RGBA", "LA", "PA") else "RGB")


# ---------------------------------------------------------------- fields of the item


def geometry(photo: Photo) -> dict[str, Any] | None:
    """The position as a GeoJSON point, longitude and latitude; None without one."""
    place = photo.exif.position
    return None if place is None else {"type": "Point", "coordinates": [place.lon, place.lat]}


def properties(photo: Photo) -> dict[str, Any]:
    """What is known of a photo: camera, size, angles, heights, footprint; without what is unknown.

    Heights are metres, angles degrees. geolab:footprint is a GeoJSON polygon, on flat ground at the height
    of the take-off, of a photo with height, gimbal angles and field of view.
    """
    exif, place = photo.exif, photo.exif.position
    focal_px = camera.focal_px(exif, photo.width, photo.height, photo.xmp.get("calibrated_focal_px"))
    found: dict[str, Any] = {
        "position": None if place is None else [place.lon, place.lat],
        "altitude_m": None if place is None else _rounded(place.altitude_m),
        "altitude_datum": None if place is None else place.datum,
        "camera_make": exif.make,
        "camera_model": exif.model,
        "focal_mm": _rounded(exif.focal_mm),
        "focal_35mm": _rounded(exif.focal_35mm),
        "focal_px": _rounded(focal_px),
        "width_px": photo.width,
        "height_px": photo.height,
        "orientation": exif.orientation,
        "local_time": exif.local_time,
        **{name: value for name, value in photo.xmp.items() if name != "calibrated_focal_px"},
    }
    view = _view(photo, focal_px)
    if view is not None and (outline := camera.footprint_geojson(view)) is not None:
        found["footprint"] = outline
    named = {f"geolab:{name}": value for name, value in found.items() if value is not None}
    ground = camera.gsd_m(view) if view is not None else None
    return named if ground is None else named | {"gsd": float(f"{ground:.6g}")}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _view(photo: Photo, focal_px: float | None) -> camera.View | None:
    place, xmp = photo.exif.position, photo.xmp
    height, yaw, pitch = (xmp.get(n) for n in ("relative_altitude_m", "gimbal_yaw_deg", "gimbal_pitch_deg"))
    if place is None or focal_px is None or height is None or yaw is None or pitch is None or height <= 0:
        return None
    turned = photo.exif.orientation >= 5
    width, tall = (photo.height, photo.width) if turned else (photo.width, photo.height)
    roll = xmp.get("gimbal_roll_deg", 0.0)
    return camera.View(place.lon, place.lat, height, yaw, pitch, roll, focal_px, width, tall)
