"""Points of a reconstruction that can be believed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pycolmap

from geolab.splats.views import Floats, Points

MOST_ERROR_PX = 1.5  # mean of a point's observations, pixels of the working copies
LEAST_ANGLE_DEG = 3.0  # between two rays of a point that three or more photos see
LEAST_ANGLE_OF_TWO_DEG = 6.0  # of one that only two photos see: nothing else confirms it


def options(*, threads: int, seed: int) -> pycolmap.IncrementalPipelineOptions:
    """For triangulation: points of two photos are kept, and judged in `believed`."""
    found = pycolmap.IncrementalPipelineOptions(num_threads=threads, random_seed=seed)
    found.triangulation.min_angle = LEAST_ANGLE_DEG
    found.triangulation.ignore_two_view_tracks = False
    found.triangulation.random_seed = seed
    return found


def triangulated(
    reconstruction: pycolmap.Reconstruction,
    database: Path,
    copies: Path,
    out: Path,
    *,
    threads: int,
    seed: int,
) -> pycolmap.Reconstruction:
    """The reconstruction with all points its matches give; its cameras are not moved."""
    out.mkdir(parents=True, exist_ok=True)
    return pycolmap.triangulate_points(
        reconstruction, database, copies, out, options=options(threads=threads, seed=seed)
    )


def believed(reconstruction: pycolmap.Reconstruction) -> Points:
    """The points of small error and wide enough angle, coloured, in the order of their ids."""
    centres = {i: image.projection_center() for i, image in reconstruction.images.items() if image.has_pose}
    kept = []
    for _, point in sorted(reconstruction.points3D.items()):
        seen = [e.image_id for e in point.track.elements]
        least = LEAST_ANGLE_DEG if len(set(seen)) > 2 else LEAST_ANGLE_OF_TWO_DEG
        if point.error <= MOST_ERROR_PX and widest_angle_deg(point.xyz, [centres[i] for i in seen]) >= least:
            kept.append(point)
    xyz = np.array([p.xyz for p in kept], np.float64).reshape(-1, 3)
    return Points(xyz, np.array([p.color for p in kept], np.uint8).reshape(-1, 3))


def widest_angle_deg(point: Floats, centres: list[Floats]) -> float:
    """The largest angle between the rays to a point [3] from centres of projection, degrees."""
    rays = np.asarray(centres) - point
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    return float(np.degrees(np.arccos(np.clip((rays @ rays.T).min(), -1.0, 1.0))))
