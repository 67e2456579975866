"""Pixels as the bytes of a picture: small enough to send, and quickly made."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geolab.service.tiles.colors import Table

Array = NDArray[Any]

# zlib's run-length strategy on filtered rows: half the time of the usual one, and smaller for photos
_PNG: dict[str, Any] = {"compress_level": 1, "compress_type": 3}
_OPTIONS: dict[str, dict[str, Any]] = {
    "PNG": _PNG,
    "WEBP": {"quality": 85, "method": 1},
    "JPEG": {"quality": 88},
}
_NAMES = {"png": "PNG", "webp": "WEBP", "jpg": "JPEG", "jpeg": "JPEG"}


def picture(rgb: Array, opacity: Array, format: str) -> bytes:
    """Red, green and blue [3, y, x], bytes, with an opacity [y, x] of bytes or bool; white below a JPEG."""
    alpha = opacity.astype(np.uint8) * 255 if opacity.dtype == bool else opacity.astype(np.uint8)
    opaque = bool(alpha.min(initial=255) == 255)
    bands = rgb if opaque else np.concatenate([rgb, alpha[None]])
    image = Image.fromarray(np.ascontiguousarray(np.moveaxis(bands, 0, -1)))
    if _NAMES[format] == "JPEG" and not opaque:
        image = _on_white(image)
    return _bytes(image, _NAMES[format], _OPTIONS[_NAMES[format]])


def indexed(values: Array, table: Table, format: str) -> bytes:
    """Bytes [y, x] in the colours of a table; sharp edges stay sharp."""
    name = _NAMES[format]
    if name == "PNG":
        image = Image.fromarray(np.ascontiguousarray(values, np.uint8))
        image.putpalette(table[:, :3].tobytes(), "RGB")
        return _bytes(image, name, {"compress_level": 3, "transparency": table[:, 3].tobytes()})
    image = Image.fromarray(table[values])
    if name == "JPEG":
        return _bytes(_on_white(image), name, {"quality": 92, "subsampling": 0})
    return _bytes(image, name, {"lossless": True, "quality": 0, "method": 0})


def _on_white(image: Image.Image) -> Image.Image:
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return white


def _bytes(image: Image.Image, name: str, options: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()
