"""A model as a small picture: whole, from the south, 45 degrees up."""

from __future__ import annotations

import math

import numpy as np

from geolab.splats import extent, paths
from geolab.splats.gaussians import Gaussians
from geolab.splats.views import Camera

FOV_DEG = 50.0
CLOSE = 0.75  # of the distance from which the sphere around the model just fits


def camera(gaussians: Gaussians, width: int, height: int) -> Camera:
    """The camera of a portrait in pixels."""
    box = np.array(extent.box(gaussians), np.float64)
    low, high = box[:3], box[3:]
    target, radius = (low + high) / 2, max(float(np.linalg.norm(high - low)) / 2, 1e-3)
    away = CLOSE * radius / math.sin(math.radians(FOV_DEG / 2)) / math.sqrt(2)
    K = paths.pinhole(width, height, FOV_DEG)
    return paths.look_at(target + np.array([0, -away, away]), target, K=K, width=width, height=height)
