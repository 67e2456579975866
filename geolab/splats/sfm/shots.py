"""What photos say of themselves: their camera, where they were, which way they looked."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from geolab.errors import FileRejected, one_line
from geolab.ingest.camera import focal_px
from geolab.ingest.dates import rfc3339
from geolab.ingest.photos import Photo, read_photo
from geolab.splats.views import Camera, View

GUESSED_FOCAL = 1.2  # of the longer side, where a photo tells nothing: COLMAP's guess
GPS_SIGMA_M = (5.0, 10.0)  # across, up: of a receiver alone
RTK_SIGMA_M = (0.05, 0.1)  # of one with corrections that does not state its own
_RTK_FIXED = 50  # DJI's RtkFlag


@dataclass(frozen=True)
class Shot:
    """A photo before its camera is known.

    width, height: of the stored pixels. focal_px: of these, or None if the photo does not say.
    position: longitude, latitude, height (NaN where not stated), or None. sigma_m: across, up.
    orientation: of EXIF, 1..8. lens: photos of one lens share a camera. xmp: as `ingest.xmp` names it.
    """

    name: str
    path: Path
    width: int
    height: int
    focal_px: float | None
    position: tuple[float, float, float] | None
    datum: str | None
    sigma_m: tuple[float, float]
    taken: str
    orientation: int
    lens: tuple[object, ...]
    xmp: dict[str, float]

    def view(self) -> View:
        """With the camera that the photo's own words make, at the origin."""
        focal = self.focal_px or GUESSED_FOCAL * max(self.width, self.height)
        K = np.array([[focal, 0, self.width / 2], [0, focal, self.height / 2], [0, 0, 1.0]])
        camera = Camera(self.width, self.height, K, np.eye(4))
        return View(self.name, self.path, camera, measured=self.position, taken=self.taken)


def read_shot(path: Path, name: str | None = None) -> Shot:
    """What the header of a photo says. Raises FileRejected."""
    photo = read_photo(path)
    exif, place = photo.exif, photo.exif.position
    focal = focal_px(exif, photo.width, photo.height, photo.xmp.get("calibrated_focal_px"))
    height = math.nan if place is None or place.altitude_m is None else place.altitude_m
    return Shot(
        name=name or path.name, path=path, width=photo.width, height=photo.height, focal_px=focal,
        position=None if place is None else (place.lon, place.lat, height),
        datum=None if place is None else place.datum, sigma_m=_sigma_m(photo),
        taken=rfc3339(exif.taken.at) if exif.taken else "",
        orientation=exif.orientation,
        lens=(exif.make, exif.model, exif.focal_mm and round(exif.focal_mm, 2), photo.width, photo.height),
        xmp=photo.xmp,
    )  # fmt: skip


def header(path: Path, name: str) -> Shot | None:
    """What the header of a photo says; None if it can't be read."""
    try:
        return read_shot(path, name)
    except (FileRejected, OSError):
        return None


def _sigma_m(photo: Photo) -> tuple[float, float]:
    """Standard deviation of the position, metres across and up."""
    told = [photo.xmp.get(name, 0.0) for name in ("rtk_std_lon_m", "rtk_std_lat_m", "rtk_std_height_m")]
    if photo.xmp.get("rtk_flag") != _RTK_FIXED:
        return GPS_SIGMA_M
    if all(0 < sigma < GPS_SIGMA_M[1] for sigma in told):
        return max(told[0], told[1], 0.01), max(told[2], 0.01)
    return RTK_SIGMA_M


def read_shots(photos: Iterable[Path]) -> tuple[list[Shot], list[str]]:
    """The shots of photos in the order of their names, and a line for each that can't be read.

    A name is the file's; where two share one, their folder is put before it.
    """
    paths = sorted({Path(p).absolute() for p in photos}, key=lambda p: (p.name, p))
    times = defaultdict(int)
    for path in paths:
        times[path.name] += 1
    shots, warnings = [], []
    for path in paths:
        name = path.name if times[path.name] == 1 else f"{path.parent.name}/{path.name}"
        try:
            shots.append(read_shot(path, name))
        except (FileRejected, OSError) as error:
            reason = error.reason if isinstance(error, FileRejected) else one_line(error, 100)
            warnings.append(f"photo {one_line(name, 80)} is left out: {reason}")
    return shots, warnings


@dataclass(frozen=True)
class Lens:
    """Photos that one camera took, by number. focal_px: the median of what they say, or None."""

    number: int
    key: tuple[object, ...]
    members: tuple[int, ...]
    focal_px: float | None


def lenses(shots: dict[int, Shot]) -> list[Lens]:
    """The shots grouped by maker, model, focal length and size."""
    groups: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for number, shot in shots.items():
        groups[shot.lens].append(number)
    found = []
    for number, (key, members) in enumerate(groups.items(), start=1):
        told = [f for m in members if (f := shots[m].focal_px) is not None]
        found.append(Lens(number, key, tuple(members), median(told) if told else None))
    return found


def located(shots: Sequence[Shot]) -> bool:
    """Whether the photos' positions tell them apart: at least three, more than a metre across."""
    places = np.array([s.position[:2] for s in shots if s.position is not None]).reshape(-1, 2)
    if len(places) < 3:
        return False
    spread = np.ptp(places, axis=0) * 111_000
    return bool(spread.max() > 1.0)
