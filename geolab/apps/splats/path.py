"""A path of cameras: views are kept one by one, in order, and a film goes smoothly through them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
import numpy as np

from geolab import modelserver
from geolab.apps import parts
from geolab.errors import BadInput, GeolabError
from geolab.splats import pathfile, paths
from geolab.splats.views import Camera
from geolab.viewer import fallback, poses

if TYPE_CHECKING:
    from collections.abc import Callable

    from geolab.apps.shell import Page
    from geolab.apps.splats.model import Loaded
    from geolab.settings import Settings
    from geolab.viewer import Viewer

WIDTH, HEIGHT = 1280, 720  # of the path's cameras; a film may be smaller
THUMB_PX = (160, 90)
MOST_KEYS = 100
PLAYED_FPS = 12
HINT = "Turn the view, press Keep this view, and go on: a film passes through all of them in this order."


class PathEditor(widgets.VBox):
    """Kept views as a strip of pictures. kept: their cameras. on_file(path, fps): a film is wanted."""

    def __init__(self, page: Page, view: Viewer, loaded: Loaded, *, on_file: Callable[[str, int], None]):
        self.page, self.view, self.loaded, self.on_file = page, view, loaded, on_file
        self.kept: list[Camera] = []
        self._pictures: list[bytes] = []
        self._playing: asyncio.Task[None] | None = None
        self._strip = parts.box([], "geolab-row", "geolab-strip")
        self._seconds = widgets.BoundedFloatText(value=6.0, min=0.5, max=600, step=0.5, **_named("Seconds"))
        self._fps = widgets.BoundedIntText(value=24, min=1, max=60, **_named("Frames a second"))
        self._closed = widgets.Checkbox(value=False, description="Back to the first", indent=False)
        self._play = parts.button("Play", self.play, hint="Fly along the path in the view above")
        self._film = parts.button("Film it", self.film, hint="Fill in the form that makes the film")
        keep = parts.button("Keep this view", self.keep, primary=True)
        settings = parts.row(self._seconds, self._fps, self._closed)
        super().__init__(
            [parts.row(keep, self._play, self._film), parts.text(HINT, soft=True), self._strip, settings]
        )
        self.add_class("geolab-path")
        self._draw()

    # ------------------------------------------------------------ the keys

    def keep(self) -> None:
        """Add what is seen now."""
        camera = self.view.camera
        if camera is None:
            raise BadInput("view", found="none yet", expected="a model that is shown; wait a moment")
        if len(self.kept) >= MOST_KEYS:
            raise BadInput("path", found=f"{MOST_KEYS} views", expected="fewer; remove some")
        key = of_film(camera)
        self.kept.append(key)
        self._pictures.append(b"")
        self._draw()
        self.page.aside(lambda: self._picture(key), lambda data: self._pictured(key, data))

    def move(self, index: int, by: int) -> None:
        """Let a view change places with its neighbour."""
        other = index + by
        if 0 <= other < len(self.kept):
            self.kept[index], self.kept[other] = self.kept[other], self.kept[index]
            pictures = self._pictures
            pictures[index], pictures[other] = pictures[other], pictures[index]
            self._draw()

    def remove(self, index: int) -> None:
        """Take a view out."""
        del self.kept[index], self._pictures[index]
        self._draw()

    def path(self) -> pathfile.CameraPath:
        """The film's cameras. Raises BadInput for fewer than two views, or too many frames."""
        if len(self.kept) < 2:
            raise BadInput("path", found=f"{len(self.kept)} views", expected="at least 2; keep some")
        frames = max(2, round(self._seconds.value * self._fps.value))
        made = paths.spline(self.kept, frames, closed=self._closed.value)
        return pathfile.CameraPath(made, float(self._fps.value))

    # ------------------------------------------------------------ what becomes of them

    def film(self) -> None:
        """Write the path into the workspace and ask for a film along it."""
        self.on_file(str(written(self.page.settings, self.path())), self._fps.value)

    def play(self) -> None:
        """Fly along the path in the view, or stop."""
        if self._playing is not None and not self._playing.done():
            self._playing.cancel()
            return
        self._playing = asyncio.get_running_loop().create_task(self._fly(self.path()))

    async def _fly(self, path: pathfile.CameraPath) -> None:
        count = max(2, round(path.seconds * PLAYED_FPS))
        self._play.description = "Stop"
        try:
            for k in range(count):
                camera = path.cameras[k * (len(path.cameras) - 1) // (count - 1)]
                self.view.look_through(camera, animated=False)
                await asyncio.sleep(1 / PLAYED_FPS)
        finally:
            self._play.description = "Play"

    # ------------------------------------------------------------ the strip

    def _picture(self, key: Camera) -> bytes:
        """A small picture of a view; none where it can't be drawn."""
        small = resized(key, *THUMB_PX)
        try:
            if modelserver.address() is not None:
                return modelserver.render(self.loaded.uri, small, background=fallback.color(""))
            return fallback.draw_camera(self.loaded.splats.gaussians, small)
        except GeolabError:
            return b""

    def _pictured(self, key: Camera, data: bytes) -> None:
        for index, one in enumerate(self.kept):
            if one is key:
                self._pictures[index] = data
        self._draw()

    def _draw(self) -> None:
        for old in self._strip.children:
            old.close()
        self._strip.children = tuple(map(self._card, range(len(self.kept))))
        self._play.disabled = self._film.disabled = len(self.kept) < 2

    def _card(self, index: int) -> widgets.Widget:
        data = self._pictures[index]
        shown: list[Any] = [widgets.Image(value=data, format="jpeg")] if data else [parts.skeleton(1)]
        go = parts.button(f"View {index + 1}", lambda: self.view.look_through(self.kept[index]))
        left = parts.button("←", lambda: self.move(index, -1), hint=f"Move view {index + 1} forward")
        right = parts.button("→", lambda: self.move(index, 1), hint=f"Move view {index + 1} back")
        out = parts.button("Remove", lambda: self.remove(index), hint=f"Remove view {index + 1}")
        card = parts.stack(*shown, go, parts.row(left, right, out))
        card.add_class("geolab-key")
        return card


def _named(label: str) -> dict[str, Any]:
    """A number's label in full, and room for its digits."""
    return {"description": label, "style": {"description_width": "initial"}, "layout": {"width": "auto"}}


def of_film(camera: Camera) -> Camera:
    """The same view, from top to bottom, in the film's shape."""
    fov_deg = math.degrees(2 * math.atan2(camera.height / 2, float(camera.K[1, 1])))
    return Camera(WIDTH, HEIGHT, paths.pinhole(WIDTH, HEIGHT, fov_deg), camera.world_to_camera)


def resized(camera: Camera, width: int, height: int) -> Camera:
    """The same view in another size of the same shape."""
    scale = np.array([[width / camera.width], [height / camera.height], [1.0]])
    return Camera(width, height, camera.K * scale, camera.world_to_camera)


def written(settings: Settings, path: pathfile.CameraPath) -> Path:
    """The path as a file of the workspace, named by its content: the same path is the same file."""
    told = [[poses.camera_json(camera) for camera in path.cameras], path.fps]
    name = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]
    target = settings.home / "paths" / f"{name}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    return pathfile.write_path(target, path)
