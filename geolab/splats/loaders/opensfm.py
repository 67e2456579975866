"""OpenSfM's reconstruction.json, also inside a project of OpenDroneMap.

Conventions as in OpenSfM's source (io.py, camera_*_functions.h): pictures are read without regard to their
EXIF orientation; lengths in the picture are divided by its longer side and count from its middle; a shot's
rotation vector and translation go from the world to the camera, in OpenCV axes; the world is topocentric
(east, north, up) at reference_lla.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from geolab.errors import FileRejected, one_line
from geolab.splats.frame import UNKNOWN_DATUM, Frame
from geolab.splats.loaders import lenses, numbers
from geolab.splats.loaders.draft import Draft, Pose
from geolab.splats.views import Camera, Points

NAME = "reconstruction.json"
INNER = "opensfm"  # of a project of OpenDroneMap
# projection_type: COLMAP's model, and the terms in its order; "0" for one that OpenSfM does not have
MODELS = {
    "perspective": ("RADIAL", ("k1", "k2")),
    "simple_radial": ("OPENCV", ("k1", "0", "0", "0")),
    "radial": ("OPENCV", ("k1", "k2", "0", "0")),
    "brown": ("FULL_OPENCV", ("k1", "k2", "p1", "p2", "k3", "0", "0", "0")),
    "fisheye": ("RADIAL_FISHEYE", ("k1", "k2")),
    "fisheye_opencv": ("OPENCV_FISHEYE", ("k1", "k2", "k3", "k4")),
}
Told = dict[str, Any]


def located(folder: Path) -> Path | None:
    """The reconstruction of a folder: in it, or in opensfm/ below it."""
    for path in (folder / NAME, folder / INNER / NAME):
        if path.is_file():
            return path
    return None


def read(path: Path) -> Draft:
    """The largest reconstruction of a file. Raises FileRejected."""
    told = numbers.read_json(path)
    known = [r for r in told if _is_ours(r)] if isinstance(told, list) else []
    if not known:
        raise FileRejected(
            str(path), "it is no reconstruction of OpenSfM: no list with 'cameras' and 'shots'"
        )
    best = max(known, key=lambda r: len(r["shots"]))
    warnings: list[str] = []
    if len(known) > 1:
        sizes = ", ".join(str(len(r["shots"])) for r in known)
        warnings.append(f"{len(known)} reconstructions ({sizes} photos): the largest is used")
    href = str(path)
    cameras = {name: _camera(camera, name, href) for name, camera in best["cameras"].items()}
    frame = _frame(best.get("reference_lla"), href)
    poses = tuple(_pose(shot, name, cameras, frame, href) for name, shot in best["shots"].items())
    if not poses:
        raise FileRejected(href, "it holds no posed photo; run structure from motion again")
    return Draft(root(path), poses, _points(best, href), frame, tuple(warnings), epoch_from_photos=True)


def root(path: Path) -> Path:
    """The folder in which the photos of a reconstruction lie: the project's, if this is its inner folder."""
    folder = path.parent
    outer = folder.parent
    inner = folder.name == INNER and (outer / "images").is_dir() and not (folder / "images").is_dir()
    return outer if inner else folder


def _is_ours(told: object) -> bool:
    return isinstance(told, dict) and all(isinstance(told.get(k), dict) for k in ("cameras", "shots"))


def _camera(told: object, name: str, href: str) -> Camera:
    of = f"of camera {one_line(name, 60)}"
    if not isinstance(told, dict) or told.get("projection_type") not in MODELS:
        kind = told.get("projection_type") if isinstance(told, dict) else None
        raise FileRejected(
            href, f"projection_type {of} is '{one_line(kind, 40)}'; known: {', '.join(MODELS)}"
        )
    model, terms = MODELS[told["projection_type"]]

    def get(key: str, default: float | None = None) -> float:
        return numbers.number(told.get(key, default), href=href, what=f"{key} {of}")

    width, height = round(get("width")), round(get("height"))
    side = max(width, height)
    both = told.get("focal")
    fx = get("focal_x", both) * side
    fy = get("focal_y", both if both is not None else told.get("focal_x")) * side
    focals, _ = lenses.BY_NAME[model]
    middle = [width / 2 + get("c_x", 0.0) * side, height / 2 + get("c_y", 0.0) * side]
    more = [0.0 if term == "0" else get(term, 0.0) for term in terms]
    return lenses.camera(model, width, height, [fx, fy][:focals] + middle + more, np.eye(4), href=href)


def _frame(told: object, href: str) -> Frame | None:
    if not isinstance(told, dict):
        return None
    lat, lon, height = (
        numbers.number(told.get(k), href=href, what=f"reference_lla.{k}")
        for k in ("latitude", "longitude", "altitude")
    )
    return Frame(lon, lat, height, UNKNOWN_DATUM)  # OpenSfM takes the photos' heights as they are


def _pose(shot: object, name: str, cameras: dict[str, Camera], frame: Frame | None, href: str) -> Pose:
    of = f"of {one_line(name, 80)}"
    if not isinstance(shot, dict) or shot.get("camera") not in cameras:
        raise FileRejected(href, f"the shot {one_line(name, 80)} has no known camera")
    turn = numbers.matrix(shot.get("rotation"), (3,), href=href, what=f"rotation {of}")
    world_to_camera = np.eye(4)
    world_to_camera[:3, :3] = Rotation.from_rotvec(turn).as_matrix()
    world_to_camera[:3, 3] = numbers.matrix(
        shot.get("translation"), (3,), href=href, what=f"translation {of}"
    )
    held = cameras[shot["camera"]]
    camera = Camera(held.width, held.height, held.K, world_to_camera, held.model, held.distortion)
    return Pose(
        name, (f"images/{name}", name), camera, masks=(f"masks/{name}.png",), measured=_measured(shot, frame)
    )


def _measured(shot: Told, frame: Frame | None) -> tuple[float, float, float] | None:
    """Where GPS saw the shot, for photos that have lost their EXIF."""
    place = shot.get("gps_position")
    if frame is None or not isinstance(place, list) or len(place) != 3 or not any(place):
        return None
    if not all(isinstance(v, (int, float)) and abs(v) < 1e6 for v in place):  # NaN fails, too
        return None
    lon, lat, height = frame.lonlat(place)[0]
    return float(lon), float(lat), float(height)


def _points(told: Told, href: str) -> Points | None:
    points = told.get("points")
    if not isinstance(points, dict) or not points:
        return None
    try:
        xyz = np.array([p["coordinates"] for p in points.values()], np.float64).reshape(len(points), 3)
        rgb = np.array([p.get("color", (128, 128, 128)) for p in points.values()], np.float64)
        colours = np.clip(np.nan_to_num(rgb.reshape(len(points), 3)), 0, 255).astype(np.uint8)
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
        raise FileRejected(href, f"its points are damaged: {one_line(error, 80)}") from error
    good = np.isfinite(xyz).all(axis=1)
    return Points(xyz[good], colours[good]) if good.any() else None
