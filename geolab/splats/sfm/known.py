"""Points for photos whose cameras are known."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pycolmap

from geolab.errors import BadInput, FileRejected, one_line
from geolab.splats.sfm.cameras import straight
from geolab.splats.sfm.copies import write_copies
from geolab.splats.sfm.database import Features, Work, find_features, match, open_work, opened, register
from geolab.splats.sfm.pairing import by_pose
from geolab.splats.sfm.points import believed, triangulated
from geolab.splats.views import Scene, View

LEAST_POINTS = 50


def triangulate(
    scene: Scene,
    *,
    work: Path,
    image_px: int = 960,
    threads: int = 2,
    seed: int = 0,
    features: Features | None = None,
) -> Scene:
    """The scene with points, coloured, that its photos and its known cameras give.

    work: a folder for working copies, features and matches, taken up again if it is of the same task.
    image_px: longest side of the working copies; 0: as the photos are. features: by default also those of
    the doubled picture, which give three times the points and place them better. Photos that can't be
    read are named in the warnings. Raises BadInput if fewer than two photos are left or hardly a point is
    found.
    """
    if len(scene.views) < 2:
        raise BadInput("scene", found=f"{len(scene.views)} view", expected="at least 2 that overlap")
    how = features or Features(first_octave=-1, threads=threads, seed=seed)
    place = open_work(work, _identity(scene, image_px, how))
    views, cameras, warnings = _copies(scene.views, place, how, image_px)
    if len(views) < 2:
        raise BadInput("photos", found=f"{len(views)} readable", expected="at least 2", remedy=warnings[0])
    images = [(n, place.copy_name(n), cameras[n]) for n in views]
    register(place, list(cameras.values()), images)
    for _ in find_features(place, list(views), how):
        pass
    for _ in match(place, by_pose(views), how):
        pass
    with opened(place) as database:
        posed = _posed(database, views)
    found = triangulated(posed, place.database, place.copies, place.model, threads=threads, seed=seed)
    points = believed(found)
    if len(points) < LEAST_POINTS:
        raise BadInput(
            "photos", found=f"{len(points)} points in common", expected=f"at least {LEAST_POINTS}",
            remedy="are these the cameras of these photos, and do the photos overlap?",
        )  # fmt: skip
    return dataclasses.replace(scene, points=points, warnings=(*scene.warnings, *warnings))


def _identity(scene: Scene, image_px: int, how: Features) -> dict[str, object]:
    """What the features and matches depend on."""
    views = [
        (v.name, str(v.image), _stamp(v.image), v.camera.K.tolist(), v.camera.world_to_camera.tolist(),
         v.camera.width, v.camera.height, v.camera.model, list(v.camera.distortion))
        for v in scene.views
    ]  # fmt: skip
    return {
        "task": "triangulate",
        "views": views,
        "image_px": image_px,
        "how": dataclasses.asdict(dataclasses.replace(how, threads=0)),
    }


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


def _copies(
    views: Sequence[View], work: Work, how: Features, image_px: int
) -> tuple[dict[int, View], dict[int, pycolmap.Camera], list[str]]:
    """Views and COLMAP's cameras by number from 1, and a line for each photo that is left out."""
    numbered = dict(enumerate(views, start=1))
    targets = {n: work.copies / work.copy_name(n) for n in numbered}
    good: dict[int, View] = {}
    cameras: dict[int, pycolmap.Camera] = {}
    warnings = []
    for number, made in write_copies(numbered, targets, work.masks, image_px=image_px, threads=how.threads):
        if isinstance(made, FileRejected):
            warnings.append(f"photo {one_line(numbered[number].name, 80)} is left out: {made.reason}")
        else:
            good[number], cameras[number] = numbered[number], straight(made, number)
    return good, cameras, warnings


def _posed(database: pycolmap.Database, views: dict[int, View]) -> pycolmap.Reconstruction:
    """A reconstruction with the database's cameras, the known poses, and no points."""
    posed = pycolmap.Reconstruction()
    for camera in database.read_all_cameras():
        posed.add_camera_with_trivial_rig(camera)
    for image in database.read_all_images():
        if image.image_id in views:
            pose = views[image.image_id].camera.world_to_camera[:3]
            bare = pycolmap.Image(name=image.name, camera_id=image.camera_id, image_id=image.image_id)
            posed.add_image_with_trivial_frame(bare, pycolmap.Rigid3d(pose))
    return posed
