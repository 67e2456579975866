"""A drawn picture as a JPEG."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def jpeg(rgb: NDArray[np.float32], *, quality: int = 90) -> bytes:
    """The JPEG of rgb [H, W, 3], 0..1 (what lies beyond is clipped), colours at full resolution."""
    pixels = (np.clip(rgb, 0, 1) * 255 + 0.5).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()
