"""One scaling of pixels, saved with the model, for training and for inference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geolab.errors import BadInput

Array = NDArray[Any]


@dataclass(frozen=True)
class Preprocessing:
    """Per-band fixed scaling, the same for both dates.

    mean, std: in the units of the stored pixels, one value a band. Scaling each image by its
    own range instead would turn every difference of range into change.
    """

    bands: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def apply(self, pixels: Array) -> Array:
        """The pixels in units of standard deviations, float32; 0 where they are not finite.

        pixels: [..., band, y, x]. Raises BadInput when the number of bands differs.
        """
        if pixels.ndim < 3 or pixels.shape[-3] != len(self.bands):
            found = pixels.shape[-3] if pixels.ndim >= 3 else f"an array of shape {pixels.shape}"
            raise BadInput("bands of the image", found=found, expected=f"{len(self.bands)}, as in training")
        mean = np.asarray(self.mean, dtype=np.float32)[:, None, None]
        scale = np.asarray([1 / s for s in self.std], dtype=np.float32)[:, None, None]
        scaled = pixels.astype(np.float32)  # always a copy: the caller's pixels stay as they are
        scaled -= mean
        scaled *= scale
        np.nan_to_num(scaled, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
        return scaled
