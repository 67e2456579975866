"""A model as pictures: frames along a path, stills, video.

for shot in render.film(gaussians, render.orbit(scene), folder / "orbit.mp4"):
    ...
path = shot.path
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geolab import store
from geolab.errors import BadInput
from geolab.splats import rasterize
from geolab.splats import video as mp4
from geolab.splats.gaussians import Gaussians
from geolab.splats.pathfile import CameraPath, read_path, write_path
from geolab.splats.paths import look_at, looked_at, orbit, pinhole, spline, upright
from geolab.splats.views import Camera

__all__ = [
    "CameraPath",
    "Look",
    "Shot",
    "film",
    "frames",
    "look_at",
    "looked_at",
    "orbit",
    "picture",
    "pinhole",
    "read_path",
    "spline",
    "stills",
    "upright",
    "video",
    "write_path",
]

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Look:
    """How pictures are drawn. background: red, green, blue, 0..1."""

    background: tuple[float, float, float] = (0.0, 0.0, 0.0)
    rasterize_mode: Literal["classic", "antialiased"] = "classic"  # as the model was trained
    backend: str = "auto"

    def __post_init__(self) -> None:
        if len(self.background) != 3 or not all(0 <= v <= 1 for v in self.background):
            raise BadInput("background", found=self.background, expected="red, green, blue, each 0 to 1")


@dataclass(frozen=True)
class Shot:
    """One picture [y, x, 3] of `total`. path: of the file it went to; of a video, with the last only."""

    done: int
    total: int
    picture: Picture = field(repr=False)
    path: Path | None = None

    @property
    def progress(self) -> float:
        """0..1."""
        return self.done / self.total


def picture(gaussians: Gaussians, camera: Camera, look: Look = Look()) -> Picture:
    """What a camera sees [y, x, 3]."""
    drawn = rasterize.render(
        gaussians, camera, background=look.background, mode="RGB", rasterize_mode=look.rasterize_mode,
        backend=look.backend,
    )  # fmt: skip
    return (np.clip(drawn.rgb, 0, 1) * 255 + 0.5).astype(np.uint8)


def frames(
    gaussians: Gaussians, cameras: Sequence[Camera] | CameraPath, look: Look = Look()
) -> Iterator[Shot]:
    """A picture for every camera, drawn as it is asked for."""
    along = _cameras(cameras)
    for done, camera in enumerate(along, 1):
        yield Shot(done, len(along), picture(gaussians, camera, look))


def stills(
    gaussians: Gaussians, cameras: Sequence[Camera] | CameraPath, folder: str | Path, look: Look = Look()
) -> Iterator[Shot]:
    """PNG files still-0001.png, ... in a folder, one for every camera; each whole or not at all."""
    for shot in frames(gaussians, cameras, look):
        path = Path(folder, f"still-{shot.done:04d}.png")
        stream = io.BytesIO()
        Image.fromarray(shot.picture).save(stream, format="PNG")
        store.write_bytes(path, stream.getvalue())
        yield dataclasses.replace(shot, path=path)


def film(
    gaussians: Gaussians, cameras: Sequence[Camera] | CameraPath, out: str | Path, *,
    fps: float | None = None, crf: int = mp4.CRF, look: Look = Look(),
) -> Iterator[Shot]:  # fmt: skip
    """The pictures of a video as they are drawn; the last one carries its path, when it is whole.

    fps: a path's own, or 24. Odd sizes lose their last row or column. Raises what video.film raises.
    """
    along = _cameras(cameras)
    rate = fps or (cameras.fps if isinstance(cameras, CameraPath) else 24.0)
    last = None
    with mp4.film(out, width=along[0].width, height=along[0].height, fps=rate, crf=crf) as writer:
        for shot in frames(gaussians, along, look):
            writer.write(shot.picture)
            if shot.done < shot.total:
                yield shot
            last = shot
    assert last is not None
    yield dataclasses.replace(last, path=Path(out))


def video(
    gaussians: Gaussians, cameras: Sequence[Camera] | CameraPath, out: str | Path, *,
    fps: float | None = None, crf: int = mp4.CRF, look: Look = Look(),
) -> Path:  # fmt: skip
    """The path of a video along cameras: MP4, H.264, yuv420p. Raises as `film` does."""
    for _ in film(gaussians, cameras, out, fps=fps, crf=crf, look=look):
        pass
    return Path(out)


def _cameras(cameras: Sequence[Camera] | CameraPath) -> tuple[Camera, ...]:
    along = cameras.cameras if isinstance(cameras, CameraPath) else tuple(cameras)
    if not along:
        raise BadInput("path", found="no cameras", expected="at least one")
    return along
