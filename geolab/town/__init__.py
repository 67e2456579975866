"""The sample world: a seeded, fictitious town at two dates, with the exact truth.

Change is one thing only: a building that appeared, went or was extended. Season, sun, haze, noise,
cars, roof paint, crops, single trees and up to a pixel of misregistration differ as well, and are not
change. The truth lies on the nominal grid.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rasterio.crs import CRS as RasterioCRS
from rasterio.transform import from_origin

from geolab.errors import BadInput
from geolab.town import drone, edit, files, layout, ortho
from geolab.town.files import Written
from geolab.town.model import CRS, Conditions, Pair, World

__all__ = [
    "Conditions",
    "Pair",
    "World",
    "Written",
    "drone",
    "edit",
    "pair",
    "render",
    "save",
    "warm",
    "world",
    "write",
]

SMALLEST_PX, LARGEST_PX = 64, 8192
MOST_PHOTOS = 500
Size = int | tuple[int, int]


def world(seed: int = 0, size_px: Size = 1024, *, gsd_m: float = 0.5) -> World:
    """The town of a seed: everything that stands, at both dates, before anything is drawn.

    size_px: one number, or (height, width), 64..8192. Raises BadInput.
    """
    height, width = _shape(size_px)
    if not 0.05 <= gsd_m <= 10:
        raise BadInput("gsd_m", found=gsd_m, expected="0.05 to 10 metres")
    if not _whole(seed) or seed < 0:
        raise BadInput("seed", found=repr(seed), expected="a whole number of at least 0")
    return layout.world(int(seed), width * gsd_m, height * gsd_m)


def pair(seed: int = 0, size_px: Size = 1024, *, gsd_m: float = 0.5) -> Pair:
    """Two orthophotos of the town of a seed with the exact change mask and heights.

    The same seed and size give the same bits. Raises BadInput for a size that is not 64..8192.
    """
    return render(world(seed, size_px, gsd_m=gsd_m), gsd_m=gsd_m)


def render(town: World, *, gsd_m: float = 0.5) -> Pair:
    """The pair of a world, for example of one that was changed with `town.edit`."""
    east, north = town.corner
    shape = round(town.height_m / gsd_m), round(town.width_m / gsd_m)
    heights, built = zip(*(ortho.truth(town, date, shape, gsd_m=gsd_m) for date in range(2)), strict=True)
    before, after = (ortho.render(town, date, shape, gsd_m=gsd_m) for date in range(2))
    return Pair(
        before=before,
        after=after,
        change=(built[0] != built[1]).astype(np.uint8),
        dsm_before=heights[0],
        dsm_after=heights[1],
        dtm=ortho.ground(town, shape, gsd_m=gsd_m),
        transform=from_origin(east, north + town.height_m, gsd_m, gsd_m),
        crs=RasterioCRS.from_string(CRS),
        dates=(town.conditions[0].date, town.conditions[1].date),
    )


def write(
    folder: str | Path,
    *,
    seed: int = 0,
    size_px: Size = 1024,
    photos: int = 24,
    gps_noise_m: float = 0.0,
) -> Written:
    """The files of a town: two orthophotos, change mask, heights, drone photos with exact cameras.

    photos: how many, 0..500; they show a corner of the town at the second date. gps_noise_m: standard
    deviation of the positions the photos state; cameras.json is always exact. Files of these names are
    replaced, each whole or not at all; others are left alone. Raises BadInput.
    """
    return save(folder, world(seed, size_px), photos=photos, gps_noise_m=gps_noise_m)


def save(
    folder: str | Path,
    town: World,
    *,
    photos: int = 24,
    flight: drone.Flight | None = None,
    date: str = "after",
    gps_noise_m: float = 0.0,
    haze: float = 0.0,
    noise: float = 0.0,
) -> Written:
    """The files of a world, for example an edited one, as `write` makes them; truth and cameras are exact.

    photos, flight: how many are planned, or the flight of another world, so that both are seen from the same
    places. date: of the photos, "before" or "after". haze, noise: of the photos; see `drone.photograph`.
    """
    if not _whole(photos) or not 0 <= photos <= MOST_PHOTOS:
        raise BadInput("photos", found=repr(photos), expected=f"a whole number, 0 to {MOST_PHOTOS}")
    if not 0 <= gps_noise_m <= 100:
        raise BadInput("gps_noise_m", found=gps_noise_m, expected="0 to 100 metres")
    if date not in ("before", "after"):
        raise BadInput("date", found=repr(date), expected="before or after")
    edit.check_condition("haze", haze)
    edit.check_condition("noise", noise)
    path = files.check_folder(folder)
    made = render(town)
    shots = {}
    if photos:
        when = int(date == "after")
        flown = drone.again(flight or drone.plan(town, int(photos)), town.conditions[when].date)
        taken = drone.photograph(town, flown, date=when, haze=haze, noise=noise)
        shots = files.photos(path, town, flown, taken, gps_noise_m=gps_noise_m)
    paths = files.rasters(path, made)
    note = files.readme(path, made, town.seed, len(shots.get("photos", ())), date=date)
    return Written(folder=path, readme=note, **paths, **shots)


def warm() -> None:
    """Compile and cache every kernel, so that the first picture does not wait for it."""
    town = world(0, SMALLEST_PX)
    render(town)
    next(drone.photograph(town, drone.plan(town, 1)))


def _whole(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _shape(size_px: Size) -> tuple[int, int]:
    sizes = size_px if isinstance(size_px, (tuple, list)) else (size_px, size_px)
    if len(sizes) != 2 or not all(_whole(s) for s in sizes):
        raise BadInput("size_px", found=repr(size_px), expected="a whole number, or (height, width)")
    if not all(SMALLEST_PX <= s <= LARGEST_PX for s in sizes):
        raise BadInput("size_px", found=repr(size_px), expected=f"{SMALLEST_PX} to {LARGEST_PX} pixels")
    return int(sizes[0]), int(sizes[1])
