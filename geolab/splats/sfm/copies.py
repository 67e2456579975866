"""Working copies of photos: straight, reduced, without EXIF, under names of our own.

A copy keeps the pixels as they are stored: EXIF orientation is for people, and a camera turned by 90 degrees
is still the same camera.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from geolab.errors import FileRejected
from geolab.splats import images
from geolab.splats.loaders.draft import scaled
from geolab.splats.views import Camera, View
from geolab.store import atomic_path

QUALITY = 95


def write_copy(view: View, target: Path, masks: Path, *, image_px: int) -> Camera:
    """Write the photo as a JPEG whose longer side is at most image_px (0: any); the copy's straight camera.

    What the view's mask or its distortion leaves empty becomes a mask beside it. A copy that is there
    already is kept: it was written whole, and last. Raises FileRejected if the photo can't be decoded.
    """
    if not target.is_file():
        loaded = images.load(view, image_px=image_px)
        if loaded.mask is not None:
            with atomic_path(masks / f"{target.name}.png") as temporary:
                Image.fromarray(loaded.mask.astype(np.uint8) * 255).save(temporary, "PNG")
        with atomic_path(target) as temporary:
            Image.fromarray(loaded.rgb).save(temporary, "JPEG", quality=QUALITY, subsampling=0)
    with Image.open(target, formats=["JPEG"]) as copy:
        size = copy.size
    camera = scaled(view.camera, *size)
    return Camera(*size, camera.K, camera.world_to_camera)


def write_copies(
    views: Mapping[int, View], targets: Mapping[int, Path], masks: Path, *, image_px: int, threads: int
) -> Iterator[tuple[int, Camera | FileRejected]]:
    """Copies of all views by number, in order: each one's camera, or why it can't be used."""

    def one(number: int) -> Camera | FileRejected:
        try:
            return write_copy(views[number], targets[number], masks, image_px=image_px)
        except FileRejected as error:
            return error

    with ThreadPoolExecutor(threads, thread_name_prefix="geolab-copies") as pool:
        yield from zip(views, pool.map(one, views), strict=True)
