"""Ground control points: places on the ground that were surveyed and marked in photos.

Two forms of file are read. OpenDroneMap's `gcp_list.txt`: the coordinate reference system in the first
line (`EPSG:32614`, `+proj=utm ...` or `WGS84 UTM 14N`), then `x y z px py photo [name]` in each line. And
CSV with a line of names: `x,y,z,px,py,photo`, perhaps `name` and `crs`; without `crs` x and y are longitude
and latitude.

px, py count from the upper left corner of the photo's stored pixels, whose centres are at +0.5. Heights are
taken as they stand, in the vertical datum of the survey.
"""

from __future__ import annotations

import csv
import math
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError, ProjError

from geolab.errors import FileRejected, NotFound, one_line
from geolab.splats.loaders.lenses import BY_NAME
from geolab.splats.views import Camera, Floats, View

LARGEST_BYTES = 10_000_000
_PROJ_KEYS = {
    "proj", "zone", "south", "datum", "ellps", "units", "no_defs", "type", "lat_0", "lon_0", "lat_1", "lat_2",
    "lat_ts", "k", "k_0", "x_0", "y_0", "towgs84", "a", "b", "rf", "alpha", "gamma",
}  # fmt: skip
_UTM = re.compile(r"WGS ?84 UTM (\d{1,2}) ?([NS])", re.IGNORECASE)


@dataclass(frozen=True)
class Mark:
    """Where a point is seen: px [2] in the stored pixels of a photo."""

    photo: str
    px: tuple[float, float]


@dataclass(frozen=True)
class ControlPoint:
    """A surveyed point: longitude, latitude (degrees), height (metres), and where photos show it."""

    name: str
    place: tuple[float, float, float]
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Control:
    """The points of a file, and the words for what their heights count from."""

    points: tuple[ControlPoint, ...]
    datum: str


def read(path: Path) -> Control:
    """The control points of a file. Raises NotFound, FileRejected."""
    path = Path(path)
    if not path.is_file():
        raise NotFound("file of ground control points", str(path))
    if path.stat().st_size > LARGEST_BYTES:
        raise FileRejected(str(path), f"it has more than {LARGEST_BYTES} bytes")
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise FileRejected(str(path), "it is no text") from error
    lines = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        raise FileRejected(str(path), "it is empty")
    rows = _csv(path, lines) if "," in lines[0] and "px" in lines[0].lower() else _listed(path, lines)
    return _collected(path, list(rows))


@dataclass(frozen=True)
class _Row:
    crs: str
    x: float
    y: float
    z: float
    name: str
    mark: Mark


def _listed(path: Path, lines: Sequence[str]) -> Iterator[_Row]:
    """The rows of a gcp_list.txt."""
    for number, line in enumerate(lines[1:], start=2):
        words = line.split("\t") if "\t" in line else line.split()
        if len(words) < 6:
            raise FileRejected(
                str(path), f"line {number} has {len(words)} words, expected x y z px py photo [name]"
            )
        yield _row(path, number, lines[0].strip(), words[:5], words[5], words[6] if len(words) > 6 else "")


def _csv(path: Path, lines: Sequence[str]) -> Iterator[_Row]:
    """The rows of a CSV file."""
    reader = csv.DictReader(lines)
    names = {(n or "").strip().lower(): n for n in reader.fieldnames or ()}
    missing = [n for n in ("x", "y", "z", "px", "py", "photo") if n not in names]
    if missing:
        raise FileRejected(str(path), f"it has no column {', '.join(missing)}; expected x,y,z,px,py,photo")
    for number, row in enumerate(reader, start=2):
        told = {ours: (row.get(theirs) or "").strip() for ours, theirs in names.items()}
        crs = told.get("crs") or "EPSG:4326"
        yield _row(
            path,
            number,
            crs,
            [told[n] for n in ("x", "y", "z", "px", "py")],
            told["photo"],
            told.get("name", ""),
        )


def _row(path: Path, number: int, crs: str, words: Sequence[str], photo: str, name: str) -> _Row:
    try:
        x, y, z, px, py = (float(w) for w in words)
    except ValueError as error:
        raise FileRejected(str(path), f"line {number} holds no five numbers: {' '.join(words)}") from error
    if not all(math.isfinite(v) for v in (x, y, z, px, py)):
        raise FileRejected(str(path), f"line {number} holds a number that is not finite")
    return _Row(crs, x, y, z, one_line(name, 60), Mark(photo.strip(), (px, py)))


def _collected(path: Path, rows: Sequence[_Row]) -> Control:
    """The points of the rows: those of one name, or of one place where there is no name."""
    if not rows:
        raise FileRejected(str(path), "it holds no point; expected x y z px py photo [name] in each line")
    groups: dict[object, list[_Row]] = defaultdict(list)
    for row in rows:
        groups[row.name or (row.x, row.y, row.z)].append(row)
    transformers = {crs: _to_lonlat(path, crs) for crs in {row.crs for row in rows}}
    points = []
    for number, members in enumerate(groups.values(), start=1):
        first = members[0]
        if any((r.x, r.y, r.z) != (first.x, first.y, first.z) for r in members):
            raise FileRejected(str(path), f"point {first.name} has two different places")
        lon, lat = _lonlat(path, transformers[first.crs], first)
        marks = {r.mark.photo: r.mark for r in members}
        points.append(
            ControlPoint(first.name or f"point {number}", (lon, lat, first.z), tuple(marks.values()))
        )
    return Control(tuple(points), f"as of the control points ({', '.join(sorted(transformers))})")


