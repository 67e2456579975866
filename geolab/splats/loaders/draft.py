"""What a format says of its photos, before anything but its own text was opened, and how views come of it.

Names in files of other people are hostile: they are looked for below the scene's folder only.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import numpy as np

from geolab.errors import BadInput, FileRejected, one_line
from geolab.ingest.dates import rfc3339
from geolab.ingest.photos import read_photo
from geolab.splats.frame import Frame
from geolab.splats.views import Camera, Points, View

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".avif")  # in lower case
NAMED, NAMED_WITHOUT_POSE = 3, 12  # so many names are told of those left out


@dataclass(frozen=True)
class Pose:
    """One photo as its format names it: where it may lie [places], its camera, perhaps its mask.

    places: names relative to the scene's folder, tried in order, "/" between folders. mask: one without which
    the photo must not be used; masks: names of one that may be there. measured: as in View; what the photo's
    own EXIF says comes first.
    """

    name: str
    places: tuple[str, ...]
    camera: Camera
    mask: str = ""
    masks: tuple[str, ...] = ()
    measured: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Draft:
    """A scene as its format tells it; root: the folder in which its photos must lie."""

    root: Path
    poses: tuple[Pose, ...]
    points: Points | None = None
    frame: Frame | None = None
    warnings: tuple[str, ...] = ()
    epoch_from_photos: bool = False


def inside(root: Path, name: str) -> Path | None:
    """The path of a name below `root`; None if it is absolute, leads out, or can't be a name."""
    pure = PurePosixPath(name.replace("\\", "/"))
    if not name or "\0" in name or pure.is_absolute() or ":" in pure.parts[0]:
        return None
    home = os.path.normpath(root)  # without following links: those the owner made are the owner's
    path = Path(os.path.normpath(Path(home, *pure.parts)))
    return path if path != Path(home) and path.is_relative_to(home) else None


def find(root: Path, places: Iterable[str]) -> Path | None:
    """The first of the names that is a file below `root`."""
    for place in places:
        path = inside(root, place)
        if path is not None and len(path.name.encode()) < 256 and path.is_file():
            return path
    return None


@dataclass
class _Left:
    """Photos left out, by reason."""

    hostile: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    found: set[Path] = field(default_factory=set)


def views(draft: Draft, *, strict: bool) -> tuple[tuple[View, ...], tuple[str, ...]]:
    """The views whose photos are there, in the order of their names, and a warning for each kind of absence.

    Opens the headers of the photos. Raises BadInput for a name given twice, and under `strict` for any
    photo that is left out, or lies beside the others without a pose; FileRejected for a photo that is not
    the picture its camera was made for.
    """
    _refuse_twins(draft.poses)
    left, made, scaled = _Left(), [], []
    for pose in sorted(draft.poses, key=lambda p: p.name):
        view = _view(draft.root, pose, left, scaled)
        if view is not None:
            made.append(view)
    warnings = _told(left, len(draft.poses)) + _without_pose(left.found)
    if warnings and (strict or not made):
        raise BadInput(
            "scene",
            found="; ".join(warnings),
            expected=f"all its photos in {draft.root}, each with a pose",
            remedy="copy or pose what is missing" + (", or open it without strict" if made else ""),
        )
    if scaled:
        warnings.append(
            f"{len(scaled)} of {len(draft.poses)} photos have another size than their cameras were made for "
            f"({scaled[0]}): the cameras were scaled"
        )
    return tuple(made), (*draft.warnings, *warnings)


def _refuse_twins(poses: Sequence[Pose]) -> None:
    seen: set[str] = set()
    for pose in poses:
        if pose.name in seen:
            raise BadInput("photos", found=f"'{pose.name}' twice", expected="a pose for each photo once")
        seen.add(pose.name)


