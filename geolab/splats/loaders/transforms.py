"""nerfstudio's and instant-ngp's transforms.json: cameras in OpenGL axes, points in a PLY beside them."""

from __future__ import annotations

import math
import posixpath
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from geolab.errors import FileRejected, one_line
from geolab.ingest.photos import read_photo
from geolab.splats.loaders import lenses, numbers, plypoints
from geolab.splats.loaders.draft import Draft, Pose, find
from geolab.splats.views import Camera, Floats, Points

NAME = "transforms.json"
OPENGL_TO_OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])  # y up, z backward -> y down, z forward
FISHEYE = ("OPENCV_FISHEYE", "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE")
STRAIGHT = (
    "",
    "PINHOLE",
    "SIMPLE_PINHOLE",
    "SIMPLE_RADIAL",
    "RADIAL",
    "OPENCV",
    "FULL_OPENCV",
    "PERSPECTIVE",
)
TERMS = ("k1", "k2", "k3", "k4", "p1", "p2")
GUESSES = (".png", ".jpg", ".jpeg", ".JPG", ".PNG")  # Blender's scenes leave the suffix out
Told = dict[str, Any]


def is_ours(told: object) -> bool:
    """Whether this is a transforms.json."""
    return isinstance(told, dict) and isinstance(told.get("frames"), list)


def read(path: Path) -> Draft:
    """The frames as the file tells them, in the world before nerfstudio turned it. Raises FileRejected."""
    told = numbers.read_json(path)
    if not is_ours(told):
        raise FileRejected(str(path), "it is no transforms.json: it has no list of 'frames'")
    if not told["frames"]:
        raise FileRejected(str(path), "its list of frames is empty; make the poses again")
    to_scene, scale = _applied(told, str(path))
    poses = [_pose(path, told, frame, k) for k, frame in enumerate(told["frames"])]
    poses = [replace(p, camera=_moved(p.camera, to_scene, scale)) for p in poses]
    points, warnings = _points(path.parent, told, to_scene, scale)
    return Draft(path.parent, _named(poses), points, warnings=warnings)


def _applied(told: Told, href: str) -> tuple[Floats, float]:
    """What takes the file's coordinates, divided by the scale, to those before nerfstudio: [4, 4], scale."""
    scale = numbers.number(told.get("applied_scale", 1.0), href=href, what="applied_scale")
    if scale <= 0:
        raise FileRejected(href, f"applied_scale is {scale:g}, expected more than 0")
    forward = np.eye(4)
    if told.get("applied_transform") is not None:
        given = np.array(told["applied_transform"], object)
        rows = 4 if given.shape == (4, 4) else 3
        forward[:rows] = numbers.matrix(
            told["applied_transform"], (rows, 4), href=href, what="applied_transform"
        )
        numbers.check_rotation(forward, href=href, what="applied_transform")
    return np.asarray(np.linalg.inv(forward), np.float64), scale


def _moved(camera: Camera, to_scene: Floats, scale: float) -> Camera:
    camera_to_world = np.linalg.inv(camera.world_to_camera)
    camera_to_world[:3, 3] /= scale
    return replace(camera, world_to_camera=np.linalg.inv(to_scene @ camera_to_world))


def _pose(path: Path, told: Told, frame: object, k: int) -> Pose:
    href = str(path)
    if not isinstance(frame, dict) or not isinstance(frame.get("file_path"), str) or not frame["file_path"]:
        raise FileRejected(href, f"frame {k} has no file_path")
    name, what = frame["file_path"], f"transform_matrix of {one_line(frame['file_path'], 60)}"
    given = frame.get("transform_matrix")
    rows = 3 if isinstance(given, list) and len(given) == 3 else 4
    camera_to_world = np.eye(4)
    camera_to_world[:rows] = numbers.matrix(given, (rows, 4), href=href, what=what)
    numbers.check_rotation(camera_to_world, href=href, what=what)
    places = _places(path.parent, name)
    lens = _lens(path, {**told, **frame}, places, name)
    mask = frame.get("mask_path")
    return Pose(
        name,
        places,
        replace(lens, world_to_camera=np.linalg.inv(camera_to_world @ OPENGL_TO_OPENCV)),
        mask=_places(path.parent, mask)[0] if isinstance(mask, str) else "",
    )


def _places(root: Path, name: str) -> tuple[str, ...]:
    """Where a photo may lie: as named, and in this folder if it was named on another machine."""
    flat = name.replace("\\", "/")
    inner = flat.removeprefix(f"{root.as_posix()}/")
    base = posixpath.basename(flat)
    names = dict.fromkeys((inner, f"images/{base}", base))
    if posixpath.splitext(base)[1]:
        return tuple(names)
    return tuple(n + suffix for n in names for suffix in ("", *GUESSES))


