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
from scipy.ndimage import map_coordinates

from geolab.errors import BadInput, FileRejected, one_line
from geolab.ingest.exif import DAMAGED, read_exif
from geolab.ingest.photos import FORMATS, LARGEST_PX
from geolab.raster.info import GDAL_ERRORS, gdal_env
from geolab.splats.loaders import lenses
from geolab.splats.loaders.draft import alike, fitted, scaled, turned
from geolab.splats.views import Camera, View

Pixels = NDArray[np.uint8]
Bools = NDArray[np.bool_]
Box = tuple[float, float, float, float]
_OPENERS = [name for name in FORMATS if name != "MPO"]  # the JPEG plugin opens those
_WHOLE = 0.99  # of a pixel must be free: what is masked must not shine into what is learnt
_ROOM = 2  # a distorted photo is straightened at up to so many times the size asked for
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip


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
    rgb = _box(Image.fromarray(rgb), (small.width, small.height))
    mask = None if free is None else _box(Image.fromarray(free), (small.width, small.height)) > _WHOLE
    if mask is not None and not mask.any():
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
        detail = one_line(
            str(error.__cause__ or error).replace(str(path), "it").replace(path.name, "it"), 100
        )
        raise FileRejected(
            str(path), f"its pixels can't be read; copy it again, or leave it out ({one_line(detail, 100)})"
        ) from error


def _decoded(
    path: Path, picture: Image.Image, size: tuple[int, int], orientation: int
) -> tuple[Pixels, NDArray[np.float32] | None]:
    """rgb [H, W, 3] of `size` (width, height), averaged over areas, and alpha [H, W] 0..1 or None."""
    stored = turned(*size, orientation)
    if picture.format in ("JPEG", "MPO") and picture.mode in ("RGB", "L"):
        found, box = _jpeg(path, picture.size, stored)
    else:
        found, box = _eight_bits(picture), (0.0, 0.0, float(picture.width), float(picture.height))
    alpha = None
    if "A" in found.getbands():
        opaque = Image.fromarray(np.asarray(found.getchannel("A"), np.float32) / 255)
        alpha = _box(opaque, stored, box)
        found = found.convert("RGB")
    rgb = Image.fromarray(_box(found, stored, box))
    if orientation in _UPRIGHT:
        rgb = rgb.transpose(_UPRIGHT[orientation])
        alpha = None if alpha is None else np.asarray(Image.fromarray(alpha).transpose(_UPRIGHT[orientation]))
    return np.asarray(rgb), alpha


def _jpeg(path: Path, size: tuple[int, int], wanted: tuple[int, int]) -> tuple[Image.Image, Box]:
    """The photo at a half, a quarter or an eighth if that is still enough, and the part that is picture.

    By GDAL, which counts libjpeg's warnings as errors: Pillow shows damaged JPEGs as grey or shifted.
    """
    factor = max(
        f for f in (1, 2, 4, 8) if f == 1 or min(s / w for s, w in zip(size, wanted, strict=True)) >= f
    )
    shape = -(-size[1] // factor), -(-size[0] // factor)
    with gdal_env(), rasterio.open(path, driver="JPEG") as dataset:
        bands = [1, 2, 3] if dataset.count >= 3 else [1, 1, 1]
        pixels = dataset.read(bands, out_shape=(3, *shape))
    return Image.fromarray(pixels.transpose(1, 2, 0)), (0.0, 0.0, size[0] / factor, size[1] / factor)


def _eight_bits(picture: Image.Image) -> Image.Image:
    """RGB or RGBA; 16 bits are divided by 257."""
    picture.load()
    if picture.mode.startswith("I"):
        values = np.asarray(picture).astype(np.float64) / 257
        return Image.fromarray(np.clip(values.round(), 0, 255).astype(np.uint8)).convert("RGB")
    has_alpha = "A" in picture.getbands() or "transparency" in picture.info
    return picture.convert("RGBA" if has_alpha else "RGB")


def _box(picture: Image.Image, size: tuple[int, int], box: Box | None = None) -> np.ndarray:
    """The picture on `size` pixels, each the mean of the area it covers."""
    return np.asarray(picture.resize(size, Image.Resampling.BOX, box=box))


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
    mask = Image.fromarray((values > float(values.max(initial=0)) / 2).astype(np.float32))
    if orientation in _UPRIGHT and alike(size, stored):
        mask = mask.transpose(_UPRIGHT[orientation])
    if not alike(mask.size, (work.width, work.height)):
        raise FileRejected(
            str(view.mask), f"the mask is {size[0]} x {size[1]} pixels, its photo {stored[0]} x {stored[1]}"
        )
    share = _box(mask, (work.width, work.height))
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
    out = np.empty_like(rgb)
    for band in range(rgb.shape[2]):
        seen = map_coordinates(rgb[..., band], (rows, columns), np.float32, order=1, mode="nearest")
        out[..., band] = np.where(known, seen + 0.5, 0)
    share = known.astype(np.float32)
    if free is not None:
        share *= map_coordinates(free, (rows, columns), np.float32, order=1, mode="nearest")
    return out, share


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