def _view(root: Path, pose: Pose, left: _Left, scaled: list[str]) -> View | None:
    path = find(root, pose.places)
    if path is None:
        outside = inside(root, pose.places[0]) is None
        (left.hostile if outside else left.absent).append(pose.name)
        return None
    left.found.add(path)
    try:
        photo = read_photo(path)
    except FileRejected as error:
        left.damaged.append(f"{pose.name} ({error.reason})")
        return None
    camera = fitted(pose.camera, photo.width, photo.height, photo.exif.orientation, str(path))
    if (camera.width, camera.height) != (pose.camera.width, pose.camera.height):
        scaled.append(
            f"{pose.name} is {camera.width} x {camera.height}, "
            f"its camera {pose.camera.width} x {pose.camera.height}"
        )
    mask = find(root, (pose.mask,) if pose.mask else pose.masks)
    if pose.mask and mask is None:
        left.damaged.append(f"{pose.name} (its mask '{one_line(pose.mask, 80)}' is not there)")
        return None
    place, taken = photo.exif.position, photo.exif.taken
    measured = pose.measured
    if place is not None:
        measured = (place.lon, place.lat, math.nan if place.altitude_m is None else place.altitude_m)
    return View(pose.name, path, camera, mask, measured, rfc3339(taken.at) if taken else "")


def _told(left: _Left, total: int) -> list[str]:
    lines = []
    for names, what in (
        (left.absent, "are not there"),
        (left.hostile, "have names that lead out of the scene's folder"),
        (left.damaged, "can't be read"),
    ):
        if names:
            some = ", ".join(one_line(n, 120) for n in names[:NAMED]) + (", …" if len(names) > NAMED else "")
            lines.append(f"{len(names)} of {total} photos {what} and were left out: {some}")
    return lines


def _without_pose(found: set[Path]) -> list[str]:
    """A line for each folder of posed photos that holds others, which structure from motion left out.

    Pictures of another kind, and those named after a posed one (masks, depth), are none of them.
    """
    lines = []
    for folder in sorted({path.parent for path in found}):
        posed = {path.name for path in found if path.parent == folder}
        kinds = {PurePosixPath(name).suffix for name in posed}
        stems = tuple(f"{PurePosixPath(name).stem}_" for name in posed)
        there = sorted(p.name for p in folder.iterdir() if p.suffix in kinds and p.is_file())
        left = [n for n in there if n not in posed and not n.startswith((".", *stems))]
        if left:
            some = ", ".join(one_line(n, 80) for n in left[:NAMED_WITHOUT_POSE])
            more = ", …" if len(left) > NAMED_WITHOUT_POSE else ""
            total = len(posed) + len(left)
            where = one_line(folder.name, 80)
            lines.append(
                f"{len(left)} of {total} photos in {where}/ have no pose and are not used: {some}{more}"
            )
    return lines


# ---------------------------------------------------------------- sizes


def turned(width: int, height: int, orientation: int) -> tuple[int, int]:
    """The size of a picture shown upright: EXIF orientations 5 to 8 swap the sides."""
    return (height, width) if orientation >= 5 else (width, height)


def alike(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two sizes have the same shape, to a pixel."""
    w, h = size
    return abs(w * other[1] / other[0] - h) <= 1.0 or abs(h * other[0] / other[1] - w) <= 1.0


def fitted(camera: Camera, width: int, height: int, orientation: int, href: str) -> Camera:
    """The camera for a file of `width` x `height` stored pixels, scaled if the sides keep their ratio.

    The file's pixels as stored come first, as for COLMAP; a camera whose sides fit only the upright picture
    was made for that (see `images.load`). Raises FileRejected if neither fits.
    """
    for size in dict.fromkeys(((width, height), turned(width, height, orientation))):
        if size == (camera.width, camera.height):
            return camera
    for w, h in dict.fromkeys(((width, height), turned(width, height, orientation))):
        if (
            abs(w * camera.height / camera.width - h) <= 1.0
            or abs(h * camera.width / camera.height - w) <= 1.0
        ):
            return scaled(camera, w, h)
    raise FileRejected(
        href,
        f"it is {width} x {height} pixels, its camera {camera.width} x {camera.height}, of another shape; "
        "use the photos that the poses were made from",
    )


def scaled(camera: Camera, width: int, height: int) -> Camera:
    """The same camera on another number of pixels; centres at +0.5 make that a multiplication of K."""
    K = camera.K.copy()
    K[0] *= width / camera.width
    K[1] *= height / camera.height
    return replace(camera, width=width, height=height, K=np.asarray(K, np.float64))
