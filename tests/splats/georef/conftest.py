"""Scenes that structure from motion might have left, with the frame they really lie in."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from geolab.splats.frame import Frame
from geolab.splats.similarity import Similarity
from geolab.splats.views import Camera, Points, Scene, View
from geolab.town import exif

FRAME = Frame(-98.09, 30.17, 300.0, "ellipsoid")
TURN = Similarity(
    0.07, Rotation.from_euler("xyz", [40, -70, 110], degrees=True).as_matrix(), np.array([3.0, -8, 1])
)
GROUND = 280.0 - FRAME.height_m
K = np.array([[30.0, 0, 16], [0, 30.0, 12], [0, 0, 1]])


@dataclasses.dataclass(frozen=True)
class Flown:
    """scene: in a frame of its own. places [V, 3], up: of the cameras and the ground, east, north, up."""

    scene: Scene
    places: np.ndarray
    ground: np.ndarray
    folder: Path


def axes(yaw: float, pitch: float) -> np.ndarray:
    """Right, down and forward of a camera as rows, east, north, up; degrees."""
    a, p = np.radians([yaw, pitch])
    right = np.array([np.cos(a), -np.sin(a), 0])
    ahead = np.array([np.sin(a) * np.cos(p), np.cos(a) * np.cos(p), np.sin(p)])
    return np.stack([right, np.cross(ahead, right), ahead])


def block() -> tuple[np.ndarray, list[float], list[float]]:
    """Places, yaws and pitches of a flight to and fro."""
    places = np.array([(x, y, 60.0) for x in (-40, -15, 15, 40) for y in (-30, -10, 10, 30)], float)
    return places, [0.0, 180.0] * 8, [-90.0, -88.0, -89.0, -91.0] * 4


def line() -> tuple[np.ndarray, list[float], list[float]]:
    """The same of a flight along one line."""
    places = np.array([(x, 0.5 * x, 60.0) for x in range(-60, 61, 12)], float)
    return places, [63.4] * len(places), [-90.0] * len(places)


@pytest.fixture
def fly(tmp_path) -> Callable[..., Flown]:
    """Make photos whose EXIF states where they were, and the scene of their cameras."""

    def make(flight=None, *, stated=None, gps=True, gimbal=True, rtk=True, turn=TURN) -> Flown:
        places, yaws, pitches = flight or block()
        rng = np.random.default_rng(1)
        ground = np.column_stack([rng.uniform(-80, 80, (400, 2)), rng.normal(GROUND, 0.5, 400)])
        measured = FRAME.lonlat(places if stated is None else stated)
        views = []
        for k, (place, yaw, pitch) in enumerate(zip(places, yaws, pitches, strict=True)):
            path = tmp_path / f"photo-{k:02d}.jpg"
            lon, lat, height = measured[k]
            tags = exif.Tags(
                lon=lon, lat=lat, height=height, above_ground=place[2] - GROUND, yaw_deg=yaw, pitch_deg=pitch,
                taken=datetime(2024, 9, 18, 10, 0, k, tzinfo=UTC), focal_mm=9.0, focal_35mm=27,
                px_per_cm=30 / 0.9, rtk=rtk,
            )  # fmt: skip
            data = exif.jpeg(np.full((24, 32, 3), 90, np.uint8), tags)
            if not gimbal:
                data = data.replace(b"GimbalPitchDegree", b"XimbalPitchDegree")
            if not gps:
                data = data.replace(b"\x88\x25\x00\x04", b"\x88\x26\x00\x04").replace(
                    b"\x25\x88\x04\x00", b"\x26\x88\x04\x00"
                )
            path.write_bytes(data)
            pose = np.eye(4)
            pose[:3, :3] = axes(yaw, pitch)
            pose[:3, 3] = -pose[:3, :3] @ place
            views.append(View(path.name, path, Camera(32, 24, K, moved(pose, turn))))
        points = Points(turn.apply(ground), np.full((400, 3), 100, np.uint8))
        return Flown(Scene(tuple(views), points), places, ground, tmp_path)

    return make


def moved(pose: np.ndarray, turn: Similarity) -> np.ndarray:
    """A camera's pose after its scene was moved."""
    out = np.eye(4)
    out[:3, :3] = pose[:3, :3] @ turn.rotation.T
    out[:3, 3] = turn.scale * pose[:3, 3] - out[:3, :3] @ turn.translation
    return out
