"""What the photos say, entered into COLMAP's database: cameras of one lens, and positions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pycolmap

from geolab.splats.sfm.database import Work, opened, register
from geolab.splats.sfm.pairing import enu
from geolab.splats.sfm.shots import GUESSED_FOCAL, Lens, Shot


def enter(
    work: Work, shots: Mapping[int, Shot], groups: Sequence[Lens], sizes: Mapping[int, tuple[int, int]]
) -> None:
    """Enter the shots' copies of those (width, height), a camera for each lens, and the positions."""
    images, cameras = [], []
    for lens in groups:
        width, height = sizes[lens.members[0]]
        shot = shots[lens.members[0]]
        focal = (lens.focal_px or GUESSED_FOCAL * max(shot.width, shot.height)) * width / shot.width
        camera = pycolmap.Camera(
            camera_id=lens.number, model="SIMPLE_RADIAL", width=width, height=height,
            params=[focal, width / 2, height / 2, 0.0], has_prior_focal_length=lens.focal_px is not None,
        )  # fmt: skip
        cameras.append(camera)
        images += [(n, work.copy_name(n), camera) for n in lens.members]
    register(work, cameras, sorted(images, key=lambda image: image[0]))
    located = {n: s for n, s in shots.items() if s.position and math.isfinite(s.position[2])}
    if located:
        _enter_positions(work, located)


def _enter_positions(work: Work, shots: Mapping[int, Shot]) -> None:
    """With covariances: without these COLMAP ignores positions."""
    _, places = enu(list(shots.values()))
    with opened(work) as database:
        database.clear_pose_priors()
        for (number, shot), place in zip(shots.items(), places, strict=True):
            across, up = shot.sigma_m
            prior = pycolmap.PosePrior(
                corr_data_id=database.read_image(number).data_id, position=place,
                position_covariance=np.diag([across**2, across**2, up**2]),
                coordinate_system=pycolmap.PosePriorCoordinateSystem.CARTESIAN,
            )  # fmt: skip
            database.write_pose_prior(prior)
