"""The orthophoto and the DSM of a model as it is read from a file: what is not given, the file tells."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from geolab import store
from geolab.errors import FileRejected, NotFound
from geolab.splats import record
from geolab.splats.io import Splats
from geolab.splats.observe import observability
from geolab.splats.products import Options, Tile
from geolab.splats.products import steps as tiles

MOST_BYTES = 64 << 20  # of a footprint's file


def steps(
    model: Splats,
    *,
    out: str | Path,
    gsd_m: float | None = None,
    footprint: str | os.PathLike[str] = "",
    backend: str = "auto",
) -> Iterator[Tile]:
    """The tiles of a model's orthophoto and DSM, as `products.steps` draws them; none without a frame.

    gsd_m: of a pixel; that of the photos it was trained on if None. footprint: a GeoJSON file of the area, or
    "" for the bulk of what the photos saw. Where the file tells the cameras, what no photo of the training
    has seen is not drawn, and what few have seen lowers the coverage.
    Raises BadInput; NotFound and FileRejected for the footprint.
    """
    if model.frame is None:
        return
    area = read_area(footprint) if footprint else None
    cameras = record.cameras(model.meta, held_out=False)
    gaussians = model.gaussians
    yield from tiles(
        gaussians, model.frame, gsd_m=gsd_m or record.product_gsd(model.meta), out=out, footprint=area,
        cameras=cameras, seen=observability(gaussians, cameras, backend=backend) if cameras else None,
        options=Options(backend=backend, rasterize_mode=record.rasterize_mode(model.meta)),
    )  # fmt: skip


def read_area(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The GeoJSON in a local file. Raises NotFound, FileRejected."""
    name = store.local_path(path)
    if name is None or not name.is_file():
        raise NotFound("footprint", os.fspath(path))
    if name.stat().st_size > MOST_BYTES:
        raise FileRejected(name.name, f"larger than {MOST_BYTES >> 20} MB, no footprint")
    try:
        found = json.loads(name.read_bytes())
    except (ValueError, RecursionError) as error:
        raise FileRejected(name.name, f"not GeoJSON: {error}") from error
    if not isinstance(found, dict):
        raise FileRejected(name.name, f"not GeoJSON: a {type(found).__name__}, not an object")
    return found
