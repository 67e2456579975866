"""A small flight over the town: photos, their exact cameras and depth."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from geolab import town
from geolab.splats.views import Camera, Scene, View
from geolab.town import drone, exif

NADIR = slice(16, 24)  # of a flight of 24: those that look straight down
NOISE_M = 0.5


@dataclasses.dataclass(frozen=True)
class Flown:
    """scene: posed, without points. depths [V, y, x] metres. rgb [V, y, x, 3], tags: of the photos."""

    scene: Scene
    depths: np.ndarray
    rgb: np.ndarray
    tags: tuple[exif.Tags, ...]

    @property
    def photos(self) -> list[Path]:
        return [view.image for view in self.scene.views]


@pytest.fixture(scope="session")
def flown(tmp_path_factory) -> Flown:
    """Eight photos straight down, with GPS that is half a metre off."""
    folder = tmp_path_factory.mktemp("flight")
    world = town.world(3, 256)
    flight = drone.plan(world, 24)
    flight = dataclasses.replace(flight, cameras=flight.cameras[NADIR])
    rng = np.random.default_rng(0)
    views, depths, rgb, told = [], [], [], []
    for photo in drone.photograph(world, flight):
        shot = photo.camera
        place = np.array(shot.position) + NOISE_M * rng.standard_normal(3)
        lon, lat, height = (float(v) for v in flight.frame.lonlat(place)[0])
        tags = exif.Tags(
            lon=lon, lat=lat, height=height, above_ground=height - flight.frame.height, yaw_deg=shot.yaw_deg,
            pitch_deg=shot.pitch_deg, taken=shot.taken, focal_mm=drone.FOCAL_MM, focal_35mm=drone.FOCAL_35MM,
            px_per_cm=drone.PX_PER_CM, rtk=False,
        )  # fmt: skip
        path = folder / shot.name
        path.write_bytes(exif.jpeg(photo.rgb, tags))
        camera = Camera(drone.WIDTH_PX, drone.HEIGHT_PX, shot.K, shot.world_to_camera)
        views.append(View(shot.name, path, camera))
        depths.append(photo.depth)
        rgb.append(photo.rgb)
        told.append(tags)
    return Flown(Scene(tuple(views)), np.stack(depths), np.stack(rgb), tuple(told))
