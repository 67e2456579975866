"""The view without WebGL or without the bundle: pictures of an orbit that the kernel draws.

The page's part is page/loader.js. A request is answered by the newest picture only, drawn in one thread.
"""

from __future__ import annotations

import base64
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from geolab import modelserver
from geolab.errors import GeolabError, Superseded
from geolab.splats import rasterize, still
from geolab.splats.gaussians import Gaussians
from geolab.splats.views import Camera
from geolab.viewer import poses

MOVING_PX = 320  # longest side of a picture while the view moves
FULL_PX = 1280
KEPT_PX = (800, 450)  # of the picture that a saved notebook keeps
QUALITY = {True: 70, False: 90}  # of the JPEG, while moving and at rest

Send = Callable[[dict[str, Any], list[bytes]], None]
Drawing = Callable[["Wish", str], bytes]  # a wish and its background to a JPEG


@dataclass(frozen=True)
class Wish:
    """A picture that a page asked for. number: grows with each of its requests; page: which page.

    ground: "#rrggbb", the page's colour behind the model.
    """

    number: int
    page: str
    orbit: Mapping[str, Any]
    width: int
    height: int
    moving: bool
    ground: str = ""

    @classmethod
    def from_message(cls, told: Mapping[str, Any]) -> Wish:
        """The wish in a page's message; sizes are bounded. Raises ValueError, TypeError, KeyError."""
        width, height = (min(max(float(v), 2.0), 10_000.0) for v in told["size"])
        most = MOVING_PX if told.get("moving") else FULL_PX
        scale = min(1.0, most / max(width, height))
        return cls(
            int(told["number"]), str(told.get("page", ""))[:40], dict(told["orbit"]),
            max(2, round(width * scale)), max(2, round(height * scale)), bool(told.get("moving")),
            str(told.get("ground", ""))[:7],
        )  # fmt: skip


class Stills:
    """Draws the newest wish in a thread of its own, which ends when there is nothing to do."""

    def __init__(self, drawing: Drawing, send: Send, *, background: Callable[[], str] = lambda: ""):
        self._drawing, self._send, self._background = drawing, send, background
        self._lock = threading.Lock()
        self._next: Wish | None = None
        self._worker: threading.Thread | None = None

    def ask(self, wish: Wish) -> None:
        """Draw this next; what was waiting is forgotten."""
        with self._lock:
            self._next = wish
            if self._worker is None:
                self._worker = threading.Thread(target=self._work, name="geolab-stills", daemon=True)
                self._worker.start()

    def wait(self, timeout_s: float = 60) -> None:
        """Until all is drawn."""
        worker = self._worker
        if worker is not None:
            worker.join(timeout_s)

    def _work(self) -> None:
        while True:
            with self._lock:
                wish, self._next = self._next, None
                if wish is None:
                    self._worker = None
                    return
            answer: dict[str, Any] = {"kind": "still", "number": wish.number, "page": wish.page}
            try:
                picture = self._drawing(wish, self._background() or wish.ground)
            except Superseded:
                continue
            except GeolabError as error:
                self._send(answer | {"error": str(error)}, [])
                continue
            self._send(answer | {"moving": wish.moving}, [picture])


def drawing(gaussians: Gaussians, source: str, client: str, waiting: Callable[[int], None]) -> Drawing:
    """How wishes are drawn: by the machine's model server where there is one and the model is a file.

    A kernel that only shows a model then never touches a GPU. waiting: is told how many are before.
    """
    if not source or modelserver.address() is None:
        return lambda wish, ground: draw(gaussians, wish, background=ground)

    def ask(wish: Wish, ground: str) -> bytes:
        camera = poses.orbit_camera(wish.orbit, wish.width, wish.height)
        page = f"{client} {wish.page}"
        return modelserver.render(
            source, camera, background=color(ground), quality=QUALITY[wish.moving], client=page,
            places=waiting,
        )  # fmt: skip

    return ask


def draw(gaussians: Gaussians, wish: Wish, *, background: str = "") -> bytes:
    """The wish as a JPEG."""
    camera = poses.orbit_camera(wish.orbit, wish.width, wish.height)
    return draw_camera(gaussians, camera, background=background, quality=QUALITY[wish.moving])


def draw_camera(gaussians: Gaussians, camera: Camera, *, background: str = "", quality: int = 90) -> bytes:
    """What a camera without distortion sees, as a JPEG."""
    rendering = rasterize.render(gaussians, camera, background=color(background), mode="RGB")
    return still.jpeg(rendering.rgb, quality=quality)


def kept(gaussians: Gaussians, view: Mapping[str, Any], *, background: str = "") -> dict[str, str]:
    """The view as a picture that stays in the notebook, for readers without a kernel: {type: base64}."""
    wish = Wish(0, "", view, *KEPT_PX, False)
    try:
        return {"image/jpeg": base64.b64encode(draw(gaussians, wish, background=background)).decode()}
    except GeolabError:
        return {}  # no back end here: the words of the cell's output are left


def color(text: str) -> Sequence[float]:
    """Red, green, blue 0..1 of "#rrggbb"; the light theme's ground for anything else."""
    digits = text.removeprefix("#")
    if len(digits) != 6 or not all(c in "0123456789abcdefABCDEF" for c in digits):
        digits = "eef1f3"
    return [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]


def home(box: Sequence[float]) -> dict[str, Any]:
    """The first view of a box [xmin, ymin, zmin, xmax, ymax, zmax]: whole, from the south, 45 degrees up."""
    low, high = np.array(box[:3], np.float64), np.array(box[3:], np.float64)
    radius = max(float(np.linalg.norm(high - low)) / 2, 1e-3)
    distance = 0.7 * radius / math.sin(math.radians(poses.FOV_DEG / 2))
    target = [float(v) for v in (low + high) / 2]
    return {"target": target, "distance": distance, "azimuth": 0.0, "elevation": math.radians(45)}
