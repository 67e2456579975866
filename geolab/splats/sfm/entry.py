"""What the photos say, entered into COLMAP's database: cameras of one lens, and positions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pycolmap

from geolab.splats.photo import Photo
from geolab.splats.sfm.database import Work, opened, register
from geolab.splats.sfm.pairing import enu
from geolab.splats.sfm.photoset import Lens


def enter(
    work: Work, photos: Mapping[int, Photo], groups: Sequence[Lens], sizes: Mapping[int, tuple[int, int]]
) -> None:
    """Enter the photos' copies of those (width, height), a camera for each lens, and the positions."""
    images, cameras = [], []
    for lens in groups:
        width, height = sizes[lens.members[0]]
        photo = photos[lens.members[0]]
        focal = (lens.focal_px or photo.guessed_focal_px) * width / photo.width
        camera = pycolmap.Camera(
            camera_id=lens.number, model="SIMPLE_RADIAL", width=width, height=height,
            params=[focal, width / 2, height / 2, 0.0], has_prior_focal_length=lens.focal_px is not None,
        )  # fmt: skip
        cameras.append(camera)
        images += [(n, work.copy_name(n), camera) for n in lens.members]
    register(work, cameras, sorted(images, key=lambda image: image[0]))
    located = {n: p for n, p in photos.items() if p.measured and math.isfinite(p.measured[2])}
    if located:
        _enter_positions(work, located)


def _enter_positions(work: Work, photos: Mapping[int, Photo]) -> None:
    """With covariances: without these COLMAP ignores positions."""
    _, places = enu(list(photos.values()))
    with opened(work) as database:
        database.clear_pose_priors()
        for (number, photo), place in zip(photos.items(), places, strict=True):
            across, up = photo.sigma_m
            prior = pycolmap.PosePrior(
                corr_data_id=database.read_image(number).data_id, position=place,
                position_covariance=np.diag([across**2, across**2, up**2]),
                coordinate_system=pycolmap.PosePriorCoordinateSystem.CARTESIAN,
            )  # fmt: skip
            database.write_pose_prior(prior)
