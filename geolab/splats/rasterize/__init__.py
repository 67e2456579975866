"""Gaussians to images: one function, three back ends with the same image.

`cuda` is gsplat; `cpu` is our own, in Numba; `reference` is dense torch, for tests. `auto` takes the one
that fits where the tensors are; see `choose`.
"""

from geolab.splats.rasterize.backends import Choice, choose
from geolab.splats.rasterize.door import rasterize
from geolab.splats.rasterize.drawing import Rendering, render
from geolab.splats.rasterize.projection import Linear, Projection
from geolab.splats.rasterize.warming import warm

__all__ = ["Choice", "Linear", "Projection", "Rendering", "choose", "rasterize", "render", "warm"]
