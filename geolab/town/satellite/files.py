"""The archive as files: COGs with their items, the grid of cells, the truth, a note."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine

from geolab.raster.info import gdal_env
from geolab.store import write_bytes
from geolab.town.satellite.area import GSD_M, Cell, Window, to_local, to_lonlat

GRID = "grid.gpkg"


def write_cog(
    path: Path, pixels: np.ndarray, *, epsg: int, transform: Affine, level: int = 6, **about: Any
) -> dict[str, Any]:
    """Write [band, y, x] or [y, x]; size and checksum of the file, as STAC names them."""
    bands = pixels if pixels.ndim == 3 else pixels[None]
    profile = {
        "driver": "COG", "width": bands.shape[2], "height": bands.shape[1], "count": len(bands),
        "dtype": bands.dtype.name, "crs": f"EPSG:{epsg}", "transform": transform,
        "nodata": about.get("nodata"),
        "blocksize": 256, "compress": "DEFLATE", "level": level, "predictor": "YES", "statistics": "NO",
        "overviews": "AUTO", "overview_resampling": about.get("resampling", "AVERAGE"),
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    with gdal_env(), rasterio.open(path, "w", **profile) as target:
        target.write(bands)
        if "bands" in about:
            target.descriptions = about["bands"]
        if "tags" in about:
            target.update_tags(**about["tags"])
    data = path.read_bytes()
    return {"file:size": len(data), "file:checksum": "1220" + hashlib.sha256(data).hexdigest()}


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write a document for people and machines."""
    write_bytes(path, (json.dumps(document, indent=1) + "\n").encode())


def is_archive(catalog: Path) -> bool:
    """Whether a file is the catalogue of an archive of the sample world."""
    try:
        return json.loads(catalog.read_bytes()).get("id") == "geolab-town"
    except (OSError, ValueError, AttributeError):
        return False


def write_grid(path: Path, cells: Sequence[Cell]) -> None:
    """The cells as a GeoPackage in longitude and latitude, each with its exact grid in its own zone."""
    import pyogrio
    import shapely
    from pyogrio import raw

    shapes = [shapely.Polygon(to_lonlat(to_local(c.window.epsg, _dense(c.window)))) for c in cells]
    bounds = np.array([cell.window.bounds for cell in cells], float)
    columns: dict[str, np.ndarray] = {
        "id": np.array([cell.id for cell in cells], object),
        "epsg": np.array([cell.window.epsg for cell in cells], np.int32),
        "xmin": bounds[:, 0], "ymin": bounds[:, 1], "xmax": bounds[:, 2], "ymax": bounds[:, 3],
        "gsd_m": np.full(len(cells), float(GSD_M)),
        "width": np.array([cell.window.width for cell in cells], np.int32),
        "height": np.array([cell.window.height for cell in cells], np.int32),
    }  # fmt: skip
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": "2024-01-01T00:00:00.000Z"})  # else of today
    try:
        path.unlink(missing_ok=True)
        raw.write(
            path, np.array([shapely.to_wkb(shape) for shape in shapes], object), list(columns.values()),
            list(columns), layer="grid", driver="GPKG", geometry_type="Polygon", crs="EPSG:4326",
        )  # fmt: skip
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})


def _dense(window: Window, pieces: int = 8) -> np.ndarray:
    """The outline with points between the corners: a straight side in UTM is bent in degrees."""
    corners = window.outline()
    steps = np.arange(pieces)[:, None] / pieces
    sides = zip(corners, np.roll(corners, -1, axis=0), strict=True)
    return np.concatenate([a + (b - a) * steps for a, b in sides])


def size_mb(folder: Path) -> float:
    """The size of everything in a folder, megabytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
