"""The door of photos: what a folder or URI holds, and the scene that is read from it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from geolab import store
from geolab.errors import BadInput, NotFound, one_line
from geolab.settings import Settings, load
from geolab.splats import photo
from geolab.splats.loaders import colmap, numbers, opensfm, sources, town, transforms
from geolab.splats.loaders.draft import SUFFIXES, Draft, views
from geolab.splats.photo import Photo
from geolab.splats.views import EVERY, Camera, Floats, Scene, View

ONE_PLACE = 1e-9  # of the largest coordinate: what rounding leaves between cameras in one place
_FILES = {town.NAME: "town", transforms.NAME: "transforms", opensfm.NAME: "opensfm"}


def kind(source: str | Path, *, settings: Settings | None = None, work: Path | None = None) -> str | None:
    """What a source is: "colmap", "transforms", "opensfm", "town", "photos", or None for nothing of these.

    source: a folder, a file, a URI of either, or the id of a collection of photos; see `open_scene`.
    "photos": pictures without poses. Where several are together COLMAP's comes first: it has points, and the
    others are often made from it. Raises NotFound if there is no such source.
    """
    path = sources.local(source, settings=settings, work=work)
    if path.is_file():
        return _kind_of_file(path)
    if (path / town.NAME).is_file() and town.is_ours(numbers.read_json(path / town.NAME)):
        return "town"
    if colmap.models(path):
        return "colmap"
    if (path / transforms.NAME).is_file():
        return "transforms"
    if opensfm.located(path) is not None:
        return "opensfm"
    return "photos" if pictures(path) else None


def _kind_of_file(path: Path) -> str | None:
    """By its name, or by what is inside: nerfstudio's files may have any name."""
    if path.suffix.lower() != ".json":
        return None
    if path.name in _FILES:
        return _FILES[path.name]
    told = numbers.read_json(path)
    if town.is_ours(told):
        return "town"
    if transforms.is_ours(told):
        return "transforms"
    return "opensfm" if isinstance(told, list) else None


def pictures(folder: Path) -> tuple[Path, ...]:
    """The pictures of a folder in the order of their names: those in it, or in its images/ or photos/.

    Those of all folders below it if these have none, as on a camera's card. None that is hidden.
    """
    for place in (folder, *(folder / name for name in colmap.IMAGES if name)):
        if place.is_dir():
            here = sorted(p for p in place.iterdir() if _is_picture(p))
            if here:
                return tuple(here)
    below = (store.local_path(entry.uri) for entry in store.iter_files(folder))
    return tuple(p for p in below if p is not None and _is_picture(p))


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def _read(path: Path, what: str) -> Draft:
    if what == "colmap":
        return colmap.read(path)
    if what == "town":
        return town.read(path if path.is_file() else path / town.NAME)
    if what == "transforms":
        return transforms.read(path if path.is_file() else path / transforms.NAME)
    return opensfm.read(path if path.is_file() else opensfm.located(path) or path)


def open_scene(
    source: str | Path,
    *,
    held_out: int | Sequence[str] = EVERY,
    strict: bool = False,
    settings: Settings | None = None,
    work: Path | None = None,
) -> Scene:
    """The posed photos of a source: a folder, a file of poses, or a URI of either.

    held_out: every so many-th view in the order of names, beginning with the first (0: none), or names.
    strict: refuse instead of leaving out photos that are not there, or have no pose. work: where to fetch
    what is not local; by default the workspace's cache. Raises NotFound, BadInput, FileRejected.
    """
    path = sources.local(source, settings=settings, work=work)
    what = kind(path)
    if what is None or what == "photos":
        raise BadInput(
            "scene",
            found=f"{path} with " + ("photos but no poses" if what else "neither photos nor poses"),
            expected="sparse/ of COLMAP, transforms.json, reconstruction.json or the town's cameras.json",
            remedy="run structure from motion first: geolab.splats.sfm.solve" if what else "",
        )
    draft = _read(path, what)
    made, warnings = views(draft, strict=strict)
    frame = draft.frame
    if frame is not None and draft.epoch_from_photos and not frame.epoch:
        frame = replace(frame, epoch=max((v.taken for v in made), default="")[:10])
    out = hold_out(made, held_out)
    return Scene(made, draft.points, frame, out, warnings, str(source))


