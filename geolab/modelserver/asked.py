"""What can be asked: a picture of a model of splats, or the change in a window of a pair."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from geolab import store
from geolab.change import request as change_request
from geolab.errors import BadInput
from geolab.modelserver.kept import version
from geolab.splats.views import Camera

LARGEST_PX = 4096  # side of a picture
LARGEST_WINDOW_PX = 1024  # side of a window


@dataclass(frozen=True)
class Picture:
    """A JPEG of a model. background: red, green, blue 0..1. quality: 1..95.

    camera: None for a portrait of size (width, height).
    """

    uri: str
    version: Hashable
    camera: Camera | None
    size: tuple[int, int]
    background: tuple[float, ...]
    mode: str
    quality: int
    client: str = ""

    @property
    def group(self) -> Hashable:
        return ("picture", self.version, self.mode, self.background)


@dataclass(frozen=True)
class Window:
    """The change in a window of a pair: rows and columns of `before`, pixels from its upper left."""

    before: str
    after: str
    method: str
    model: str
    rows: tuple[int, int]
    cols: tuple[int, int]
    versions: Hashable
    client: str = ""

    @property
    def group(self) -> Hashable:
        return ("window", self.versions, self.method)


def of(told: Mapping[str, Any]) -> Picture | Window:
    """What a message asks for. Raises BadInput."""
    try:
        return {"render": _picture, "predict": _window}[str(told.get("do"))](told)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise BadInput("request", found=repr(error), expected="a picture or a window") from error


def _picture(told: Mapping[str, Any]) -> Picture:
    uri, camera = str(told["uri"]), _camera(told["camera"]) if "camera" in told else None
    size = (camera.width, camera.height) if camera else _size(*told["size"])
    background = tuple(min(max(float(v), 0.0), 1.0) for v in told["background"])
    if len(background) != 3 or not all(map(math.isfinite, background)):
        raise BadInput("background", found=background, expected="red, green, blue")
    mode = str(told.get("mode", "classic"))
    quality = min(max(int(told.get("quality", 90)), 1), 95)
    client = str(told.get("client", ""))[:80]
    return Picture(uri, version(uri), camera, size, background, mode, quality, client)


def _camera(told: Mapping[str, Any]) -> Camera:
    width, height = _size(told["width"], told["height"])
    K = np.array(told["K"], np.float64).reshape(3, 3)
    pose = np.array(told["world_to_camera"], np.float64).reshape(4, 4)
    if not (np.isfinite(K).all() and np.isfinite(pose).all()):
        raise BadInput("camera", found="numbers that are not finite", expected="finite ones")
    return Camera(width, height, K, pose)


def _size(width: Any, height: Any) -> tuple[int, int]:
    found = int(width), int(height)
    if not all(1 <= side <= LARGEST_PX for side in found):
        expected = f"at most {LARGEST_PX} a side"
        raise BadInput("picture", found=f"{found[0]} x {found[1]} px", expected=expected)
    return found


def _window(told: Mapping[str, Any]) -> Window:
    before, after, model = str(told["before"]), str(told["after"]), str(told.get("model") or "")
    method = str(told["method"])
    if method not in change_request.METHODS or (method == "model") != bool(model):
        raise BadInput("method", found=method[:40], expected=", ".join(change_request.METHODS))
    folder = store.local_path(model) if model else None
    if model and (folder is None or not folder.is_dir()):  # names mean something in one workspace only
        raise BadInput("model", found=model[:80], expected="the folder of a model")
    spans = []
    for name in ("rows", "cols"):
        start, stop = (int(v) for v in told[name])
        if not 0 <= start < stop <= start + LARGEST_WINDOW_PX:
            found, expected = f"{start} to {stop}", f"1 to {LARGEST_WINDOW_PX} pixels"
            raise BadInput(name, found=found, expected=expected)
        spans.append((start, stop))
    versions = tuple(version(uri) for uri in (before, after, *filter(None, [model])))
    return Window(
        before, after, method, model, spans[0], spans[1], versions, str(told.get("client", ""))[:80]
    )
