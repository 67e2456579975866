"""Structure from motion: photos to cameras and points, by COLMAP on the CPU."""

from geolab.splats.sfm.known import triangulate
from geolab.splats.sfm.solution import Facts, LensFound, Step
from geolab.splats.sfm.solving import solve

__all__ = ["Facts", "LensFound", "Step", "solve", "triangulate"]
