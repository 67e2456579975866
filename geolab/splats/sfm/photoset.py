"""The photos of a solution: each once and under a name of its own, grouped by lens."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np

from geolab.errors import one_line
from geolab.splats.photo import Photo, read


def gather(photos: Iterable[str | Path | Photo]) -> tuple[list[Photo], list[str]]:
    """Photos in the order of their names, and a line for each that can't be read or is there twice.

    A file that is only named is read; its name is the file's, below the folder of all where two share one.
    """
    given = {p.path.absolute() if isinstance(p, Photo) else Path(p).absolute(): p for p in photos}
    seen = [replace(p, path=at) if isinstance(p, Photo) else read(at) for at, p in given.items()]
    named = sorted(_named(seen), key=lambda p: (p.path.name, p.path))
    copies = _copies([p for p in named if not p.problem])
    lines = {p.path: p.problem for p in named if p.problem} | {
        path: f"it is the same picture as {one_line(other, 80)}" for path, other in copies.items()
    }
    warnings = [
        f"photo {one_line(p.name, 80)} is left out: {lines[p.path]}" for p in named if p.path in lines
    ]
    return [p for p in named if p.path not in lines], warnings


def _named(photos: Sequence[Photo]) -> Iterable[Photo]:
    times = Counter(p.name for p in photos)
    if max(times.values(), default=1) == 1:
        return photos
    shared = os.path.commonpath([p.path.parent for p in photos])
    return [
        replace(p, name=p.path.relative_to(shared).as_posix()) if times[p.name] > 1 else p for p in photos
    ]


def _copies(photos: Sequence[Photo]) -> dict[Path, str]:
    """The files that repeat one of a shorter name byte for byte, with that one's name.

    A copy of a photo that is held out would be learnt from.
    """
    sizes = Counter(p.path.stat().st_size for p in photos)
    first: dict[str, str] = {}
    again = {}
    for photo in sorted(photos, key=lambda p: (len(p.name), p.name)):
        if sizes[photo.path.stat().st_size] > 1:
            with photo.path.open("rb") as stream:
                key = hashlib.file_digest(stream, "sha256").hexdigest()
            if first.setdefault(key, photo.name) != photo.name:
                again[photo.path] = first[key]
    return again


@dataclass(frozen=True)
class Lens:
    """Photos that one camera took, by number. focal_px: the median of what they say, or None."""

    number: int
    key: tuple[object, ...]
    members: tuple[int, ...]
    focal_px: float | None


def lenses(photos: Mapping[int, Photo]) -> list[Lens]:
    """The photos grouped by maker, model, focal length and size."""
    groups: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for number, photo in photos.items():
        groups[photo.lens].append(number)
    found = []
    for number, (key, members) in enumerate(groups.items(), start=1):
        told = [f for m in members if (f := photos[m].focal_px) is not None]
        found.append(Lens(number, key, tuple(members), median(told) if told else None))
    return found


def located(photos: Sequence[Photo]) -> bool:
    """Whether the photos' positions tell them apart: at least three, more than a metre across."""
    places = np.array([p.measured[:2] for p in photos if p.measured is not None]).reshape(-1, 2)
    if len(places) < 3:
        return False
    spread = np.ptp(places, axis=0) * 111_000
    return bool(spread.max() > 1.0)
