"""Asking: from a page's kernel or from anything else of this user on this machine."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from geolab import errors
from geolab.errors import GeolabError, Unreachable
from geolab.modelserver import wire

if TYPE_CHECKING:
    from geolab.splats.views import Camera

VARIABLE = "GEOLAB_MODELSERVER"  # the socket's path, set by the server of the pages
WHAT = "the model server"
TIMEOUT_S = 120.0  # without a word

Places = Callable[[int], None]


def address() -> Path | None:
    """The socket that this process was told of; None outside of a server of pages."""
    told = os.environ.get(VARIABLE, "")
    return Path(told) if told.startswith("/") else None


def render(
    uri: str,
    camera: Camera,
    *,
    background: Sequence[float] = (0.0, 0.0, 0.0),
    quality: int = 90,
    mode: str = "classic",
    client: str = "",
    places: Places = lambda _: None,
    at: Path | None = None,
) -> bytes:
    """What a camera without distortion sees of a model, as a JPEG.

    client: what it asked for before and has not got is forgotten. places: is told how many are before it.
    Raises Busy, Superseded, Unreachable, and what reading the model raises.
    """
    told = {
        "do": "render",
        "uri": uri,
        "camera": {
            "width": camera.width,
            "height": camera.height,
            "K": np.asarray(camera.K, np.float64).ravel().tolist(),
            "world_to_camera": np.asarray(camera.world_to_camera, np.float64).ravel().tolist(),
        },
        "background": [float(v) for v in background],
        "quality": quality,
        "mode": mode,
        "client": client,
    }
    return _ask(told, places, at)[1]


def portrait(
    uri: str,
    size: tuple[int, int],
    *,
    background: Sequence[float] = (0.93, 0.945, 0.953),
    at: Path | None = None,
) -> bytes:
    """A model whole, as a JPEG of size (width, height). Raises as `render` does."""
    told = {"do": "render", "uri": uri, "size": list(size), "background": [float(v) for v in background]}
    return _ask(told, lambda _: None, at)[1]


def predict(
    before: str,
    after: str,
    *,
    rows: tuple[int, int],
    cols: tuple[int, int],
    method: str = "cva",
    model: str = "",
    client: str = "",
    places: Places = lambda _: None,
    at: Path | None = None,
) -> tuple[NDArray[np.uint8], float]:
    """The levels [y, x] that detection gives in a window of a pair (255: invalid), and its threshold 0..1.

    rows, cols: from and to, pixels of `before`. model: its folder, for the method "model".
    Raises Busy, Superseded, Unreachable, and as detection does.
    """
    told = {"do": "predict", "before": before, "after": after, "rows": rows, "cols": cols}
    facts, data = _ask(told | {"method": method, "model": model, "client": client}, places, at)
    return np.frombuffer(data, np.uint8).reshape(facts["shape"]), float(facts["threshold"])


def status(at: Path | None = None) -> dict[str, Any]:
    """What the server does and holds. Raises Unreachable."""
    with _connected(at) as connection, connection.makefile("rb") as stream:
        connection.sendall(wire.frame({"do": "status"}))
        return _take(stream)[0]["status"]


def _ask(told: wire.Told, places: Places, at: Path | None) -> tuple[dict[str, Any], bytes]:
    with _connected(at) as connection, connection.makefile("rb") as stream:
        connection.sendall(wire.frame(told))
        while True:
            said, data = _take(stream)
            if "before" in said:
                places(int(said["before"]))
            elif "result" in said:
                return said["result"], data
            else:
                raise _error(said)


def _take(stream: Any) -> tuple[wire.Told, bytes]:
    try:
        return wire.take(stream)
    except (EOFError, OSError) as error:
        raise Unreachable(WHAT, str(error) or "it has ended") from error


def _connected(at: Path | None) -> socket.socket:
    path = at or address()
    if path is None:
        raise Unreachable(WHAT, f"{VARIABLE} is not set")
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(TIMEOUT_S)
    try:
        connection.connect(str(path))
    except OSError as error:
        connection.close()
        raise Unreachable(WHAT, error.strerror or str(error)) from error
    return connection


class Refused(GeolabError):
    """What the server said in words, of a class that has other facts here."""


def _error(said: wire.Told) -> GeolabError:
    """The server's error: of its class, so that callers can tell them apart, with its own words."""
    known = getattr(errors, str(said.get("error")), None)
    words = errors.one_line(said.get("message") or "the model server failed")
    if not (isinstance(known, type) and issubclass(known, GeolabError)):
        return Refused(words)
    error = known.__new__(known)
    Exception.__init__(error, words)
    return error


__all__ = ["Refused", "address", "portrait", "predict", "render", "status"]
