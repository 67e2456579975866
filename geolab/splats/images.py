"""The pixels of a view: as its camera saw them, straight, at the size asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from geolab.errors import BadInput, FileRejected, one_line
from geolab.ingest.exif import DAMAGED, read_exif
from geolab.ingest.photos import FORMATS, LARGEST_PX
from geolab.raster.info import GDAL_ERRORS, gdal_env
from geolab.splats.loaders import areas, lenses
from geolab.splats.loaders.draft import alike, fitted, scaled, turned
from geolab.splats.views import Camera, View

Pixels = NDArray[np.uint8]
Bools = NDArray[np.bool_]
_OPENERS = [name for name in FORMATS if name != "MPO"]  # the JPEG plugin opens those
_WHOLE = 0.99  # of a pixel must be free: what is masked must not shine into what is learnt
_QUARTER, _LARGE = 1, 1024  # GDAL's overview of that size, which JPEGs from so many pixels a side have
_FINE = 2  # a JPEG reduced while it is decoded keeps at least so many pixels a side for each new one
_ROOM = 2  # a distorted photo is straightened at up to so many times the size asked for
_TURNED = (5, 6, 7, 8)  # EXIF orientations that swap the sides
_FLIPPED_Y, _FLIPPED_X = (3, 4, 7, 8), (2, 3, 6, 7)  # and that mirror, after that


@dataclass(frozen=True)
class Loaded:
    """rgb uint8 [H, W, 3]; camera: PINHOLE, of that size; mask bool [H, W], False where the pixel says
    nothing (masked, transparent, beyond the photo's edge), or None if all say something."""

    rgb: Pixels
    camera: Camera
    mask: Bools | None


def load(view: View, *, image_px: int = 0) -> Loaded:
    """The photo of a view without distortion, its longest side reduced to `image_px` (0: as it is).

    The straight camera keeps the K and size of the distorted one; what its edges lack is masked. EXIF
    orientation is followed only where the camera has the sides of the upright picture and not those of the
    stored one: structure from motion works on pixels as they are stored. Raises FileRejected for a photo
    that can't be read or has another shape than its camera, BadInput if a mask leaves nothing.
    """
    if image_px < 0:
        raise BadInput("image_px", found=image_px, expected="a number of pixels, or 0 for all")
    with _opened(view.image) as picture:
        orientation = read_exif(picture).orientation
        width, height = picture.size
        camera = fitted(view.camera, width, height, orientation, str(view.image))
        upright = (camera.width, camera.height) != (width, height)
        small = scaled(camera, *reduced(camera.width, camera.height, image_px))
        straight = lenses.is_straight(camera)
        room = image_px * (1 if straight else _ROOM)
        work = scaled(camera, *reduced(camera.width, camera.height, room))
        rgb, alpha = _decoded(view.image, picture, (work.width, work.height), orientation if upright else 1)
    free = _free(view, alpha, (width, height), work, orientation if upright else 1)
    if not straight:
        rgb, free = _straightened(rgb, free, work)
    rgb = _grey_values(areas.mean(rgb, (small.width, small.height)))
    mask = None if free is None else areas.mean(free, (small.width, small.height)) > _WHOLE
    if mask is not None and not mask.any():
        if view.mask is None and alpha is None:
            raise BadInput(
                f"camera of {one_line(view.name, 80)}",
                found=f"{camera.model} with focal length {camera.K[0, 0]:.3g} px and {camera.distortion}, by "
                "which no pixel has a place",
                expected="the lens that took the photo",
            )
        raise BadInput(
            f"mask of {one_line(view.name, 80)}",
            found="no pixel to learn from",
            expected="white (or opaque) where the photo may be learnt from",
            remedy="turn the mask round, or leave the photo out",
        )
    pinhole = replace(small, model="PINHOLE", distortion=())
    return Loaded(rgb, pinhole, None if mask is None or mask.all() else mask)


def reduced(width: int, height: int, image_px: int) -> tuple[int, int]:
    """The size of a picture whose longest side is at most `image_px` (0: any)."""
    longest = max(width, height)
    if image_px == 0 or longest <= image_px:
        return width, height
    return max(1, round(width * image_px / longest)), max(1, round(height * image_px / longest))


# ---------------------------------------------------------------- reading


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """A picture whose pixels are not yet read; what goes wrong with it is FileRejected."""
    try:
        with Image.open(path, formats=_OPENERS) as picture:
            if picture.width * picture.height > LARGEST_PX:
                raise Image.DecompressionBombError
            yield picture
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        limit = LARGEST_PX // 10**6
        raise FileRejected(
            str(path), f"it claims more than the {limit} million pixels that are read"
        ) from error
    except FileNotFoundError as error:
        raise FileRejected(str(path), "it is not there any more; open the scene again") from error
    except UnidentifiedImageError as error:
        raise FileRejected(str(path), "it is no photo that can be read; copy it again") from error
    except (*GDAL_ERRORS, *DAMAGED) as error:
        detail = str(error.__cause__ or error).replace(str(path), "it").replace(path.name, "it")
        raise FileRejected(
            str(path), f"its pixels can't be read; copy it again, or leave it out ({one_line(detail, 100)})"
        ) from error


def _decoded(
    path: Path, picture: Image.Image, size: tuple[int, int], orientation: int
) -> tuple[Pixels, NDArray[np.float32] | None]:
    """rgb [H, W, 3] of `size` (width, height), averaged over areas, and alpha [H, W] 0..1 or None."""
    stored = turned(*size, orientation)
    box = (0.0, 0.0, float(picture.width), float(picture.height))
    if picture.format in ("JPEG", "MPO"):
        if picture.mode in ("RGB", "L"):
            _refuse_damage(path, min(picture.size))
        _, box = picture.draft(picture.mode, (_FINE * stored[0], _FINE * stored[1])) or (None, box)
    found = _eight_bits(picture)
    values = areas.mean(np.asarray(found), stored, box)
    alpha = values[..., 3] / 255 if values.shape[2] == 4 else None
    return (
        _upright(_grey_values(values[..., :3]), orientation),
        None if alpha is None else _upright(alpha, orientation),
    )


def _grey_values(values: np.ndarray) -> Pixels:
    return np.rint(values).astype(np.uint8)


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """The pixels [y, x, ...] turned as EXIF asks."""
    pixels = pixels.swapaxes(0, 1) if orientation in _TURNED else pixels
    pixels = pixels[::-1] if orientation in _FLIPPED_Y else pixels
    return np.ascontiguousarray(pixels[:, ::-1] if orientation in _FLIPPED_X else pixels)


def _refuse_damage(path: Path, side: int) -> None:
    """Raise one of GDAL_ERRORS for a JPEG whose data are damaged: Pillow shows it as grey or shifted.

    GDAL counts libjpeg's warnings as errors, and reads a large photo at a quarter for that.
    """
    level = {"overview_level": _QUARTER} if side >= _LARGE else {}
    with gdal_env(), rasterio.open(path, driver="JPEG", **level) as dataset:  # type: ignore[arg-type]
        dataset.read(1)


def _eight_bits(picture: Image.Image) -> Image.Image:
    """RGB or RGBA, decoded; 16 bits are divided by 257."""
    picture.load()
    if picture.mode.startswith("I"):
        values = np.asarray(picture).astype(np.float64) / 257
        return Image.fromarray(np.clip(values.round(), 0, 255).astype(np.uint8)).convert("RGB")
    has_alpha = "A" in picture.getbands() or "transparency" in picture.info
    return picture.convert("RGBA" if has_alpha else "RGB")


# ---------------------------------------------------------------- masks


def _free(
    view: View, alpha: NDArray[np.float32] | None, stored: tuple[int, int], work: Camera, orientation: int
) -> NDArray[np.float32] | None:
    """The share [H, W] of each pixel that may be learnt from; None if all of all."""
    free = None if alpha is None else (alpha > _WHOLE).astype(np.float32)
    if view.mask is None:
        return free
    with _opened(view.mask) as picture:
        values = np.asarray(
            picture.convert("L") if picture.mode in ("P", "1", "RGB", "RGBA", "LA") else picture
        )
        size = picture.size
    # black and white, or 0 and 1: whatever is above half of the brightest
    mask = values > float(values.max(initial=0)) / 2
    if alike(size, stored):
        mask = _upright(mask, orientation)
    if not alike(mask.shape[::-1], (work.width, work.height)):
        raise FileRejected(
            str(view.mask), f"the mask is {size[0]} x {size[1]} pixels, its photo {stored[0]} x {stored[1]}"
        )
    share = areas.mean(mask, (work.width, work.height))
    return share if free is None else share * free


# ---------------------------------------------------------------- distortion


def _straightened(
    rgb: Pixels, free: NDArray[np.float32] | None, camera: Camera
) -> tuple[Pixels, NDArray[np.float32]]:
    """The picture [H, W, 3] that a pinhole camera of the same K would have taken, and what of it is known."""
    rows, columns, known = _where(
        camera.width, camera.height, camera.model, camera.distortion,
        (camera.K[0, 0], camera.K[1, 1], camera.K[0, 2], camera.K[1, 2]),
    )  # fmt: skip
    out = areas.bilinear(rgb, rows, columns)
    share = known.astype(np.float32)
    if free is not None:
        share *= areas.bilinear(free[..., None], rows, columns)[..., 0]
    return _grey_values(out * known[..., None]), share


@lru_cache(maxsize=2)
def _where(
    width: int, height: int, model: str, distortion: tuple[float, ...], k: tuple[float, float, float, float]
) -> tuple[NDArray[np.float32], NDArray[np.float32], Bools]:
    """Rows and columns [H, W] in the distorted array for each straight pixel, and whether it has any."""
    K = np.array([[k[0], 0, k[2]], [0, k[1], k[3]], [0, 0, 1.0]])
    camera = Camera(width, height, K, np.eye(4), model, distortion)
    u, v = np.meshgrid((np.arange(width) + 0.5 - k[2]) / k[0], (np.arange(height) + 0.5 - k[3]) / k[1])
    rays = np.asarray(np.stack([u.ravel(), v.ravel(), np.ones(u.size)], axis=1), np.float64)
    radius = np.hypot(u, v)
    seen = lenses.project(camera, rays).reshape(height, width, 2)
    with np.errstate(invalid="ignore"):
        known = (seen >= 0).all(-1) & (seen <= [width, height]).all(-1)
    known &= radius < _reach(camera, float(radius.max()))
    seen = np.where(np.isfinite(seen), seen, 0) - 0.5
    return seen[..., 1].astype(np.float32), seen[..., 0].astype(np.float32), known


def _reach(camera: Camera, farthest: float) -> float:
    """The distance from the axis, at depth 1, up to which farther rays meet the picture farther out.

    Beyond it a polynomial of distortion folds the picture back over itself.
    """
    radii = np.linspace(0, farthest * 1.01, 400, dtype=np.float64)
    turns = np.arange(48) * (2 * np.pi / 48)
    x, y = np.cos(turns)[:, None] * radii, np.sin(turns)[:, None] * radii
    rays = np.stack([x.ravel(), y.ravel(), np.ones(x.size)], axis=1).astype(np.float64)
    middle = camera.K[:2, 2]
    offset = ((lenses.project(camera, rays) - middle) / camera.K.diagonal()[:2]).reshape(*x.shape, 2)
    outward = np.diff(np.hypot(offset[..., 0], offset[..., 1]), axis=1) > 0  # False for NaN
    folds = ~outward.all(axis=0)
    return float(radii[int(np.argmax(folds))]) if folds.any() else float("inf")
