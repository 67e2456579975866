"""The door of photos: what a folder or URI holds, and the scene that is read from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from geolab import store
from geolab.errors import BadInput, NotFound
from geolab.settings import Settings
from geolab.splats.loaders import colmap, numbers, opensfm, town, transforms
from geolab.splats.loaders.draft import SUFFIXES, Draft, views
from geolab.splats.views import EVERY, Scene, View

_FILES = {town.NAME: "town", transforms.NAME: "transforms", opensfm.NAME: "opensfm"}


def kind(source: str | Path) -> str | None:
    """What a local folder or file is: "colmap", "transforms", "opensfm", "town", "photos", or None.

    "photos": a folder of pictures without poses. Where several are together COLMAP's comes first: it has
    points, and the others are often made from it.
    """
    path = store.local_path(source)
    if path is None or not path.exists():
        return None
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
    return "photos" if any(True for _ in pictures(path)) else None


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


def pictures(folder: Path) -> Iterator[Path]:
    """The pictures at and below a folder, in the order of their names; none that is hidden."""
    for entry in store.iter_files(folder):
        path = store.local_path(entry.uri)
        if path is not None and path.suffix.lower() in SUFFIXES:
            yield path


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
    settings: Settings | None = None,  # noqa: ARG001
) -> Scene:
    """The posed photos of a folder or file.

    held_out: every so many-th view in the order of names, beginning with the first (0: none), or names.
    strict: refuse instead of leaving out photos that are not there. Raises NotFound, BadInput, FileRejected.
    """
    path = store.local_path(source)
    if path is None or not path.exists():
        raise NotFound("folder", str(source))
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
