"""A scene and a model for the eye: where the cameras are, and photos beside what the model shows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geolab.splats import images, render
from geolab.splats.gaussians import Gaussians
from geolab.splats.views import Scene

Row = tuple[str, NDArray[np.uint8], NDArray[np.uint8]]


def rows(
    gaussians: Gaussians, scene: Scene, *, image_px: int = 0, backend: str = "auto", most: int = 3
) -> list[Row]:
    """(name, photo, render) of up to `most` held-out views, of training views if none is held out.

    Photo and render are uint8 [H, W, 3], their longest side at most image_px (0: as the photos are); each
    name carries the PSNR in dB. Views are spread evenly over those there are.
    """
    views = scene.testing or scene.training
    look = render.Look(backend=backend)
    made = []
    for view in views[:: max(1, len(views) // most)][:most]:
        loaded = images.load(view, image_px=image_px)
        shown = render.picture(gaussians, loaded.camera, look)
        made.append((f"{view.name}, {psnr(loaded.rgb, shown):.1f} dB", loaded.rgb, shown))
    return made


def layout(scene: Scene) -> dict[str, Any]:
    """Where the cameras of a scene are and look, and its points: the arguments of `figures.cameras`."""
    points = scene.points
    return {
        "positions": scene.positions,
        "forward": np.stack([view.camera.world_to_camera[2, :3] for view in scene.views]),
        "held_out": [view.name in scene.held_out for view in scene.views],
        "points": None if points is None else points.xyz,
        "colors": None if points is None else points.rgb,
        "unit": "m" if scene.frame else "",
    }


def psnr(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Of two pictures of one shape, dB; infinite if they are equal."""
    error = np.mean((one.astype(np.float64) - other) ** 2)
    return float("inf") if error == 0 else float(20 * np.log10(255) - 10 * np.log10(error))
