"""Points for cameras that are known: the town's, against its exact depth."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from geolab import town
from geolab.errors import BadInput
from geolab.splats import sfm
from geolab.splats.views import Camera, Scene, View
from geolab.town import drone, exif

PHOTOS = 6


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A small flight: its scene without points, and the exact depth of each photo [y, x]."""
    folder = tmp_path_factory.mktemp("flight")
    made = town.world(3, 256)
    flight = drone.plan(made, 24)
    flight = dataclasses.replace(flight, cameras=flight.cameras[16 : 16 + PHOTOS])
    views, depths = [], []
    for photo in drone.photograph(made, flight):
        path = folder / photo.camera.name
        tags = exif.Tags(
            0, 0, 0, 0, 0, -90, photo.camera.taken, drone.FOCAL_MM, drone.FOCAL_35MM, drone.PX_PER_CM, False
        )  # fmt: skip
        path.write_bytes(exif.jpeg(photo.rgb, tags))
        camera = Camera(drone.WIDTH_PX, drone.HEIGHT_PX, photo.camera.K, photo.camera.world_to_camera)
        views.append(View(photo.camera.name, path, camera))
        depths.append(photo.depth)
    return Scene(tuple(views)), np.stack(depths)


def nearest_depth_error_px(scene: Scene, depths: np.ndarray) -> np.ndarray:
    """By how many of its photos' pixels each point is off the exact depth, in the photo that fits best."""
    best = np.full(len(scene.points), np.inf)
    for view, depth in zip(scene.views, depths, strict=True):
        camera = view.camera
        seen = scene.points.xyz @ camera.world_to_camera[:3, :3].T + camera.world_to_camera[:3, 3]
        uv = seen @ camera.K.T
        column, row = np.floor(uv[:, :2] / uv[:, 2:]).astype(int).T
        inside = (
            (column >= 0) & (column < camera.width) & (row >= 0) & (row < camera.height) & (seen[:, 2] > 0)
        )
        exact = depth[row[inside], column[inside]]
        error = np.abs(exact - seen[inside, 2]) / (seen[inside, 2] / camera.K[0, 0])
        best[inside] = np.minimum(best[inside], error)
    return best


def test_points_of_known_cameras_lie_on_the_ground(world, tmp_path):
    scene, depths = world
    found = sfm.triangulate(scene, work=tmp_path / "work")
    assert len(found.points) > 300
    assert found.views == scene.views
    assert np.median(nearest_depth_error_px(found, depths)) < 1.0
    assert found.points.rgb.std() > 10


def test_one_view_has_no_points(world, tmp_path):
    scene, _ = world
    with pytest.raises(BadInput, match="found 1 view, expected at least 2"):
        sfm.triangulate(dataclasses.replace(scene, views=scene.views[:1]), work=tmp_path)
