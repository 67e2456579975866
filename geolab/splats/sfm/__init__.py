"""Structure from motion: photos to cameras and points, by COLMAP on the CPU."""

from geolab.splats.sfm.known import triangulate

__all__ = ["triangulate"]
