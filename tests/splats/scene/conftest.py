"""A small scene of nine photos round a point, as values and as files of each format."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

WIDTH, HEIGHT = 48, 36
K = np.array([[50.0, 0, 23.0], [0, 52.0, 19.0], [0, 0, 1]])


def looking(position: np.ndarray, target: np.ndarray) -> np.ndarray:
    """world_to_camera [4, 4] in OpenCV axes."""
    ahead = (target - position) / np.linalg.norm(target - position)
    right = np.cross(ahead, [0.1, 0.2, 1.0])
    right /= np.linalg.norm(right)
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([right, np.cross(ahead, right), ahead])
    matrix[:3, 3] = -matrix[:3, :3] @ position
    return matrix


@dataclass(frozen=True)
class Small:
    """Names, poses and points, and writers of them. model, more: COLMAP's lens and its terms."""

    names: tuple[str, ...]
    poses: tuple[np.ndarray, ...]
    xyz: np.ndarray
    rgb: np.ndarray
    model: str = "OPENCV"
    more: tuple[float, ...] = (0.02, -0.01, 0.001, -0.002)
    size: tuple[int, int] = (WIDTH, HEIGHT)
    K: np.ndarray = field(default_factory=lambda: K.copy())

    @property
    def positions(self) -> np.ndarray:
        return np.stack([-p[:3, :3].T @ p[:3, 3] for p in self.poses])

    def camera(self) -> pycolmap.Camera:
        params = [self.K[0, 0], self.K[1, 1], self.K[0, 2], self.K[1, 2], *self.more]
        return pycolmap.Camera(
            model=self.model, width=self.size[0], height=self.size[1], params=params, camera_id=7
        )

    def photos(self, folder: Path, size: tuple[int, int] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(3)
        for name in self.names:
            width, height = size or self.size
            pixels = rng.integers(0, 255, (height // 4 + 1, width // 4 + 1, 3), np.uint8)
            Image.fromarray(pixels).resize((width, height)).save(folder / name, quality=90)

    def colmap(self, folder: Path, *, text: bool = False) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        built = pycolmap.Reconstruction()
        built.add_camera_with_trivial_rig(self.camera())
        for k, (name, pose) in enumerate(zip(self.names, self.poses, strict=True)):
            image = pycolmap.Image(name=name, keypoints=np.full((k, 2), 3.5), camera_id=7, image_id=20 - k)
            built.add_image_with_trivial_frame(image, pycolmap.Rigid3d(pose[:3]))
        for xyz, rgb in zip(self.xyz, self.rgb, strict=True):
            built.add_point3D(xyz, pycolmap.Track(), rgb)
        built.write_text(folder) if text else built.write_binary(folder)
        return folder

    def transforms(self, path: Path, **changes: object) -> Path:
        gl = np.diag([1.0, -1, -1, 1])
        frames = [
            {"file_path": f"images/{name}", "transform_matrix": (np.linalg.inv(pose) @ gl).tolist()}
            for name, pose in zip(self.names, self.poses, strict=True)
        ]
        terms = dict(zip(("k1", "k2", "p1", "p2"), self.more, strict=False))
        told = {
            "camera_model": "OPENCV", "w": self.size[0], "h": self.size[1], "fl_x": K[0, 0], "fl_y": K[1, 1],
            "cx": K[0, 2], "cy": K[1, 2], **terms, "frames": frames, **changes,
        }  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({k: v for k, v in told.items() if v is not None}))
        return path


@pytest.fixture
def small() -> Small:
    rng = np.random.default_rng(5)
    turns = np.linspace(0, 5, 9)
    at = np.stack([4 * np.cos(turns), 3 * np.sin(turns), 2 + 0.2 * turns], axis=1)
    return Small(
        tuple(f"p{k}.jpg" for k in range(9)),
        tuple(looking(p, np.array([0.2, -0.1, 0.3])) for p in at),
        rng.normal(size=(12, 3)) * 0.4,
        rng.integers(0, 255, (12, 3)).astype(np.uint8),
    )


@pytest.fixture
def project(small: Small, tmp_path: Path) -> Path:
    """A COLMAP project with photos."""
    small.photos(tmp_path / "images")
    small.colmap(tmp_path / "sparse" / "0")
    return tmp_path


@pytest.fixture
def reconstruction() -> Callable[..., dict]:
    """A reconstruction of OpenSfM from poses, written independently of the reader."""

    def build(small: Small, camera: dict, **changes: object) -> dict:
        shots = {
            name: {
                "camera": "cam",
                "rotation": Rotation.from_matrix(pose[:3, :3]).as_rotvec().tolist(),
                "translation": pose[:3, 3].tolist(),
                "gps_position": place.tolist(),
                "capture_time": 0.0,
            }
            for name, pose, place in zip(small.names, small.poses, small.positions, strict=True)
        }
        points = {
            str(k): {"coordinates": xyz.tolist(), "color": rgb.astype(float).tolist()}
            for k, (xyz, rgb) in enumerate(zip(small.xyz, small.rgb, strict=True))
        }
        origin = {"latitude": 48.4, "longitude": 11.5, "altitude": 560.0}
        return {
            "cameras": {"cam": camera}, "shots": shots, "points": points, "reference_lla": origin, **changes
        }  # fmt: skip

    return build


@pytest.fixture
def with_lens() -> Callable[..., Small]:
    """The scene with another lens."""

    def change(small: Small, model: str, more: tuple[float, ...]) -> Small:
        return replace(small, model=model, more=more)

    return change
