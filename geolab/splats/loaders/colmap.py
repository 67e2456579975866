"""COLMAP's models, text and binary.

Read here and not by pycolmap, which hangs or takes all memory on some damaged files (4.2.1): every length is
checked against the bytes that are there before it is believed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from geolab.errors import FileRejected, one_line
from geolab.splats.loaders import lenses, numbers
from geolab.splats.loaders.draft import Draft, Pose, inside
from geolab.splats.views import Camera, Floats, Points

FILES = ("cameras", "images", "points3D")
PARENTS = ("sparse", "colmap/sparse", "distorted/sparse", "")  # of a project's folder
IMAGES = ("images", "input", "photos", "")
LONGEST_NAME = 4096


def models(folder: Path) -> tuple[Path, ...]:
    """The folders of a project that hold a model: sparse/0, sparse/1, ..., sparse, or the folder itself."""
    for parent in PARENTS:
        base = folder / parent if parent else folder
        if base.is_dir():
            inner = (d for d in sorted(base.iterdir()) if d.is_dir()) if parent else ()
            found = tuple(d for d in (base, *inner) if _suffix(d))
            if found:
                return found
    return ()


def _suffix(folder: Path) -> str:
    """ ".bin", ".txt", or "" if no model is in the folder; the binary form comes first, as in COLMAP."""
    for suffix in (".bin", ".txt"):
        if all((folder / f"{name}{suffix}").is_file() for name in FILES[:2]):
            return suffix
    return ""


def read(folder: Path) -> Draft:
    """The largest model of a project as its files tell it. Raises FileRejected."""
    found = models(folder)
    drafts = [_read_model(model) for model in found]
    best = max(range(len(drafts)), key=lambda k: (len(drafts[k].poses), -k))
    root = project(folder, found[best])
    warnings = []
    if len(drafts) > 1:
        sizes = ", ".join(f"{m.name}: {len(d.poses)}" for m, d in zip(found, drafts, strict=True))
        warnings.append(
            f"{len(drafts)} models ({sizes} photos): the largest, {found[best].name}, is used; the others "
            "lie in frames of their own"
        )
    where = _images(root, drafts[best].poses)
    poses = tuple(
        replace(p, places=(_place(where, p.name),), masks=_masks(p.name)) for p in drafts[best].poses
    )
    return Draft(root, poses, drafts[best].points, warnings=tuple(warnings))


def _place(where: str, name: str) -> str:
    """A photo's name below the project; an absolute one stays so, and is refused."""
    return f"{where}/{name}" if where and not name.startswith(("/", "\\")) else name


def _masks(name: str) -> tuple[str, ...]:
    """COLMAP adds .png to the photo's name; others put it in the suffix's place."""
    return f"masks/{name}.png", f"masks/{name.rsplit('.', 1)[0]}.png"


def project(folder: Path, model: Path) -> Path:
    """The folder that photos are looked for in: above sparse/0 when a model's own folder was given."""
    if folder != model:
        return folder
    for up in (model, *model.parents[:3]):
        if any((up / name).is_dir() for name in IMAGES[:-1]):
            return up
    return folder


def _images(root: Path, poses: tuple[Pose, ...]) -> str:
    """The folder of `root` that holds most of the photos."""

    def held(name: str) -> int:
        paths = (inside(root, f"{name}/{p.name}" if name else p.name) for p in poses)
        return sum(1 for path in paths if path is not None and path.is_file())

    there = [name for name in IMAGES if not name or (root / name).is_dir()]
    return max(there, key=held)


@dataclass(frozen=True)
class _Model:
    poses: tuple[Pose, ...]
    points: Points | None


def _read_model(folder: Path) -> _Model:
    suffix = _suffix(folder)
    binary = suffix == ".bin"
    paths = {name: folder / f"{name}{suffix}" for name in FILES}
    try:
        lens = dict((_cameras_bin if binary else _cameras_txt)(paths["cameras"]))
        poses = tuple((_images_bin if binary else _images_txt)(paths["images"], lens))
        points = None
        if paths["points3D"].is_file():
            points = (_points_bin if binary else _points_txt)(paths["points3D"])
    except _Short as error:
        raise FileRejected(str(error), "it ends too early or is no COLMAP file; copy it again") from error
    if not poses:
        raise FileRejected(str(paths["images"]), "it holds no posed photo; run structure from motion again")
    return _Model(poses, points)


def _pose(
    path: Path, lens: dict[int, Camera], number: int, q: tuple[float, ...], t: tuple[float, ...], name: str
) -> Pose:
    shown = one_line(name, 80)
    if number not in lens:
        raise FileRejected(str(path), f"photo '{shown}' has the unknown camera {number}")
    if not (np.abs(t) <= numbers.FARTHEST).all() or not 0.5 < np.linalg.norm(q) < 2:
        raise FileRejected(str(path), f"photo '{shown}' has the impossible pose {q}, {t}")
    world_to_camera = np.eye(4)
    world_to_camera[:3, :3] = numbers.rotation(np.array([q]))[0]
    world_to_camera[:3, 3] = t
    held = lens[number]
    camera = Camera(held.width, held.height, held.K, world_to_camera, held.model, held.distortion)
    return Pose(name, (), camera)