def _to_lonlat(path: Path, crs: str) -> Transformer:
    try:
        return Transformer.from_crs(_crs(crs), "EPSG:4326", always_xy=True)
    except (CRSError, ProjError) as error:
        raise FileRejected(
            str(path),
            f"'{one_line(crs, 60)}' is no coordinate reference system; expected EPSG:32614, for example",
        ) from error


def _crs(text: str) -> CRS:
    """Of its words, but none that could name a file. Raises CRSError."""
    utm = _UTM.fullmatch(text.strip())
    if utm:
        return CRS.from_epsg((32600 if utm[2].upper() == "N" else 32700) + int(utm[1]))
    code = re.fullmatch(r"EPSG:(\d{4,6})(\+\d{4,6})?", text.strip(), re.IGNORECASE)
    if code:
        return CRS.from_epsg(int(code[1]))  # heights stay as they are
    words = text.split()
    keys = {word.lstrip("+").split("=")[0] for word in words}
    if "proj" in keys and keys <= _PROJ_KEYS and all(re.fullmatch(r"\+?[\w.=,+-]+", w) for w in words):
        return CRS.from_proj4(text)
    raise CRSError(text)


def _lonlat(path: Path, transformer: Transformer, row: _Row) -> tuple[float, float]:
    lon, lat = transformer.transform(row.x, row.y)
    if not (math.isfinite(lon) and math.isfinite(lat) and abs(lat) <= 90):
        raise FileRejected(str(path), f"{row.x:g}, {row.y:g} lies outside {row.crs}")
    return float(lon), float(lat)


# ---------------------------------------------------------------- where the photos see them


@dataclass(frozen=True)
class Seen:
    """A point as the cameras see it: xyz [3] in the scene's frame, reprojection_px: rms of its marks."""

    point: ControlPoint
    xyz: Floats
    photos: int
    reprojection_px: float


def locate(control: Control, views: Sequence[View]) -> tuple[list[Seen], list[str]]:
    """The points that at least two of the views mark, and a line for each that fewer do."""
    by_name: dict[str, View] = {v.name: v for v in views}
    by_name |= {v.image.name: v for v in views}
    seen, warnings = [], []
    for point in control.points:
        marks = [(by_name[m.photo].camera, m.px) for m in point.marks if m.photo in by_name]
        found = _meet(marks) if len(marks) >= 2 else None
        if found is None:
            warnings.append(
                f"control point {one_line(point.name, 60)} is not used: {len(marks)} of the scene's photos "
                "mark it, expected 2 or more from different places"
            )
        else:
            seen.append(Seen(point, found[0], len(marks), found[1]))
    return seen, warnings


def ray(camera: Camera, px: tuple[float, float]) -> Floats:
    """The direction [3], of length 1, in the scene's frame of a pixel, without distortion."""
    flat = (np.array(px) - camera.K[:2, 2]) / camera.K.diagonal()[:2]
    if camera.distortion:
        focals, _ = BY_NAME[camera.model]
        unit = pycolmap.Camera(
            model=camera.model, width=1, height=1, params=[*[1.0] * focals, 0.0, 0.0, *camera.distortion]
        )
        flat = np.asarray(unit.cam_from_img(flat[None])).reshape(2)
    direction = camera.world_to_camera[:3, :3].T @ np.array([*flat, 1.0])
    return direction / np.linalg.norm(direction)


def _meet(marks: Sequence[tuple[Camera, tuple[float, float]]]) -> tuple[Floats, float] | None:
    """The point [3] nearest to all rays, weighted by their depth, and its rms reprojection error."""
    centres = np.stack([camera.position for camera, _ in marks])
    rays = np.stack([ray(camera, px) for camera, px in marks])
    weights, point, depth = np.ones(len(marks)), np.zeros(3), np.ones(len(marks))
    for _ in range(3):
        across = (np.eye(3) - rays[:, :, None] * rays[:, None, :]) * weights[:, None, None]
        normal = across.sum(axis=0)
        if np.linalg.cond(normal) > 1e8:
            return None
        point = np.linalg.solve(normal, np.einsum("nij,nj->i", across, centres))
        depth = ((point - centres) * rays).sum(axis=1)
        if (depth <= 0).any():
            return None
        weights = 1 / depth**2
    away = np.linalg.norm(np.cross(point - centres, rays), axis=1) / depth
    focal = np.array([camera.K[0, 0] for camera, _ in marks])
    return point, float(np.sqrt(np.mean((away * focal) ** 2)))
