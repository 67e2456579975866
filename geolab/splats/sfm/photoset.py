"""The photos of a solution: each under a name of its own, grouped by lens; how those left out are told."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np

from geolab.errors import one_line
from geolab.splats.photo import Photo, read

NAMED = 12  # so many names are told of those left out


def gather(photos: Iterable[str | Path | Photo]) -> tuple[list[Photo], list[str]]:
    """Photos in the order of their names, and a line for each that can't be read.

    A file that is only named is read; its name is the file's, below the folder of all where two share one.
    """
    given = {p.path.absolute() if isinstance(p, Photo) else Path(p).absolute(): p for p in photos}
    seen = [replace(p, path=at) if isinstance(p, Photo) else read(at) for at, p in given.items()]
    named = sorted(_named(seen), key=lambda p: (p.path.name, p.path))
    left = [left_out(p.name, p.problem) for p in named if p.problem]
    return [p for p in named if not p.problem], left


def left_out(name: str, reason: str) -> str:
    """The line that says so of a photo."""
    return f"photo {one_line(name, 80)} is left out: {reason}"


def groups_left_out(alone: Sequence[str], groups: Sequence[Sequence[str]], total: int) -> list[str]:
    """A line for the photos that found no place, and one for each group that is not the largest."""
    lines = [
        f"{len(names)} of {total} photos are left out, a group that does not connect to the rest: "
        + _some(names)
        for names in groups
    ]
    if alone:
        are = "are" if len(alone) > 1 else "is"
        lines.append(
            f"{len(alone)} of {total} photos {are} left out, with too little in common with the others to be "
            f"placed: {_some(alone)}"
        )
    return lines


def _some(names: Sequence[str]) -> str:
    return ", ".join(one_line(n, 80) for n in names[:NAMED]) + (", …" if len(names) > NAMED else "")


def _named(photos: Sequence[Photo]) -> Iterable[Photo]:
    times = Counter(p.name for p in photos)
    if max(times.values(), default=1) == 1:
        return photos
    shared = os.path.commonpath([p.path.parent for p in photos])
    return [
        replace(p, name=p.path.relative_to(shared).as_posix()) if times[p.name] > 1 else p for p in photos
    ]


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
