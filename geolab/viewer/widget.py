"""The widget: a model, its cameras and what the reader does with them, as traits."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets as t

from geolab import modelserver
from geolab.errors import BadInput
from geolab.splats import extent
from geolab.splats.frame import Frame
from geolab.splats.gaussians import Gaussians
from geolab.splats.views import Camera, View
from geolab.viewer import bundle, fallback, payload, poses, readings

PAGE = Path(__file__).with_name("page")
RENDERERS = ("auto", "server")


class Viewer(anywidget.AnyWidget):
    """A model in 3-D. The bytes travel when a page asks for them, so that a saved notebook stays small.

    camera: what is seen, as a Camera; set it to look through exactly that one. picked: {lon, lat, height_m,
    east_m, north_m, up_m} of the last point picked; measured: {distance_m, horizontal_m, vertical_m}.
    crop: [west, south, bottom, east, north, top] in the model's frame, or []. tool: orbit, pick, measure.
    drawn_by: "webgl", "server" or "" while no page has answered.
    """

    _esm = PAGE / "loader.js"
    _css = PAGE / "viewer.css"

    height_px = t.Int(520, min=160, max=4000).tag(sync=True)
    renderer = t.Enum(RENDERERS, "auto").tag(sync=True)
    background = t.Unicode("").tag(sync=True)
    tool = t.Enum(("orbit", "pick", "measure"), "orbit").tag(sync=True)
    crop = t.List(t.Float()).tag(sync=True)
    cameras = t.List(t.Dict()).tag(sync=True)
    show_cameras = t.Bool(False).tag(sync=True)
    photo = t.Unicode("").tag(sync=True)
    picked = t.Dict().tag(sync=True)
    measured = t.Dict().tag(sync=True)
    readings = t.List().tag(sync=True)
    facts = t.Dict().tag(sync=True)
    view = t.Dict().tag(sync=True)
    pose = t.Dict({"number": 0}).tag(sync=True)
    drawn_by = t.Unicode("")
    problem = t.Unicode("")
    waiting = t.Int(0)  # pictures of others that the model server draws before ours
    _bundle = t.Unicode("").tag(sync=True)
    _missing = t.Unicode("").tag(sync=True)
    _still = t.Dict().tag(sync=True)

    def __init__(
        self,
        gaussians: Gaussians,
        frame: Frame | None = None,
        *,
        title: str = "Gaussian splats",
        source: str = "",
        max_mb: float = payload.BUDGET_MB,
        **traits: Any,
    ):
        self.gaussians, self.frame = gaussians.map(lambda tensor: tensor.detach()), frame
        self._payload = payload.encode(gaussians, budget_mb=max_mb)
        self._is_served = bool(source) and modelserver.address() is not None  # then nothing is drawn here
        drawing = fallback.drawing(self.gaussians, source, uuid.uuid4().hex, self._wait)
        self._stills = fallback.Stills(drawing, self._send_bytes, background=lambda: self.background)
        found = bundle.name()
        missing = "" if found else bundle.MISSING
        super().__init__(_bundle=found, _missing=missing, facts=self._facts(title), **traits)
        self.on_msg(self._hear)

    def _facts(self, title: str) -> dict[str, Any]:
        """What a page needs to know of the model before it has it."""
        sent, box = self._payload, extent.box(self.gaussians)
        return {
            "title": title,
            "summary": f"{title}: {sent.total:,} Gaussians, {len(sent.data) / 1e6:.1f} MB.",
            "note": sent.note,
            "box": box,
            "home": fallback.home(box),
            "frustum": math.dist(box[:3], box[3:]) / 40,
            "unit": "m" if self.frame is not None else "units",
        }

    def __repr__(self) -> str:
        return f"3-D view of {self.facts['summary']} Run this cell to turn it."

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        found = super()._repr_mimebundle_(**kwargs)
        if found is None:
            return None
        data, metadata = found
        if self._is_served:
            return found
        return data | fallback.kept(self.gaussians, self.facts["home"], background=self.background), metadata

    @t.validate("crop")
    def _checked_crop(self, proposal: Any) -> list[float]:
        box = list(proposal["value"])
        ordered = len(box) == 6 and all(box[i] <= box[i + 3] for i in range(3))
        if box and not (ordered and all(math.isfinite(v) for v in box)):
            raise BadInput(
                "crop", found=box, expected="[west, south, bottom, east, north, top] in metres, or []"
            )
        return box

    # ------------------------------------------------------------ what is seen

    @property
    def camera(self) -> Camera | None:
        """The present view in pixels of the page; None before a page has drawn."""
        return poses.camera_of(self.view) if self.view else None

    @camera.setter
    def camera(self, camera: Camera | View) -> None:
        self.look_through(camera, animated=False)

    def look_through(self, camera: Camera | View, *, animated: bool = True) -> None:
        """Show exactly what this camera sees, in the middle of the canvas, as large as it fits."""
        name, camera = (camera.name, camera.camera) if isinstance(camera, View) else ("", camera)
        if any(camera.distortion):
            raise BadInput("camera", found=f"distortion ({camera.model})", expected="a camera without")
        self._look(poses.camera_json(camera, name), animated)

    def look_at(
        self,
        point: Sequence[float],
        *,
        distance_m: float = 0.0,
        azimuth_deg: float = 0.0,
        elevation_deg: float = 45.0,
    ) -> None:
        """Show a point [east, north, up] of the frame from a distance; 0: a fifth of the model's size."""
        view = {
            "target": [float(v) for v in point],
            "distance": float(distance_m) or 0.4 * self.facts["home"]["distance"],
            "azimuth": math.radians(azimuth_deg),
            "elevation": math.radians(elevation_deg),
        }
        poses.orbit_camera(view, 2, 2)  # refuses what is no view
        self._still = view
        self._look(view, True)

    def _look(self, pose: dict[str, Any], animated: bool) -> None:
        self.pose = pose | {"number": self.pose["number"] + 1, "animated": animated}

    # ------------------------------------------------------------ what the page says

    def _send_bytes(self, message: dict[str, Any], buffers: list[bytes]) -> None:
        self.send(message, buffers)

    def _hear(self, _widget: object, content: Mapping[str, Any], _buffers: object) -> None:
        answers = {
            "want": self._give, "picked": self._picked, "still": self._draw, "status": self._status
        }  # fmt: skip
        answer = answers.get(str(content.get("kind")))
        if answer is not None:
            answer(content)

    def _give(self, content: Mapping[str, Any]) -> None:
        if content.get("what") == "bundle":
            self.send({"kind": "bundle"}, [bundle.packed()])
        elif content.get("what") == "model":
            self.send({"kind": "model", "format": "spz"}, [self._payload.data])

    def _wait(self, before: int) -> None:
        self.waiting = before

    def _draw(self, content: Mapping[str, Any]) -> None:
        try:
            wish = fallback.Wish.from_message(content)
        except (KeyError, TypeError, ValueError, OverflowError):
            return
        self._stills.ask(wish)

    def _status(self, content: Mapping[str, Any]) -> None:
        self.problem = str(content.get("message") or "")[:300]
        self.drawn_by = str(content.get("renderer") or "")[:20]

    def _picked(self, content: Mapping[str, Any]) -> None:
        try:
            points = np.array(content.get("points"), np.float64).reshape(-1, 3)
        except (TypeError, ValueError):
            return
        if not len(points) or not np.isfinite(points).all():
            return
        if content.get("tool") == "measure":
            if len(points) == 2:
                self.measured = readings.distance(*points)
                self.readings = readings.measured_lines(self.measured, self.facts["unit"])
            return
        self.picked = readings.place(points[-1], self.frame)
        self.readings = readings.picked_lines(self.picked, self.frame, self.facts["unit"])