def photos(
    source: str | Path, *, settings: Settings | None = None, work: Path | None = None
) -> tuple[Photo, ...]:
    """The photos of a folder, a URI or a collection of the catalogue, in the order of their names.

    Their headers are read, no pixels; what can't be read stays in the list and says why. work: where to
    fetch what is not local. Raises NotFound, BadInput if there is no photo.
    """
    path = sources.local(source, settings=settings, work=work)
    ids: dict[str, str] = {}
    if store.local_path(source) is not None and path != store.local_path(source):
        ids = {name: str(item["id"]) for name, item in sources.named(str(source), settings or load())}
    files = pictures(path if path.is_dir() else path.parent)
    if not files:
        raise BadInput("photos", found=f"none in {source}", expected=f"files named {', '.join(SUFFIXES)}")
    shared = Path(os.path.commonpath([file.parent for file in files]))
    names = [file.relative_to(shared).as_posix() for file in files]
    return tuple(photo.read(file, name, ids.get(name, "")) for file, name in zip(files, names, strict=True))


def check(scene: Scene) -> tuple[str, ...]:
    """A line for each thing to know before training on a scene; empty if all is well.

    Raises BadInput, in one line, if nothing can be learnt from it: fewer than two views to train on, all of
    them in one place, or none that has a point of the scene before it.
    """
    count = len(scene.training)
    if count < 2:
        raise BadInput("scene", found=f"{count} view to train on", expected="2 or more from different places")
    if not scene.extent > ONE_PLACE * float(np.abs(scene.positions).max()):
        raise BadInput("scene", found=f"{count} views from one place", expected="views from different places")
    if scene.points is None:
        return ()
    blind = [v.name for v in scene.training if not sees(v.camera, scene.points.xyz)]
    if len(blind) == count:
        raise BadInput(
            "cameras",
            found=f"none of {count} with one of the scene's {len(scene.points)} points in view",
            expected="cameras that look at the scene: x right, y down, z forward",
            remedy="check the axes of the poses, and that poses and points lie in one frame",
        )
    if not blind:
        return ()
    names = ", ".join(one_line(n, 80) for n in blind[:3]) + (", …" if len(blind) > 3 else "")
    return (f"{len(blind)} of {count} views have none of the scene's points in view: {names}",)


def sees(camera: Camera, xyz: Floats) -> bool:
    """Whether any of the points [P, 3] lies before the camera and inside its picture, distortion aside."""
    seen = xyz @ camera.world_to_camera[:3, :3].T + camera.world_to_camera[:3, 3]
    seen = seen[seen[:, 2] > 0]
    pixels = seen[:, :2] / seen[:, 2:] * camera.K.diagonal()[:2] + camera.K[:2, 2]
    return bool(((pixels >= 0) & (pixels <= [camera.width, camera.height])).all(axis=1).any())


def hold_out(made: Sequence[View], held_out: int | Sequence[str]) -> frozenset[str]:
    """The names of the views to test on; at least one view is left to train on.

    Raises NotFound for a name that no view has, BadInput if nothing is left.
    """
    names = [v.name for v in made]
    if isinstance(held_out, int):
        if held_out < 0 or held_out == 1:
            raise BadInput(
                "held_out", found=held_out, expected="0 for none, or 2 or more: every so many-th view"
            )
        return frozenset(names[::held_out]) if held_out and len(names) > 1 else frozenset()
    wanted = [held_out] if isinstance(held_out, str) else list(held_out)
    out = frozenset(_named(name, names) for name in wanted)
    if len(out) == len(names):
        raise BadInput("held_out", found=f"all {len(names)} views", expected="at least one to train on")
    return out


def _named(name: str, names: Sequence[str]) -> str:
    if name in names:
        return name
    short = [n for n in names if n.rsplit("/", 1)[-1] == name]
    if len(short) != 1:
        raise NotFound("view", name, known=names)
    return short[0]
