"""The sample world as files: GeoTIFFs, drone photos, cameras, a note."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import ColorInterp

from geolab.errors import BadInput
from geolab.store import atomic_path, write_bytes
from geolab.town import drone, exif
from geolab.town.frame import Frame
from geolab.town.model import CRS, VERTICAL_DATUM, Pair, World

BANDS = ("red", "green", "blue", "nir")
COLOURS = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.undefined)


README = "README.txt"


@dataclass(frozen=True)
class Written:
    """Where the files of a town are. photos is empty and cameras None if none were asked for."""

    folder: Path
    before: Path
    after: Path
    change: Path
    dsm_before: Path
    dsm_after: Path
    readme: Path
    photos: tuple[Path, ...] = ()
    cameras: Path | None = None


def check_folder(folder: str | Path) -> Path:
    """The folder as an absolute path. Raises BadInput if a file is in the way."""
    path = Path(folder).absolute()
    for part in (path, *path.parents):
        if part.exists() and not part.is_dir():
            raise BadInput("folder", found=f"the file {part}", expected="a folder, or a name that is free")
    return path


def rasters(folder: Path, pair: Pair) -> dict[str, Path]:
    """Write the images and the truth of a pair; their paths by name."""
    days = [f"{date:%Y-%m-%d}" for date in pair.dates]
    start, end = (_iso(date) for date in pair.dates)
    paths = {
        "before": folder / f"town-{days[0]}.tif",
        "after": folder / f"town-{days[1]}.tif",
        "change": folder / "change.tif",
        "dsm_before": folder / f"dsm-{days[0]}.tif",
        "dsm_after": folder / f"dsm-{days[1]}.tif",
    }
    for name, date in zip(("before", "after"), pair.dates, strict=True):
        _write(paths[name], getattr(pair, name), pair, BANDS, {"GEOLAB_ROLE": "image", **_when(date)})
    label = {"GEOLAB_ROLE": "label", "GEOLAB_START": start, "GEOLAB_END": end, **_when(pair.dates[1])}
    _write(paths["change"], pair.change[None], pair, ("change",), label)
    for name, date in zip(("dsm_before", "dsm_after"), pair.dates, strict=True):
        tags = {"GEOLAB_ROLE": "dsm", "VERTICAL_DATUM": VERTICAL_DATUM, **_when(date)}
        _write(paths[name], getattr(pair, name)[None], pair, ("height",), tags)
    return paths


def _iso(date: datetime) -> str:
    return f"{date:%Y-%m-%dT%H:%M:%SZ}"


def _when(date: datetime) -> dict[str, str]:
    return {"TIFFTAG_DATETIME": f"{date:%Y:%m:%d %H:%M:%S}"}


def _write(path: Path, bands: np.ndarray, pair: Pair, names: tuple[str, ...], tags: dict[str, str]) -> None:
    profile = {
        "driver": "GTiff", "width": bands.shape[2], "height": bands.shape[1], "count": len(bands),
        "dtype": bands.dtype.name, "crs": pair.crs, "transform": pair.transform, "tiled": True,
        "blockxsize": 256, "blockysize": 256, "compress": "deflate", "interleave": "pixel",
        "predictor": 3 if bands.dtype.kind == "f" else 2,
    }  # fmt: skip
    if len(names) == len(BANDS):
        profile |= {"photometric": "RGB", "alpha": "NO"}
    with atomic_path(path) as temporary, rasterio.open(temporary, "w", **profile) as target:
        if len(names) == len(BANDS):
            target.colorinterp = COLOURS
        target.write(bands)
        target.descriptions = names
        if names == ("height",):
            target.units = ("metre",)
        target.update_tags(**tags)


def photos(
    folder: Path, town: World, flight: drone.Flight, taken: Iterable[drone.Photo], *, gps_noise_m: float = 0.0
) -> dict[str, Any]:
    """Write the photos of a flight and their exact cameras; the paths by name.

    gps_noise_m: standard deviation of the positions in EXIF and XMP; cameras.json stays exact.
    """
    rng = np.random.default_rng([town.seed, 99])
    paths, records = [], []
    for photo in taken:
        camera = photo.camera
        place = np.array(camera.position)
        measured = place + gps_noise_m * rng.standard_normal(3)
        path = folder / "photos" / camera.name
        write_bytes(path, exif.jpeg(photo.rgb, _tags(flight.frame, camera, measured, rtk=gps_noise_m < 0.1)))
        paths.append(path)
        records.append(_record(flight.frame, camera))
    cameras = folder / "cameras.json"
    write_bytes(cameras, (json.dumps({**_about(flight.frame), "photos": records}, indent=1) + "\n").encode())
    return {"photos": tuple(paths), "cameras": cameras}


def _tags(frame: Frame, camera: drone.Camera, measured: np.ndarray, *, rtk: bool) -> exif.Tags:
    lon, lat, height = (float(v) for v in frame.lonlat(measured)[0])
    return exif.Tags(
        lon=lon, lat=lat, height=height, above_ground=height - frame.height, yaw_deg=camera.yaw_deg,
        pitch_deg=camera.pitch_deg, taken=camera.taken, focal_mm=drone.FOCAL_MM,
        focal_35mm=drone.FOCAL_35MM, px_per_cm=drone.PX_PER_CM, rtk=rtk,
    )  # fmt: skip


def _record(frame: Frame, camera: drone.Camera) -> dict[str, Any]:
    lon, lat, height = (float(v) for v in frame.lonlat(np.array(camera.position))[0])
    return {
        "name": camera.name,
        "width": drone.WIDTH_PX,
        "height": drone.HEIGHT_PX,
        "K": camera.K.tolist(),
        "world_to_camera": camera.world_to_camera.tolist(),
        "lon": lon,
        "lat": lat,
        "height_m": height,
    }


def _about(frame: Frame) -> dict[str, Any]:
    return {
        "frame": "local east, north, up in metres; camera axes right, down, forward; pixel centres at +0.5",
        "origin": {"lon": frame.lon, "lat": frame.lat, "height_m": frame.height},
        "crs": "EPSG:4979",
        "vertical_datum": VERTICAL_DATUM,
    }


def readme(folder: Path, pair: Pair, seed: int, count: int, *, date: str = "after") -> Path:
    """Write the note that says what the files are."""
    start, end = (f"{date:%Y-%m-%d}" for date in pair.dates)
    day = end if date == "after" else start
    rows, columns = pair.change.shape
    pixel = pair.transform[0]
    lines = [
        "A fictitious town at two dates, made by geolab.town. Nothing here is a real place.",
        "",
        f"seed {seed}, {columns} x {rows} pixels of {pixel:g} m, {CRS}; heights in {VERTICAL_DATUM}",
        "",
        f"town-{start}.tif  orthophoto before: red, green, blue, near infrared, 8 bits",
        f"town-{end}.tif  orthophoto after; up to a pixel off the grid, like real ones",
        "change.tif           1 where a building stands at exactly one of the dates, else 0; exact",
        f"dsm-{start}.tif   height of the surface (ground, buildings, trees) before",
        f"dsm-{end}.tif   the same after",
        "",
        "Not change: season, sun, shadows, haze, noise, cars, roof paint, solar panels, crops, single trees,",
        "car parks.",
    ]
    if count:
        lines += [
            "",
            f"photos/*.jpg         {count} drone photos on {day}, with GPS in EXIF and gimbal angles in XMP",
            "cameras.json         their exact cameras in a local east-north-up frame (OpenCV axes)",
        ]
    path = folder / README
    write_bytes(path, ("\n".join(lines) + "\n").encode())
    return path