def _named(poses: list[Pose]) -> tuple[Pose, ...]:
    """The poses, named by their path below the folder that all photos share, as COLMAP names them."""
    paths = [posixpath.normpath(p.name.replace("\\", "/")) for p in poses]
    shared = posixpath.commonpath([posixpath.dirname(p) or "." for p in paths]) if _alike(paths) else ""
    names = (p.removeprefix(f"{shared}/") if shared not in ("", ".") else p for p in paths)
    return tuple(replace(pose, name=name) for pose, name in zip(poses, names, strict=True))


def _alike(paths: list[str]) -> bool:
    return len({posixpath.isabs(p) for p in paths}) == 1 and all(posixpath.dirname(p) for p in paths)


# ---------------------------------------------------------------- lenses


def _lens(path: Path, told: Told, places: tuple[str, ...], name: str) -> Camera:
    """The camera of a frame; `told`: the frame's own numbers over those of all frames."""
    href, of = str(path), f"of {one_line(name, 60)}"

    def get(key: str, default: float | None = None) -> float:
        value = default if told.get(key) is None else told[key]
        return numbers.number(value, href=href, what=f"{key} {of}")

    if told.get("w") is None or told.get("h") is None:
        width, height = _size(path, places, name)
    else:
        width, height = round(get("w")), round(get("h"))
    fx, fy = _focal(told, get, width, height, href, of)
    cx, cy = get("cx", width / 2), get("cy", height / 2)
    terms = {key: get(key, 0.0) for key in TERMS}
    model = str(told.get("camera_model") or "").upper()
    if told.get("is_fisheye") is True:
        model = "OPENCV_FISHEYE"
    kind, more = _distortion(model, terms, href)
    return lenses.camera(kind, width, height, [fx, fy, cx, cy, *more], np.eye(4), href=href)


def _size(path: Path, places: tuple[str, ...], name: str) -> tuple[int, int]:
    file = find(path.parent, places)
    if file is None:
        raise FileRejected(
            str(path), f"it gives no w and h, and the photo {one_line(name, 80)} that would tell is not there"
        )
    photo = read_photo(file)
    return photo.width, photo.height


def _focal(told: Told, get: Any, width: int, height: int, href: str, of: str) -> tuple[float, float]:
    if told.get("fl_x") is not None:
        fx = get("fl_x")
        return fx, get("fl_y", fx)
    if told.get("camera_angle_x") is not None:
        angles = [(get("camera_angle_x"), width)]
        if told.get("camera_angle_y") is not None:
            angles.append((get("camera_angle_y"), height))
        if not all(0 < angle < math.pi for angle, _ in angles):
            raise FileRejected(href, f"camera_angle_x {of} is {angles[0][0]:g}, expected radians below pi")
        found = [side / 2 / math.tan(angle / 2) for angle, side in angles]
        return found[0], found[-1]
    raise FileRejected(href, f"neither fl_x nor camera_angle_x {of} is given")


def _distortion(model: str, terms: dict[str, float], href: str) -> tuple[str, list[float]]:
    """COLMAP's name of the model, and its parameters after the principal point."""
    k1, k2, k3, k4, p1, p2 = (terms[key] for key in TERMS)
    if model in FISHEYE:
        return "OPENCV_FISHEYE", [k1, k2, k3, k4]
    if model not in STRAIGHT:
        known = ", ".join((*STRAIGHT[1:], *FISHEYE))
        raise FileRejected(href, f"camera_model is '{one_line(model, 40)}'; known: {known}")
    if k4:
        raise FileRejected(href, f"k4 is {k4:g} for a lens that is no fisheye; expected 0")
    if k3:
        return "FULL_OPENCV", [k1, k2, p1, p2, k3, 0.0, 0.0, 0.0]
    return ("OPENCV", [k1, k2, p1, p2]) if any((k1, k2, p1, p2)) else ("PINHOLE", [])


# ---------------------------------------------------------------- points


def _points(root: Path, told: Told, to_scene: Floats, scale: float) -> tuple[Points | None, tuple[str, ...]]:
    name = told.get("ply_file_path")
    if not isinstance(name, str):
        return None, ()
    file = find(root, _places(root, name)[:1])
    if file is None:
        return None, (f"the points {one_line(name, 80)} are not there and are not used",)
    points = plypoints.read(file)
    if points is None:
        return None, (f"{file.name} holds no points",)
    moved = points.xyz / scale @ to_scene[:3, :3].T + to_scene[:3, 3]
    return Points(moved, points.rgb), ()