def _points(xyz: Floats, rgb: np.ndarray) -> Points | None:
    good = np.isfinite(xyz).all(axis=1)
    return Points(xyz[good], rgb[good]) if good.any() else None


# ---------------------------------------------------------------- binary


class _Short(Exception):
    """The file has fewer bytes than it says."""


class _Bytes:
    """A file's bytes and the place up to which they were read."""

    def __init__(self, path: Path):
        self.path, self.data, self.at = path, path.read_bytes(), 0

    def take(self, form: str) -> tuple:
        size = struct.calcsize(form)
        self.skip(size)
        return struct.unpack_from(form, self.data, self.at - size)

    def skip(self, size: int) -> None:
        if size < 0 or self.at + size > len(self.data):
            raise _Short(str(self.path))
        self.at += size

    def count(self, smallest: int) -> int:
        """A number of records that are at least `smallest` bytes each."""
        (n,) = self.take("<Q")
        if n * smallest > len(self.data) - self.at:
            raise _Short(str(self.path))
        return n

    def name(self) -> str:
        end = self.data.find(b"\0", self.at, self.at + LONGEST_NAME)
        if end < 0:
            raise _Short(str(self.path))
        name = self.data[self.at : end].decode("utf-8", "replace")
        self.at = end + 1
        return name


def _cameras_bin(path: Path) -> Iterator[tuple[int, Camera]]:
    data = _Bytes(path)
    for _ in range(data.count(40)):
        number, kind, width, height = data.take("<IiQQ")
        model, focals, more = lenses.MODELS.get(kind, (f"number {kind}", 0, -2))
        params = data.take(f"<{focals + 2 + more}d")
        yield number, lenses.camera(model, width, height, params, np.eye(4), href=str(path))


def _images_bin(path: Path, lens: dict[int, Camera]) -> Iterator[Pose]:
    data = _Bytes(path)
    for _ in range(data.count(73)):
        _, *numbers_, camera = data.take("<I7dI")
        name = data.name()
        data.skip(24 * data.count(24))
        yield _pose(path, lens, camera, tuple(numbers_[:4]), tuple(numbers_[4:]), name)


def _points_bin(path: Path) -> Points | None:
    data = _Bytes(path)
    n = data.count(51)
    xyz, rgb = np.empty((n, 3)), np.empty((n, 3), np.uint8)
    for k in range(n):
        _, *values, track = data.take("<Q3d3BdQ")
        xyz[k], rgb[k] = values[:3], values[3:6]
        data.skip(8 * track)
    return _points(xyz, rgb)


# ---------------------------------------------------------------- text


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", errors="replace") as stream:
        for line in stream:
            if not line.startswith("#"):
                yield line.strip()


def _cameras_txt(path: Path) -> Iterator[tuple[int, Camera]]:
    for line in filter(None, _lines(path)):
        try:
            number, model, width, height, *params = line.split()
            read = int(number), int(width), int(height), [float(v) for v in params]
        except ValueError as error:
            raise FileRejected(str(path), f"'{one_line(line, 60)}' is no camera of COLMAP") from error
        yield read[0], lenses.camera(model, read[1], read[2], read[3], np.eye(4), href=str(path))


def _images_txt(path: Path, lens: dict[int, Camera]) -> Iterator[Pose]:
    lines = _lines(path)
    for line in lines:
        if not line:
            continue
        try:
            _, *values, camera, name = line.split(maxsplit=9)
            q_and_t, number = [float(v) for v in values], int(camera)
            if len(q_and_t) != 7:
                raise ValueError
        except ValueError as error:
            raise FileRejected(str(path), f"'{one_line(line, 60)}' is no photo of COLMAP") from error
        next(lines, "")  # its observations; an empty line if it has none
        yield _pose(path, lens, number, tuple(q_and_t[:4]), tuple(q_and_t[4:]), name)


def _points_txt(path: Path) -> Points | None:
    xyz, rgb = [], []
    for line in filter(None, _lines(path)):
        try:
            values = line.split(maxsplit=7)
            xyz.append([float(v) for v in values[1:4]])
            rgb.append([min(max(int(v), 0), 255) for v in values[4:7]])
            if len(xyz[-1]) != 3 or len(rgb[-1]) != 3:
                raise ValueError
        except ValueError as error:
            raise FileRejected(str(path), f"'{one_line(line, 60)}' is no point of COLMAP") from error
    return _points(np.array(xyz).reshape(-1, 3), np.array(rgb, np.uint8).reshape(-1, 3))
