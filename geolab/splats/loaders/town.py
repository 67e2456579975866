"""The sample town's exact cameras: cameras.json beside photos/."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from geolab.errors import FileRejected
from geolab.splats.frame import UNKNOWN_DATUM, Frame
from geolab.splats.loaders import lenses, numbers
from geolab.splats.loaders.draft import Draft, Pose

NAME = "cameras.json"


def is_ours(told: object) -> bool:
    """Whether this is what the town writes."""
    return isinstance(told, dict) and isinstance(told.get("photos"), list) and "origin" in told


def read(path: Path) -> Draft:
    """The cameras as the file tells them. Raises FileRejected."""
    told = numbers.read_json(path)
    if not is_ours(told):
        raise FileRejected(str(path), "it holds no cameras of the sample town: no 'photos' and 'origin'")
    assert isinstance(told, dict)
    poses = tuple(_pose(path, record, k) for k, record in enumerate(told["photos"]))
    return Draft(path.parent, poses, frame=_frame(path, told), epoch_from_photos=True)


def _frame(path: Path, told: dict[str, Any]) -> Frame:
    origin = told["origin"] if isinstance(told["origin"], dict) else {}
    lon, lat, height = (
        numbers.number(origin.get(n), href=str(path), what=f"origin.{n}") for n in ("lon", "lat", "height_m")
    )
    datum = "ellipsoid" if "ellipsoid" in str(told.get("vertical_datum", "")) else UNKNOWN_DATUM
    return Frame(lon, lat, height, datum)


def _pose(path: Path, record: object, k: int) -> Pose:
    href = str(path)
    if not isinstance(record, dict) or not isinstance(record.get("name"), str):
        raise FileRejected(href, f"photo {k} has no name")
    name = record["name"]
    K = numbers.matrix(record.get("K"), (3, 3), href=href, what=f"K of {name}")
    pose = numbers.matrix(record.get("world_to_camera"), (4, 4), href=href, what=f"world_to_camera of {name}")
    numbers.check_rotation(pose, href=href, what=f"world_to_camera of {name}")
    width, height = (
        int(numbers.number(record.get(n), href=href, what=f"{n} of {name}")) for n in ("width", "height")
    )
    params = np.array([K[0, 0], K[1, 1], K[0, 2], K[1, 2]])
    camera = lenses.camera("PINHOLE", width, height, params.tolist(), pose, href=href)
    return Pose(name, (f"photos/{name}", f"images/{name}", name), camera)
