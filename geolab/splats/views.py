"""What is known before training: photos with their cameras, points, and the frame they lie in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geolab.splats.frame import Frame

Floats = NDArray[np.float64]

EVERY = 8  # one view in so many is held out


@dataclass(frozen=True)
class Camera:
    """A pinhole camera, perhaps with distortion.

    K [3, 3] pixels, pixel centres at +0.5. world_to_camera [4, 4]: from the scene's frame to OpenCV axes
    (x right, y down, z forward). model, distortion: as COLMAP names and orders them after the focal lengths
    and the principal point, for example "OPENCV" and (k1, k2, p1, p2); "PINHOLE" and () for none.
    """

    width: int
    height: int
    K: Floats
    world_to_camera: Floats
    model: str = "PINHOLE"
    distortion: tuple[float, ...] = ()

    @property
    def position(self) -> Floats:
        """The centre of projection [3] in the scene's frame."""
        return -self.world_to_camera[:3, :3].T @ self.world_to_camera[:3, 3]


@dataclass(frozen=True)
class View:
    """A photo and its camera.

    image: the file. mask: a file of the same size, 0 where the photo must not be learnt from; None for none.
    measured: longitude, latitude, height as the photo states them. taken: RFC 3339, or "".
    item: the id of the photo's item in the catalogue, or "".
    """

    name: str
    image: Path
    camera: Camera
    mask: Path | None = None
    measured: tuple[float, float, float] | None = None
    taken: str = ""
    item: str = ""


@dataclass(frozen=True)
class Points:
    """Points of structure from motion: xyz [P, 3] float64 in the scene's frame, rgb [P, 3] uint8."""

    xyz: Floats
    rgb: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.xyz)


@dataclass(frozen=True)
class Scene:
    """Views in the order of their names, points, and where it all lies.

    frame: None if the scene's coordinates are arbitrary. held_out: names of the views that are never trained
    on. warnings: one line each: frames left out, and why. source: what it was read from, for people.
    """

    views: tuple[View, ...]
    points: Points | None = None
    frame: Frame | None = None
    held_out: frozenset[str] = frozenset()
    warnings: tuple[str, ...] = ()
    source: str = ""

    @property
    def training(self) -> tuple[View, ...]:
        return tuple(v for v in self.views if v.name not in self.held_out)

    @property
    def testing(self) -> tuple[View, ...]:
        return tuple(v for v in self.views if v.name in self.held_out)

    @property
    def positions(self) -> Floats:
        """Of the cameras [V, 3]."""
        return np.stack([v.camera.position for v in self.views])

    @property
    def extent(self) -> float:
        """1.1 times the largest distance of a training camera from their mean, in the scene's units.

        The unit of 3DGS's learning rates (Kerbl et al., 2023).
        """
        places = np.stack([v.camera.position for v in self.training])
        return float(1.1 * np.linalg.norm(places - places.mean(axis=0), axis=1).max())
